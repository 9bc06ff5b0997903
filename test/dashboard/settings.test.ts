import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from '../support/accessibility.ts';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { openHost } from '../support/http-host.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

let service: TestService;
let browser: TestBrowser;
let receiver: Awaited<ReturnType<typeof openHost>>;
let posts = 0;
let page: Page;
let viewer: Page;

beforeAll(async () => {
  service = await openService();
  receiver = await openHost((_request, response) => {
    posts += 1;
    response.writeHead(204).end();
  });
  browser = await openBrowser();
  page = await browser.signedIn(service.url, ADMIN_TOKEN);
  const { token } = (await service.api('POST', '/tokens', { name: 'visitor', role: 'viewer' })).body;
  viewer = await browser.signedIn(service.url, token);
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await receiver?.[Symbol.asyncDispose]();
  await service?.close();
});

const open = (tab: string, by = page) => by.goto(`${service.url}/settings?tab=${tab}`);

test('colours and the time zone are kept by the browser', async () => {
  await page.goto(`${service.url}/settings`);
  await page.getByRole('radio', { name: 'Dark' }).click();
  await page.locator('.radix-themes.dark').first().waitFor();
  await page.getByRole('radio', { name: 'UTC' }).click();
  await page.getByText(/Now it is .* UTC/).waitFor();
  await page.reload();
  await page.locator('.radix-themes.dark').first().waitFor();
  await page.getByRole('radio', { name: 'System' }).click();
});

test('a token is created, shown once, works, and is refused after it is revoked', async () => {
  await open('tokens');
  await page.getByRole('button', { name: 'Create token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('build job');
  await dialog.getByRole('combobox', { name: 'Role' }).click();
  await page.getByRole('option', { name: /^Operator/ }).click();
  await dialog.getByRole('button', { name: 'Create', exact: true }).click();
  const token = (await dialog.getByLabel('the token', { exact: true }).textContent()) ?? '';
  const mine = service.apiAs(token);
  expect((await mine('GET', '/me')).body.role).toBe('operator');
  await dialog.getByRole('button', { name: 'Done' }).click();
  const row = page.getByRole('row').filter({ hasText: 'build job' });
  await row.waitFor();
  expect(await page.getByText(token).count()).toBe(0);
  await row.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('button', { name: 'Revoke token' }).click();
  await page.getByRole('alertdialog').waitFor({ state: 'detached' });
  await row.waitFor({ state: 'detached' });
  expect((await mine('GET', '/me')).status).toBe(401);
});

test('a site is created, renamed, and deleted once it is empty', async () => {
  await open('sites');
  await page.getByRole('button', { name: 'Create site' }).first().click();
  await page.getByRole('dialog').getByLabel('Name').fill('Old dock');
  await page.getByRole('dialog').getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('button', { name: 'Rename Old dock' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('New dock');
  await page.getByRole('dialog').getByRole('button', { name: 'Rename', exact: true }).click();
  await page.getByRole('row').filter({ hasText: 'New dock' }).waitFor();
  const [site] = (await service.api('GET', '/sites')).body.items;
  await service.api('POST', '/devices', { id: 'dock-1', siteId: site.id });
  await page.getByRole('button', { name: 'Delete New dock' }).click();
  await page.getByRole('button', { name: 'Delete site' }).click();
  await page.getByRole('alert').getByText('it has 1 device').waitFor();
  await service.api('PATCH', '/devices/dock-1', { siteId: null });
  await page.getByRole('button', { name: 'Delete site' }).click();
  await page.getByText('No sites yet').waitFor();
});

test('an enrolment token is created with its uses, and admits a device', async () => {
  await open('enrolment');
  await page.getByRole('button', { name: 'Create enrolment token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Devices', { exact: true }).fill('2');
  await dialog.getByLabel('Labels').fill('floor=2');
  await dialog.getByRole('button', { name: 'Create', exact: true }).click();
  const token = (await dialog.getByLabel('the enrolment token', { exact: true }).textContent()) ?? '';
  const [row] = await service.database.sql<{ usesLeft: number; labels: unknown }[]>`
    select uses_left as "usesLeft", labels from enrolment_tokens where last4 = ${token.slice(-4)}`;
  expect(row).toEqual({ usesLeft: 2, labels: { floor: '2' } });
  await dialog.getByRole('button', { name: 'Done' }).click();
});

test('a notification is created and tested; its delivery is listed and delivered again', async () => {
  await open('notifications');
  await page.getByRole('button', { name: 'Create notification' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('on-call');
  await dialog.getByLabel('Address').fill(`${receiver.url}/hooks/on-call`);
  await dialog.getByLabel('Events').fill('site.*');
  await dialog.getByRole('combobox', { name: 'Severity' }).click();
  await page.getByRole('option', { name: 'Everything' }).click();
  await dialog.getByRole('button', { name: 'Create', exact: true }).click();
  await dialog.getByText('whsec_').waitFor();
  await dialog.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('row').filter({ hasText: 'on-call' }).click();
  await page.getByRole('button', { name: 'Send a test' }).click();
  await page.getByText('The receiver took the test').waitFor();
  await service.api('POST', '/sites', { name: 'Noticed' });
  const deliveries = page.getByRole('grid', { name: 'Deliveries' });
  await deliveries.getByText('site.created').waitFor();
  await deliveries.getByText('Delivered').waitFor();
  const before = posts;
  await deliveries.getByRole('button', { name: 'Redeliver' }).click();
  await expect.poll(() => posts, { timeout: 60_000 }).toBeGreaterThan(before);
  expect(page.url()).toContain('at=');
});

test('syncing with all platforms is stopped and started', async () => {
  await open('integrations');
  await page.getByRole('button', { name: 'Stop syncing' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Stop syncing' }).click();
  await page.getByText('off: no integration syncs').waitFor();
  await page.getByRole('button', { name: 'Start syncing' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Start syncing' }).click();
  await page.getByText('on: every enabled integration syncs').waitFor();
});

test('a viewer sees no act, and no tab that the API would refuse', async () => {
  await open('sites', viewer);
  await viewer.getByRole('grid', { name: 'Sites' }).waitFor();
  expect(await viewer.getByRole('button', { name: /Create|Rename|Hold|Delete/ }).count()).toBe(0);
  expect(await viewer.getByRole('link', { name: 'API tokens' }).count()).toBe(0);
  await open('tokens', viewer);
  await viewer.getByText('API tokens are not for your role').waitFor();
  await open('integrations', viewer);
  await viewer.getByText('on: every enabled integration syncs').waitFor();
  expect(await viewer.getByRole('button', { name: /syncing/ }).count()).toBe(0);
});

test('every tab works for a screen reader, and none scrolls sideways at 360 px', async () => {
  for (const width of [360, 1440])
    for (const tab of [
      'appearance',
      'sites',
      'tokens',
      'tokens&new=true',
      'enrolment',
      'notifications',
      'notifications&new=true',
      'integrations',
    ]) {
      await page.setViewportSize({ width, height: 800 });
      await open(tab);
      await page.locator('main h1').waitFor();
      await page.waitForLoadState('networkidle');
      expect(await seriousFindings(page), tab).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth - window.innerWidth'), tab).toBeLessThanOrEqual(0);
    }
  expect(browser.problems).toEqual([]);
});
