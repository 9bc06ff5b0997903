import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { openFleet } from '../support/fleet.ts';
import { openReverseProxy } from '../support/reverse-proxy.ts';
import { ADMIN_TOKEN, openService } from '../support/service.ts';

let fleet: Awaited<ReturnType<typeof openFleet>>;
let browser: TestBrowser;

beforeAll(async () => {
  fleet = await openFleet();
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

const newPage = async () => (await browser.context()).newPage();
const urlOf = (path: string) => fleet.service.url + path;
const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name });
const give = async (page: Page, token: string) => {
  await page.getByLabel('API token').fill(token);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
};
const signOut = async (page: Page) => {
  await page.getByRole('button', { name: /^Signed in as/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await heading(page, 'Sign in to Bellwether').waitFor();
};

test('a wrong token is refused in words, the right one signs in, and signing out ends the session', async () => {
  const page = await newPage();
  await page.goto(urlOf('/'));
  await heading(page, 'Sign in to Bellwether').waitFor();
  await give(page, 'not-a-token-of-this-service-at-all');
  await page.getByRole('alert').getByText(/token/i).waitFor();
  await give(page, ADMIN_TOKEN);
  await heading(page, 'Overview').waitFor();
  expect(page.url()).toBe(urlOf('/'));
  const cookies = await page.context().cookies();
  expect(cookies.map(({ httpOnly, sameSite }) => ({ httpOnly, sameSite }))).toContainEqual({ httpOnly: true, sameSite: 'Strict' });
  await signOut(page);
  await page.goto(urlOf('/devices'));
  await heading(page, 'Sign in to Bellwether').waitFor();
  await page.context().close();
});

test('a one-time link signs in once; the second use is refused in words', async () => {
  const { url } = (await fleet.api('POST', '/session-links', {})).body;
  const first = await newPage();
  await first.goto(url);
  await heading(first, 'Overview').waitFor();
  expect(first.url()).not.toContain('code');
  const second = await newPage();
  await second.goto(url);
  await second
    .getByRole('alert')
    .getByText(/link|code/i)
    .waitFor();
  await heading(second, 'Sign in to Bellwether').waitFor();
  expect(second.url()).not.toContain('code');
  await first.context().close();
  await second.context().close();
});

test('an address that needs a sign-in comes back to itself, with its filter', async () => {
  const page = await newPage();
  const wanted = urlOf('/devices?q=no+such&sort=name&order=desc');
  await page.goto(wanted);
  await heading(page, 'Sign in to Bellwether').waitFor();
  await give(page, ADMIN_TOKEN);
  await heading(page, 'Devices').waitFor();
  const { pathname, searchParams } = new URL(page.url());
  expect([pathname, Object.fromEntries(searchParams)]).toEqual(['/devices', { q: 'no such', sort: 'name', order: 'desc' }]);
  await page.getByText('No device matches the filter').waitFor();
  await page.context().close();
});

test('the sign-in never leads to an address outside', async () => {
  const page = await newPage();
  for (const next of ['//evil.invalid/x', 'https://evil.invalid/x', '/\\evil.invalid/x']) {
    await page.goto(urlOf(`/login?next=${encodeURIComponent(next)}`));
    await give(page, ADMIN_TOKEN);
    await heading(page, 'Sign in to Bellwether').waitFor({ state: 'detached' });
    expect(new URL(page.url()).origin, next).toBe(fleet.service.url);
    await page.context().clearCookies();
  }
  await page.context().close();
});

test('a viewer sees the fleet, and no act', async () => {
  const source = await fleet.source('gateways', { rolloutPolicy: { approval: { beforeRollout: true } } });
  await fleet.run(await fleet.enrol(source, 2, 'gateway'));
  await fleet.push(source, { 'gateway.yaml': 'uplink: lte\n' });
  const { id } = await fleet.rollout(source, 'awaiting_approval');
  const { token } = (await fleet.api('POST', '/tokens', { name: 'visitor', role: 'viewer' })).body;
  const admin = await browser.signedIn(fleet.service.url, ADMIN_TOKEN);
  const viewer = await browser.signedIn(fleet.service.url, token);
  const acts: [string, RegExp][] = [
    ['/devices', /^(Register device|Import)$/],
    [`/rollouts/${id}`, /^(Approve|Reject|Abort)$/],
    ['/sources', /^Add source$/],
    [`/sources/${source.id}`, /^Sync now$/],
  ];
  for (const [path, name] of acts) {
    await admin.goto(urlOf(path));
    await admin.getByRole('main').getByRole('button', { name }).first().waitFor();
    await viewer.goto(urlOf(path));
    await viewer.locator('main h1').waitFor();
    await viewer.waitForLoadState('networkidle');
    expect(await viewer.getByRole('main').getByRole('button', { name }).count(), path).toBe(0);
  }
  await viewer.goto(urlOf('/devices'));
  await viewer.getByRole('row', { name: /gateway-0001/ }).waitFor();
  expect(await viewer.getByRole('checkbox').count()).toBe(0);
  await viewer.context().close();
  await admin.context().close();
});

test('the dashboard works below the path of a proxy', async () => {
  await using service = await openService({ TRUST_PROXY: 'true' });
  const headers = { 'x-forwarded-prefix': '/fleet/bw' };
  await using proxy = await openReverseProxy({ target: service.url, prefix: '/fleet/bw', strips: true, headers });
  const page = await newPage();
  await page.goto(`${proxy.url}/devices?q=none`);
  await give(page, ADMIN_TOKEN);
  await heading(page, 'Devices').waitFor();
  expect(page.url()).toBe(`${proxy.url}/devices?q=none`);
  await page.getByRole('status').getByText('Live', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Sources' }).click();
  await heading(page, 'Sources').waitFor();
  expect(page.url()).toBe(`${proxy.url}/sources`);
  await page.reload();
  await heading(page, 'Sources').waitFor();
  await page.context().close();
});

test('nothing that a page did was against the policy', () => {
  expect(browser.problems).toEqual([]);
});
