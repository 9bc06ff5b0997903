import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { openFleet } from '../support/fleet.ts';
import { seedDevices } from '../support/seed-devices.ts';
import { ADMIN_TOKEN } from '../support/service.ts';

const config = (settings: Record<string, unknown>) => ({ 'app.json': `${JSON.stringify(settings)}\n` });

let fleet: Awaited<ReturnType<typeof openFleet>>;
let browser: TestBrowser;
let page: Page;

beforeAll(async () => {
  fleet = await openFleet();
  browser = await openBrowser();
  page = await browser.signedIn(fleet.service.url, ADMIN_TOKEN);
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

const open = (path: string) => page.goto(fleet.service.url + path);
const row = (id: string) => page.locator(`[role=row][data-key="${id}"]`);
const shown = () => page.locator('[role=row][data-key]').evaluateAll((rows) => rows.map((each) => each.getAttribute('data-key')));
const searchOf = () => Object.fromEntries(new URL(page.url()).searchParams);

test('a device is registered in the dialog: its key is shown once and works, and its row is there', async () => {
  await open('/devices');
  await page.getByText('No devices yet').waitFor();
  await page.getByRole('button', { name: 'Register device' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Id').fill('Not An Id');
  await dialog.getByRole('button', { name: 'Register', exact: true }).click();
  await dialog.getByRole('alert').waitFor();
  await dialog.getByLabel('Id').fill('kiosk-1');
  await dialog.getByLabel('Name').fill('Entrance');
  await dialog.getByRole('button', { name: 'Register', exact: true }).click();
  await dialog.getByRole('heading', { name: 'kiosk-1 is registered' }).waitFor();
  const line = (await dialog.locator('code').textContent()) ?? '';
  const [, key = ''] = /--api-key (\S+)/.exec(line) ?? [];
  const headers = { 'x-device-id': 'kiosk-1', 'x-api-key': key };
  expect((await fetch(`${fleet.service.url}/agent/v1/desired`, { headers })).status).not.toBe(401);
  await dialog.getByRole('button', { name: 'Done' }).click();
  await row('kiosk-1').getByText('Entrance').waitFor();
  expect(await page.getByText(key).count()).toBe(0);
  await page.getByRole('button', { name: 'Register device' }).click();
  expect(await dialog.getByLabel('Id').inputValue()).toBe('');
  await page.keyboard.press('Escape');
});

test('a pushed commit changes the rows of its devices without a reload, and a bad one shows as well', async () => {
  const source = await fleet.source('tills');
  const keys = await fleet.enrol(source, 3, 'till');
  await fleet.run(keys, { failWhen: /"mode":"broken"/, failWhenShare: 1 });
  await open('/devices?q=till');
  await row('till-0001').getByText('none yet').waitFor();
  await page.evaluate("window.isSamePage = 'yes'");
  for (const n of [1, 2]) {
    const commit = await fleet.push(source, config({ n }));
    for (const { id } of keys) {
      await row(id).getByText(commit.slice(0, 8)).waitFor();
      await row(id)
        .getByText(/In sync|Applied, unverified/)
        .waitFor();
    }
    await fleet.rollout(source, 'completed');
  }
  await fleet.push(source, config({ mode: 'broken' }));
  await page
    .getByRole('row')
    .filter({ hasText: /Rolled back|Failed/ })
    .first()
    .waitFor();
  expect(await page.evaluate('window.isSamePage')).toBe('yes');
});

test('filter, search and order stand in the address, are done by the server, and survive a reload', async () => {
  await fleet.api('POST', '/devices/till-0003/hold', { reason: 'in repair' });
  await open('/devices');
  await page.getByRole('button', { name: 'State' }).click();
  await page.getByRole('menuitemcheckbox', { name: /^Held/ }).click();
  await expect.poll(shown).toEqual(['till-0003']);
  expect(searchOf().status).toContain('held');
  await page.reload();
  await expect.poll(shown).toEqual(['till-0003']);
  await page.getByRole('button', { name: 'State: Held' }).click();
  await page.getByRole('menuitem', { name: 'Any' }).click();
  await expect.poll(shown).toEqual(['kiosk-1', 'till-0001', 'till-0002', 'till-0003']);
  await page.getByRole('button', { name: 'Device', exact: true }).click();
  await expect.poll(shown).toEqual(['till-0003', 'till-0002', 'till-0001', 'kiosk-1']);
  expect(searchOf()).toMatchObject({ sort: 'id', order: 'desc' });
  await page.getByRole('searchbox').fill('entran');
  await expect.poll(shown).toEqual(['kiosk-1']);
  expect(searchOf()).toMatchObject({ q: 'entran', sort: 'id', order: 'desc' });
  await page.getByRole('searchbox').fill('till');
  await expect.poll(shown).toEqual(['till-0003', 'till-0002', 'till-0001']);
  await page.reload();
  await expect.poll(shown).toEqual(['till-0003', 'till-0002', 'till-0001']);
  expect(await page.getByRole('searchbox').inputValue()).toBe('till');
});

test('a list of 1,000 devices is imported; its two bad rows stand by their number', async () => {
  const rows = Array.from({ length: 1_000 }, (_, n) => `import-${String(n + 1).padStart(4, '0')},Imported ${n + 1},scanner`);
  rows[499] = 'Not An Id,Bad,scanner';
  rows[999] = 'import-0001,Twice,scanner';
  const csv = `id,name,type\n${rows.join('\n')}\n`;
  await open('/devices');
  await page.getByRole('button', { name: 'Import' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('File').setInputFiles({ name: 'fleet.csv', mimeType: 'text/csv', buffer: Buffer.from(csv) });
  await dialog.getByRole('button', { name: 'Import', exact: true }).click();
  await dialog.getByText('998 registered, 2 refused').waitFor();
  const refused = await dialog.getByRole('listitem').allTextContents();
  expect(refused.map((line) => line.replace(/:.*/s, ''))).toEqual(['Row 500', 'Row 1000']);
  expect(refused[0]).toContain('/id');
  const [download] = await Promise.all([page.waitForEvent('download'), dialog.getByRole('link', { name: 'Download the keys' }).click()]);
  const chunks = await (await download.createReadStream()).toArray();
  const lines = Buffer.concat(chunks).toString().trim().split('\n');
  expect([lines.length, lines[0]]).toEqual([999, 'id,apiKey']);
  await dialog.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('searchbox').fill('import-0998');
  await expect.poll(shown).toEqual(['import-0998']);
});

test('of 100,000 devices only the first page is loaded; the next comes with its rows', async () => {
  const [organization] = await fleet.service.database.sql<[{ id: string }]>`select id from organizations`;
  await seedDevices(fleet.service.database.sql, organization.id, { devices: 100_000, prefix: 'seeded' });
  const nextPages: string[] = [];
  page.on('request', (request) => /\/api\/v1\/devices\?.*cursor=/.test(request.url()) && nextPages.push(request.url()));
  const [answer] = await Promise.all([
    page.waitForResponse((response) => /\/api\/v1\/devices\?/.test(response.url())),
    open('/devices?q=seeded'),
  ]);
  await row('seeded-000001').waitFor();
  const { responseBodySize } = await answer.request().sizes();
  expect(responseBodySize).toBeLessThanOrEqual(30 * 1024);
  await page.getByText('100,000', { exact: true }).waitFor();
  expect(await page.getByRole('grid', { name: 'Devices' }).getAttribute('aria-rowcount')).toBe('100000');
  expect(nextPages).toEqual([]);
  const grid = page.getByRole('grid', { name: 'Devices' });
  await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await expect.poll(() => nextPages.length).toBe(1);
  await row('seeded-000060').waitFor();
  expect((await shown()).length).toBeLessThan(60);
  await page.getByRole('searchbox').fill('seeded-099999');
  await expect.poll(shown).toEqual(['seeded-099999']);
});

test('no page complained', () => expect(browser.problems).toEqual([]));
