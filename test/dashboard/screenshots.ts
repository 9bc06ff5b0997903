import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { ADMIN_TOKEN } from '../support/service.ts';
import { openTown } from './town.ts';

/** `npm run screenshots`: every page, light and dark, wide and narrow, into `data/screenshots`. `PAGES=devices,rollout` and `LOOKS=light-wide` choose some. */
const FOLDER = join(import.meta.dirname, '../../data/screenshots');
const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 360, height: 740 } };

test('every page is drawn', async () => {
  await using town = await openTown();
  await using browser = await openBrowser();
  mkdirSync(FOLDER, { recursive: true });
  const wanted = process.env.PAGES?.split(',');
  const looks = process.env.LOOKS?.split(',');
  const pages = Object.entries(await pagesOf(town)).filter(([name]) => wanted === undefined || wanted.includes(name));
  for (const colorScheme of ['light', 'dark'] as const)
    for (const [size, viewport] of Object.entries(SIZES)) {
      if (looks !== undefined && !looks.includes(`${colorScheme}-${size}`)) continue;
      const page = await browser.signedIn(town.service.url, ADMIN_TOKEN, { viewport, colorScheme });
      for (const [name, path] of pages) {
        await page.goto(town.service.url + path);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.waitForLoadState('networkidle');
        await page.screenshot({ path: join(FOLDER, `${name}-${colorScheme}-${size}.png`) });
      }
      await page.context().close();
    }
  expect(browser.problems).toEqual([]);
});

async function pagesOf({ api, tills, gateways }: Awaited<ReturnType<typeof openTown>>): Promise<Record<string, string>> {
  const rollouts: { id: string; state: string }[] = (await api('GET', `/rollouts?sourceId=${tills.id}&limit=50`)).body.items;
  const aborted = rollouts.find(({ state }) => state === 'aborted')?.id;
  return {
    overview: '/',
    devices: '/devices',
    'devices-failed': '/devices?status=["failed","rolled_back"]',
    device: '/devices/till-0001',
    'device-files': '/devices/till-0001?tab=files',
    'device-history': '/devices/till-0001?tab=history',
    'device-telemetry': '/devices/till-0001?tab=telemetry',
    'device-log': '/devices/till-0001?tab=log',
    rollouts: '/rollouts',
    rollout: `/rollouts/${aborted}`,
    'rollout-diff': `/rollouts/${aborted}?tab=diff`,
    sources: '/sources',
    source: `/sources/${tills.id}`,
    'source-revisions': `/sources/${tills.id}?tab=revisions`,
    'source-webhook': `/sources/${gateways.id}?tab=webhook`,
    'source-plan': `/sources/${tills.id}?tab=merge-requests&ref=main`,
    'source-settings': `/sources/${tills.id}?tab=settings`,
    'source-new': '/sources?new=true',
    integrations: '/integrations',
    integration: '/integrations/golioth',
    'integration-conflicts': '/integrations/golioth?tab=conflicts',
    activity: '/activity',
    audit: '/activity?tab=audit',
    settings: '/settings',
    'settings-sites': '/settings?tab=sites',
    'settings-tokens': '/settings?tab=tokens',
    'settings-enrolment': '/settings?tab=enrolment',
    'settings-notifications': '/settings?tab=notifications',
  };
}
