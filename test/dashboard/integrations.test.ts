import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GoliothServer, openGolioth } from '../../src/demo/vendors/golioth/server.ts';
import { seriousFindings } from '../support/accessibility.ts';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { ADMIN_TOKEN, eventually, openService, type TestService } from '../support/service.ts';

/** Machines are slow. */
/** A page that does not show it after this time read it before a sync. */
const SHOWN_MS = 15_000;
const POLL = { timeout: 60_000 };

let service: TestService;
let golioth: GoliothServer;
let browser: TestBrowser;
let page: Page;
let viewer: Page;

beforeAll(async () => {
  service = await openService();
  golioth = await openGolioth({ devices: 250, latencyMs: 400 });
  browser = await openBrowser();
  page = await browser.signedIn(service.url, ADMIN_TOKEN);
  const { token } = (await service.api('POST', '/tokens', { name: 'visitor', role: 'viewer' })).body;
  viewer = await browser.signedIn(service.url, token);
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await service?.close();
  await golioth?.close();
});

const open = (path: string, by = page) => by.goto(service.url + path);
const integration = async () => (await service.api('GET', '/integrations/golioth')).body;
const button = (name: string | RegExp, by = page) => by.getByRole('button', { name });

/** A device that both sides know; the sync of the page is over. */
async function deviceOf(name: string): Promise<{ deviceId: string; externalId: string }> {
  const externalId = [...golioth.project.devices.values()].find((device) => device.name === name)?.id ?? '';
  const { items } = (await service.api('GET', '/integrations/golioth/assignments?limit=500')).body;
  return items.find((one: { externalId: string }) => one.externalId === externalId);
}

/** Both sides rename the device between two syncs, and the second sync finds it. */
async function conflictOver(name: string): Promise<string> {
  const { deviceId, externalId } = await deviceOf(name);
  // A change here is written to the platform at once, which reads the device first.
  golioth.change(externalId, { name: `${name} of there` });
  expect((await service.api('PATCH', `/devices/${deviceId}`, { name: `${name} of here` })).status).toBe(200);
  return deviceId;
}

const openConflicts = async (count: number) =>
  eventually(`${count} open conflicts`, async () => {
    const { items } = (await service.api('GET', '/integrations/golioth/conflicts?state=open')).body;
    return items.length === count;
  });

test('a platform is chosen, a wrong key is refused at its field, a right one shows devices, and the first sync is followed live', async () => {
  await open('/integrations');
  await page.getByText('No integration yet').waitFor();
  await page.getByRole('link', { name: 'Add an integration' }).first().click();
  await page.getByRole('link', { name: /^Golioth/ }).click();
  await page.getByRole('heading', { level: 1, name: 'Add Golioth' }).waitFor();

  // The API names the missing field, and the page marks it.
  await button('Test the connection').click();
  await page
    .getByText('One field must be corrected')
    .or(page.getByText(/fields must be corrected/))
    .first()
    .waitFor();
  const project = page.getByLabel('Project ID');
  await expect.poll(() => project.getAttribute('aria-invalid'), POLL).toBe('true');

  await page.getByLabel('Name', { exact: false }).first().fill('Meters');
  await project.fill(golioth.project.id);
  await page.getByText(/more settings/).click();
  await page.getByLabel('API URL').fill(String(golioth.settings.apiUrl));
  await page.getByLabel('API key').fill('wrong-key-000000');
  expect(await page.getByLabel('API key').getAttribute('type')).toBe('password');
  await button('Test the connection').click();
  await expect.poll(() => page.getByLabel('API key').getAttribute('aria-invalid'), POLL).toBe('true');
  await page.getByText('Correct the credentials and test again.').waitFor();

  await page.getByLabel('API key').fill(golioth.project.apiKey);
  await button('Test the connection').click();
  await page.getByText(/Connected to .*250 devices/).waitFor();
  await page.getByRole('region', { name: 'Devices of the account' }).getByText('meter-0', { exact: true }).waitFor();

  await page.getByRole('combobox', { name: 'Direction', exact: true }).click();
  await page.getByRole('option', { name: 'Both ways' }).click();
  await page.getByRole('combobox', { name: 'When both sides changed a field' }).click();
  await page.getByRole('option', { name: 'A person decides' }).click();
  await page.getByLabel('Minutes between two syncs').fill('60');
  await button('Add the integration').click();
  await page.getByRole('heading', { level: 1, name: 'Meters' }).waitFor();

  await page.getByText(/Syncing: \d+ devices read/).waitFor();
  // On a busy machine a sync that was due follows at once, and is the last one then.
  await page
    .getByText(/250 read/)
    .first()
    .waitFor();
  const { items: runs } = (await service.api('GET', '/integrations/golioth/sync-log?kind=runs')).body;
  expect(runs.map(({ details }: { details: { created: number } }) => details.created)).toContain(250);
  await expect.poll(integration, POLL).toMatchObject({ direction: 'both', strategy: 'manual', intervalSeconds: 3_600, state: 'ok' });
});

test('the list shows the state in words, conflicts and devices, and its row leads to the page', async () => {
  await open('/integrations');
  const row = page.getByRole('row').filter({ hasText: 'Meters' });
  await row.getByText('OK').waitFor();
  await row.getByText('250', { exact: true }).waitFor();
  await row.getByText('Both ways').waitFor();
  await row.getByRole('link', { name: 'Meters' }).click();
  await page.getByRole('heading', { level: 1, name: 'Meters' }).waitFor();
});

test('a conflict made on both sides appears live and is resolved; many are resolved in one go; who and when is shown', async () => {
  await open('/integrations/golioth?tab=conflicts');
  await page.getByText('No conflict is open').waitFor();
  const first = await conflictOver('meter-1');
  await conflictOver('meter-2');
  await conflictOver('meter-3');
  await openConflicts(3);
  const row = page.getByRole('row').filter({ hasText: first });
  await row.getByText('meter-1 of there').waitFor();
  await row.getByText('meter-1', { exact: true }).first().waitFor();

  await row.click({ position: { x: 400, y: 20 } });
  const panel = page.getByRole('region', { name: `Conflict in name of ${first}` });
  await panel.getByText('meter-1 of here').first().waitFor();
  expect(new URL(page.url()).searchParams.get('at')).not.toBeNull();
  await panel.getByRole('button', { name: 'Keep the value here' }).click();
  await row.waitFor({ state: 'detached' });

  await page.getByRole('checkbox', { name: 'Select all shown rows' }).click();
  await page.getByText('2 conflicts chosen').waitFor();
  await button("Take the platform's values").click();
  await button('Resolve').click();
  await page.getByText('No conflict is open').waitFor();
  await openConflicts(0);

  await page.getByRole('radio', { name: 'Resolved' }).click();
  const ended = page.getByRole('row').filter({ hasText: first });
  await ended.getByText('the value here').waitFor();
  await ended.getByText('token:').waitFor();
  await eventually('the platform has the value of here', async () =>
    [...golioth.project.devices.values()].some(({ name }) => name === 'meter-1 of here'),
  );
});

test('the history has each sync with its counts, and a sync shows what it changed of each device', async () => {
  await open('/integrations/golioth?tab=history');
  const syncs = page.getByRole('grid', { name: 'Syncs' });
  const first = syncs.getByRole('row').filter({ hasText: '250' }).last();
  await first.getByText('Succeeded').waitFor();
  await first.click({ position: { x: 200, y: 20 } });
  const changes = page.getByRole('region', { name: 'Changes of the sync' });
  await changes.getByRole('row').nth(2).waitFor();
  await changes
    .getByText(/name: meter-/)
    .first()
    .waitFor();
});

test('settings are changed with the same form, and a refused value stays with its reason', async () => {
  await open('/integrations/golioth?tab=settings');
  await page.getByLabel('Minutes between two syncs').fill('0.5');
  await button(/^Save/).click();
  await expect.poll(() => page.getByLabel('Minutes between two syncs').getAttribute('aria-invalid'), POLL).toBe('true');
  await page.getByLabel('Minutes between two syncs').fill('30');
  await button('Test the connection').click();
  await page.getByText(/Connected to/).waitFor();
  await button('Save').click();
  await page.getByText('Saved.').waitFor();
  expect(await integration()).toMatchObject({ intervalSeconds: 1_800, state: 'ok' });
});

test('an integration whose key was revoked says that it is blocked and why, and new credentials end it', async () => {
  const { apiKey } = golioth.project;
  await open('/integrations/golioth');
  await page.getByText('Last success').waitFor();
  golioth.project.apiKey = 'another-key-0123456789';
  await service.api('POST', '/integrations/golioth/sync');
  await page.getByText(/^Blocked: /).waitFor();
  expect(await button('Sync now').count()).toBe(0);
  await page.getByRole('link', { name: 'Enter new credentials' }).waitFor();
  const renew = button('Enter new credentials');
  if (await renew.isVisible()) await renew.click();
  await page.getByLabel('API key').fill('not-yet-the-right-one');
  await button('Test and store').click();
  await page.getByRole('alert').filter({ hasText: 'the stored credentials stay' }).waitFor();
  await page.getByLabel('API key').fill(golioth.project.apiKey);
  await button('Test and store').click();
  await page.getByText(/^Blocked: /).waitFor({ state: 'detached' });
  await button('Sync now').waitFor();
  golioth.project.apiKey = apiKey;
  const before = new Date().toISOString();
  await service.api('POST', '/integrations/golioth/credentials', { credentials: { apiKey } });
  await eventually('the sync with the new credentials to end', async () => {
    const { running, lastRun } = (await service.api('GET', '/integrations/golioth/sync-status')).body;
    return running === null && lastRun.startedAt > before;
  });
});

test('a stale integration says since when its devices are shown', async () => {
  const since = new Date(Date.now() - 3 * 3_600_000).toISOString();
  await eventually('no sync runs', async () => (await service.api('GET', '/integrations/golioth/sync-status')).body.running === null);
  const shows = (where: Locator) =>
    where.waitFor({ timeout: SHOWN_MS }).then(
      () => true,
      () => false,
    );
  // A sync of an earlier test's edit may end meanwhile, which is a success.
  await eventually('both pages show it', async () => {
    await service.database.sql`update device_services set stale_since = ${since}, last_success_at = ${since}`;
    await open('/integrations');
    const row = page.getByRole('row').filter({ hasText: 'Meters' });
    if (!(await shows(row.getByText(/Stale\s+since 3 hr. ago/)))) return false;
    await open('/integrations/golioth');
    return shows(page.getByText(/Stale: the last sync that succeeded was 3 hr. ago/));
  });
  await button('Sync now').click();
  await page.getByText(/^Stale: /).waitFor({ state: 'detached' });
});

test('devices lead to their pages and are unassigned after a question', async () => {
  await open('/integrations/golioth?tab=devices');
  const [{ deviceId }] = (await service.api('GET', '/integrations/golioth/assignments?limit=1')).body.items;
  const unassign = page.getByRole('button', { name: `Unassign ${deviceId}`, exact: true });
  expect(await page.getByRole('link', { name: deviceId, exact: true }).getAttribute('href')).toBe(`/devices/${deviceId}`);
  await unassign.click();
  await page.getByRole('alertdialog').getByText('1 device is no longer synced').waitFor();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Unassign' }).click();
  await unassign.waitFor({ state: 'detached' });
});

test('a hook secret is shown once, and switching off says how many devices it touches', async () => {
  await open('/integrations/golioth');
  await button('Create a secret').click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Create a secret' }).click();
  await page.getByText('The secret is not shown again').waitFor();
  await button('Done').click();
  await page.getByText(/Secret •••• /).waitFor();
  await button('More acts on Meters').click();
  await page.getByRole('menuitem', { name: 'Switch off …' }).click();
  await page
    .getByRole('alertdialog')
    .getByText(/249 devices are no longer synced/)
    .waitFor();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Switch off' }).click();
  await page.getByText('This integration is switched off').waitFor();
  await button('More acts on Meters').click();
  await page.getByRole('menuitem', { name: 'Switch on' }).click();
  await page.getByText('This integration is switched off').waitFor({ state: 'detached' });
});

test('a viewer sees everything and no act', async () => {
  await open('/integrations', viewer);
  await viewer.getByRole('row').filter({ hasText: 'Meters' }).waitFor();
  expect(await viewer.locator('main').getByRole('button').count()).toBe(0);
  await open('/integrations/golioth', viewer);
  await viewer.getByText('Last success').waitFor();
  for (const name of ['Sync now', 'Enter new credentials', 'Replace the secret']) expect(await button(name, viewer).count()).toBe(0);
  expect(await viewer.getByRole('link', { name: 'Settings', exact: true }).count()).toBe(1);
  await open('/integrations/golioth?tab=conflicts&state=resolved', viewer);
  await viewer.getByRole('grid', { name: 'Resolved conflicts' }).waitFor();
  expect(await viewer.getByRole('checkbox').count()).toBe(0);
  await open('/integrations/golioth?tab=devices', viewer);
  await viewer.getByRole('grid').waitFor();
  expect(await button(/Unassign|^Assign/, viewer).count()).toBe(0);
});

test('every view is accessible and fits a phone', async () => {
  const narrow = await browser.signedIn(service.url, ADMIN_TOKEN, { viewport: { width: 360, height: 740 } });
  const paths = [
    '',
    '?add=choose',
    '?add=golioth',
    '?add=rest',
    ...['', '?tab=conflicts&state=resolved', '?tab=history', '?tab=devices', '?tab=settings'].map((tab) => `/golioth${tab}`),
  ];
  for (const path of paths) {
    await open(`/integrations${path}`, narrow);
    await narrow.getByRole('heading', { level: 1 }).waitFor();
    await narrow.waitForLoadState('networkidle');
    expect([path, await narrow.evaluate('document.documentElement.scrollWidth')]).toEqual([path, 360]);
    expect(await seriousFindings(narrow), path).toEqual([]);
  }
  await narrow.context().close();
});

test('no page complained', () => {
  expect(browser.problems).toEqual([]);
});
