import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from '../support/accessibility.ts';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

/** Machines are slow. */
const POLL = { timeout: 60_000 };

let service: TestService;
let browser: TestBrowser;
let page: Page;
let viewer: Page;

beforeAll(async () => {
  service = await openService();
  browser = await openBrowser();
  page = await browser.signedIn(service.url, ADMIN_TOKEN);
  const { token } = (await service.api('POST', '/tokens', { name: 'visitor', role: 'viewer' })).body;
  viewer = await browser.signedIn(service.url, token);
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await service?.close();
});

const open = (path: string, by = page) => by.goto(`${service.url}/activity${path}`);
const addDevice = async (id: string) => expect((await service.api('POST', '/devices', { id })).status).toBe(201);
const rows = () => page.getByRole('grid', { name: 'Events' }).getByRole('row');

test('events arrive by themselves, newest first, and lead to their subject', async () => {
  await addDevice('early-1');
  await open('');
  await page.getByText('Device early-1 was registered').waitFor();
  await addDevice('late-1');
  await page.getByText('Device late-1 was registered').waitFor();
  await expect.poll(() => rows().nth(1).textContent(), POLL).toContain('late-1');
  await page.getByRole('link', { name: 'Device late-1 was registered' }).click();
  await expect.poll(() => new URL(page.url()).pathname, POLL).toBe('/devices/late-1');
});

test('a paused log stands still, says how much waits, and shows it when it goes on', async () => {
  await open('');
  await page.getByText('Device late-1 was registered').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await addDevice('waits-1');
  await addDevice('waits-2');
  await page.getByRole('button', { name: 'Show 2 new events' }).waitFor();
  expect(await page.getByText('Device waits-1 was registered').count()).toBe(0);
  await page.getByRole('button', { name: 'Show 2 new events' }).click();
  await page.getByText('Device waits-1 was registered').waitFor();
  await page.getByText('Device waits-2 was registered').waitFor();
});

test('filters stand in the address and hold for what arrives', async () => {
  await open('?subject=device%3Alate-1');
  await page.getByText('Device late-1 was registered').waitFor();
  await expect.poll(() => rows().count(), POLL).toBe(2);
  await page.getByRole('searchbox', { name: /^Subject/ }).fill('device:early-1');
  await page.getByText('Device early-1 was registered').waitFor();
  await expect.poll(() => new URL(page.url()).searchParams.get('subject'), POLL).toBe('device:early-1');

  await page.getByRole('button', { name: 'Clear filters' }).click();
  await page.getByRole('combobox', { name: 'Type' }).click();
  await page.getByRole('option', { name: 'site.created' }).click();
  await page.getByText('No event matches').waitFor();
  await addDevice('other-1');
  await service.api('POST', '/sites', { name: 'New dock' });
  await page.getByText('Site New dock was created').waitFor();
  expect(await page.getByText('Device other-1 was registered').count()).toBe(0);
  await page.reload();
  await page.getByText('Site New dock was created').waitFor();
});

test('a time range is read by the server', async () => {
  const { sql } = service.database;
  await sql`update events set at = '2026-01-02T10:00:00Z' where subject = 'device:early-1'`;
  await open('?after=2026-01-02T00%3A00%3A00.000Z&before=2026-01-03T00%3A00%3A00.000Z');
  await page.getByText('Device early-1 was registered').waitFor();
  await expect.poll(() => rows().count(), POLL).toBe(2);
});

test('older events come page by page, and the log stands still for who reads them', async () => {
  const { sql } = service.database;
  await sql`
    insert into events (organization_id, type, subject, data, at)
    select o.id, 'device.started', 'device:many-' || n, '{"status": "ONLINE", "syncStatus": "in_sync", "connectivity": "online"}', now()
    from organizations o, generate_series(1, 450) n where o.name = 'default'`;
  await open('?type=device.started');
  await page.getByText('Device many-450 follows its source').waitFor();
  const asked: string[] = [];
  page.on('request', (request) => request.url().includes('/api/v1/events') && asked.push(request.url()));
  const grid = page.getByRole('grid', { name: 'Events' });
  await expect
    .poll(async () => {
      await grid.evaluate((element) => element.scrollTo({ top: element.scrollHeight }));
      return page.getByText('Device many-1 follows its source', { exact: true }).count();
    }, POLL)
    .toBe(1);
  expect(asked).toHaveLength(4);
  await service.api('POST', '/devices/late-1/start');
});

test('the audit log is filtered, shows who did what, and is exported as it is shown', async () => {
  await open('?tab=audit');
  const audit = page.getByRole('grid', { name: 'Audit log' });
  await audit.getByText('site.create').first().waitFor();
  await page.getByRole('searchbox', { name: /^Action/ }).fill('site.*');
  await expect.poll(() => audit.getByRole('row').count(), POLL).toBe(2);
  await expect.poll(() => new URL(page.url()).searchParams.get('action'), POLL).toBe('site.*');
  await audit.getByText('site.create').click();
  await page.getByRole('region', { name: /Details of site.create/ }).waitFor();
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'CSV' }).click();
  const stream = await (await download).createReadStream();
  const lines = (await stream.toArray()).join('').trim().split('\r\n');
  expect(lines[0]).toBe('id,at,actor,action,subject,outcome,commit,detail');
  expect(lines.slice(1).map((line) => line.split(',')[3])).toEqual(['site.create']);
});

test('a viewer reads events and has no audit log', async () => {
  await open('?tab=audit', viewer);
  await viewer.getByRole('grid', { name: 'Events' }).waitFor();
  expect(await viewer.getByRole('link', { name: 'Audit log' }).count()).toBe(0);
});

test('both views are accessible and fit a phone', async () => {
  const narrow = await browser.signedIn(service.url, ADMIN_TOKEN, { viewport: { width: 360, height: 740 } });
  for (const path of ['', '?tab=audit']) {
    await open(path, narrow);
    await narrow.getByRole('grid').waitFor();
    expect([path, await narrow.evaluate('document.documentElement.scrollWidth')]).toEqual([path, 360]);
    expect(await seriousFindings(narrow), path).toEqual([]);
  }
  await narrow.context().close();
});

test('no page complained', () => {
  expect(browser.problems).toEqual([]);
});
