import { createHmac } from 'node:crypto';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from '../support/accessibility.ts';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { openFleet } from '../support/fleet.ts';
import { ADMIN_TOKEN } from '../support/service.ts';

const LOGIN = { user: 'ada', password: 'right-password' };
const SCHEMA = JSON.stringify({ type: 'object', properties: { vlan: { type: 'integer', maximum: 4094 } } });
const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - { files: "config/*.json", schema: schemas/till.schema.json }
`;
const files = (vlan: number) => ({
  'bellwether.yaml': MANIFEST,
  'schemas/till.schema.json': SCHEMA,
  'config/terminal.json': `{\n  "host": "pos.example.com",\n  "vlan": ${vlan}\n}\n`,
});

let fleet: Awaited<ReturnType<typeof openFleet>>;
let browser: TestBrowser;
let page: Page;
let viewer: Page;

beforeAll(async () => {
  fleet = await openFleet();
  browser = await openBrowser();
  page = await browser.signedIn(fleet.service.url, ADMIN_TOKEN);
  const { token } = (await fleet.api('POST', '/tokens', { name: 'visitor', role: 'viewer' })).body;
  viewer = await browser.signedIn(fleet.service.url, token);
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

const open = (path: string, by = page) => by.goto(fleet.service.url + path);

test('a source is added: its connection is tried before it is saved, and its commits arrive without a reload', async () => {
  const url = await fleet.host.createRepository('terminals', LOGIN);
  await fleet.host.commit('terminals', files(120), { message: 'Begin with VLAN 120', author: 'Ada Marín <ada@example.com>' });
  await open('/sources');
  await page.getByRole('button', { name: 'Add source' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('terminals');
  await dialog.getByLabel('Repository').fill(url);
  await dialog.getByRole('combobox', { name: 'Credentials' }).click();
  await page.getByRole('option', { name: 'User and password' }).click();
  await dialog.getByLabel('User').fill(LOGIN.user);
  await dialog.getByLabel('Password').fill('wrong-password');
  await dialog.getByRole('button', { name: 'Create source' }).click();
  await dialog.getByText('The connection does not work').waitFor();
  expect((await fleet.api('GET', '/sources')).body.items).toEqual([]);
  await dialog.getByLabel('Password').fill(LOGIN.password);
  await dialog.getByRole('button', { name: 'Test connection' }).click();
  await dialog.getByText('The connection works: main is at').waitFor();
  await dialog.getByRole('button', { name: 'Create source' }).click();
  await page.getByRole('heading', { level: 1, name: 'terminals' }).waitFor();
  await page.getByRole('region', { name: 'Head commit' }).getByText('Begin with VLAN 120').waitFor();
  await fleet.host.commit('terminals', files(130), { message: 'Move to VLAN 130' });
  await page.getByRole('button', { name: 'Sync now' }).click();
  await page.getByRole('region', { name: 'Head commit' }).getByText('Move to VLAN 130').waitFor();
});

test('a name that is taken is refused at its field', async () => {
  await fleet.source('taken');
  await open('/sources?new=true');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('taken');
  await dialog.getByLabel('Repository').fill('http://127.0.0.1:9/x.git');
  await dialog.getByRole('button', { name: 'Create source' }).click();
  await dialog.getByRole('button', { name: 'Create anyway' }).click();
  await expect.poll(() => dialog.getByLabel('Name').getAttribute('aria-invalid')).toBe('true');
});

test('a hook is delivered: the page says what became of it', async () => {
  const secret = 'hook-secret-0123456789';
  const source = await fleet.source('hooked', { webhook: { provider: 'github', secret } });
  await fleet.push(source, files(120));
  await open(`/sources/${source.id}?tab=webhook`);
  await page.getByText('No delivery yet. Push a commit').waitFor();
  const { hookUrl } = (await fleet.api('GET', `/sources/${source.id}`)).body;
  await page.getByText(hookUrl).waitFor();
  const body = JSON.stringify({ ref: 'refs/heads/main', after: 'a'.repeat(40), repository: {} });
  const post = (key: string, id: string) =>
    fetch(hookUrl.replace(/^https?:\/\/[^/]+/, fleet.service.url), {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'push',
        'x-github-delivery': id,
        'x-hub-signature-256': `sha256=${createHmac('sha256', key).update(body).digest('hex')}`,
      },
    });
  await post('another-secret-0123456789', 'd-1');
  await page.getByText('The webhook does not work.').waitFor();
  await page.getByRole('grid', { name: 'Deliveries' }).getByText('Unauthorized').waitFor();
  await post(secret, 'd-2');
  await page.getByText('The webhook works.').waitFor();
  await page.getByRole('button', { name: 'Redeliver' }).click();
  await page.getByRole('button', { name: 'Queued' }).waitFor();
});

test('the errors of a rejected commit stand at their file and line', async () => {
  const source = await fleet.source('rejected');
  await fleet.push(source, files(120));
  await open(`/sources/${source.id}?tab=revisions`);
  await page.getByRole('grid', { name: 'Revisions' }).getByText('Valid', { exact: true }).waitFor();
  await fleet.push(source, files(5_000), { author: 'Chidi Obi <chidi@example.com>' });
  await page.getByRole('grid', { name: 'Revisions' }).getByText('Chidi Obi').waitFor();
  const errors = page.getByRole('list', { name: 'Errors of the commit' });
  await errors.getByText('config/terminal.json:3').waitFor();
  await errors.locator('#L3[data-mark=error]').filter({ hasText: '"vlan": 5000' }).waitFor();
  expect(await errors.getByRole('listitem').count()).toBe(1);
});

test('a plan says which devices a branch would change, and how', async () => {
  const source = await fleet.source('planned');
  await fleet.push(source, files(120));
  await fleet.enrol(source, 2, 'plan');
  await fleet.host.commit('planned', { 'config/terminal.json': '{ "vlan": 131 }\n' }, { branch: 'next' });
  await open(`/sources/${source.id}?tab=merge-requests`);
  await page.getByLabel('Branch, tag or commit').fill('next');
  await page.getByRole('button', { name: 'Show plan' }).click();
  await page.getByText('2 of 2 devices change.').waitFor();
  await page.getByRole('grid', { name: 'Devices of the plan' }).getByText('plan-0001').waitFor();
  await page.getByText('"vlan": 131').waitFor();
  expect(page.url()).toContain('ref=next');
});

test('settings are changed where they differ, and a refusal stands at its field', async () => {
  const source = await fleet.source('settled');
  await open(`/sources/${source.id}?tab=settings`);
  const form = page.getByRole('region', { name: 'Settings' });
  await form.getByLabel('Check every').fill('3');
  await form.getByRole('button', { name: 'Save changes' }).click();
  await expect.poll(() => form.getByLabel('Check every').getAttribute('aria-invalid')).toBe('true');
  await form.getByLabel('Check every').fill('77');
  await form.getByLabel('Rollout policy', { exact: true }).fill('{"maxParallel": 7}');
  await form.getByRole('button', { name: 'Save changes' }).click();
  await form.getByText('Saved; a check runs now.').waitFor();
  const after = (await fleet.api('GET', `/sources/${source.id}`)).body;
  expect([after.pollIntervalSeconds, after.rolloutPolicy, after.name]).toEqual([77, { maxParallel: 7 }, 'settled']);
});

test('a source is held with a reason and released, and deleted when its name is typed', async () => {
  const source = await fleet.source('shortlived');
  await open(`/sources/${source.id}`);
  await page.getByRole('button', { name: 'Hold' }).click();
  await page.getByRole('alertdialog').getByText('0 devices follow this source').waitFor();
  await page.getByLabel('Reason').fill('inventory');
  await page.getByRole('button', { name: 'Hold source' }).click();
  await page.getByText('inventory. No device of this source changes').waitFor();
  await page.getByRole('button', { name: 'Release' }).click();
  await page.getByRole('button', { name: 'Release source' }).click();
  await page.getByRole('button', { name: 'Hold' }).waitFor();
  await open(`/sources/${source.id}?tab=settings`);
  await page.getByRole('button', { name: 'Delete source' }).click();
  const dialog = page.getByRole('alertdialog');
  await expect.poll(() => dialog.getByRole('button', { name: 'Delete source' }).isDisabled()).toBe(true);
  await dialog.getByLabel('Type “shortlived” to confirm').fill('shortlived');
  await dialog.getByRole('button', { name: 'Delete source' }).click();
  await page.getByRole('heading', { level: 1, name: 'Sources' }).waitFor();
  expect((await fleet.api('GET', `/sources/${source.id}`)).status).toBe(404);
});

test('a viewer reads everything and sees no act', async () => {
  const source = await fleet.source('looked-at');
  await fleet.push(source, files(120));
  await open('/sources', viewer);
  await viewer.getByRole('grid', { name: 'Sources' }).getByText('looked-at', { exact: true }).waitFor();
  expect(await viewer.getByRole('button', { name: 'Add source' }).count()).toBe(0);
  for (const tab of ['summary', 'revisions', 'webhook', 'merge-requests', 'settings']) {
    await open(`/sources/${source.id}?tab=${tab}`, viewer);
    await viewer.getByRole('heading', { level: 1, name: 'looked-at' }).waitFor();
    await viewer.waitForLoadState('networkidle');
    const acts = /Sync now|Hold|Roll back|Install|Redeliver|Save|Delete/;
    expect(await viewer.getByRole('button', { name: acts }).count(), tab).toBe(0);
  }
});

test('every tab works for a screen reader, and none scrolls sideways at 360 px', async () => {
  const source = await fleet.source('narrow', { webhook: { provider: 'gitlab', secret: 'a-secret-of-gitlab' } });
  await fleet.push(source, files(120));
  await fleet.push(source, files(5_000));
  const paths = [
    '/sources',
    '/sources?new=true',
    ...['summary', 'revisions', 'webhook', 'merge-requests&ref=main', 'settings'].map((tab) => `/sources/${source.id}?tab=${tab}`),
  ];
  for (const width of [360, 1440])
    for (const path of paths) {
      await page.setViewportSize({ width, height: 800 });
      await open(path);
      // An open dialog hides the rest of the page from assistive technology, its heading too.
      await page.locator('main h1').waitFor();
      await page.waitForLoadState('networkidle');
      expect(await seriousFindings(page), path).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth - window.innerWidth'), path).toBeLessThanOrEqual(0);
    }
  expect(browser.problems).toEqual([]);
});
