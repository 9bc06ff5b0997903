import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { openFleet } from '../support/fleet.ts';
import { ADMIN_TOKEN, eventually } from '../support/service.ts';

/** All at once, and no failure stops it. */
const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
rollout:
  waves: [{ name: all, upToPercent: 100 }]
  errorBudget: { max: 100% }
`;
const files = (mode: string) => ({
  'bellwether.yaml': MANIFEST,
  'config/terminal.json': `{\n  "host": "pos.example.com",\n  "mode": "${mode}"\n}\n`,
});

let fleet: Awaited<ReturnType<typeof openFleet>>;
let browser: TestBrowser;
let commit: string;

/** 300 tills that fail for three causes, each on the same commit. */
beforeAll(async () => {
  fleet = await openFleet();
  browser = await openBrowser();
  const tills = await fleet.source('tills');
  const keys = await fleet.enrol(tills, 300, 'till');
  const good = await fleet.run(keys);
  await fleet.push(tills, files('card'));
  await fleet.rollout(tills, 'completed');
  await good.stop();
  await fleet.run(keys.slice(0, 150), { failWhen: /"mode": "broken"/ });
  await fleet.run(keys.slice(150, 250), { failRate: 1 });
  await fleet.run(keys.slice(250), { refuseRate: 1 });
  commit = await fleet.push(tills, files('broken'));
  await eventually('all have failed', async () => {
    const { body } = await fleet.api('GET', '/attention');
    return body.items[0]?.count === 300 && body.items[0].causes.every(({ place }: { place: object | null }) => place !== null);
  });
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

test('300 failures are three causes on the overview, each with its count, first device, log line, and the line of the commit', async () => {
  const page = await browser.signedIn(fleet.service.url, ADMIN_TOKEN);
  const panel = page.getByRole('region', { name: 'Needs attention' });
  await panel.getByText(new RegExp(`300 devices failed on ${commit.slice(0, 8)} of "tills" for 3 causes`)).waitFor();
  const causes = panel.locator('.cause');
  expect(await causes.count()).toBe(3);
  const place = `config/terminal.json:3 in ${commit.slice(0, 8)}`;
  await expect.poll(() => causes.filter({ hasText: place }).count()).toBe(3);
  const shown = await causes.allInnerTexts();
  expect(shown.map((text) => /\b(150|100|50)\b/.exec(text)?.[1])).toEqual(['150', '100', '50']);
  for (const text of shown) expect(text).toMatch(/first on\s+till-0\d\d\d/);
  expect(shown[0]).toContain('simulated failure: a file matches');
  expect(shown[1]).toContain('simulated failure');

  // One click leads to the device and its failed attempt.
  await causes
    .first()
    .getByRole('link', { name: /^till-/ })
    .click();
  await page.getByRole('heading', { level: 1, name: /^till-/ }).waitFor();
  await page
    .getByText(/simulated failure: a file matches/)
    .first()
    .waitFor();

  // The place leads to the line of the file.
  await page.goBack();
  await causes
    .first()
    .getByRole('link', { name: /config\/terminal\.json:3/ })
    .click();
  await page.getByText('"mode": "broken"').first().waitFor();
  expect(browser.problems).toEqual([]);
});
