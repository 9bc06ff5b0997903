import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openRelay, type Relay } from '../support/relay.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

let database: TestDatabase;
let dataDir: string;
let service: TestService;
let relay: Relay;
let browser: TestBrowser;
let page: Page;

/** The service on the same database and files as before, whatever instance ran before. */
const start = (port = '0') => openService({ DATABASE_URL: database.url, DATA_DIR: dataDir, PORT: port });

beforeAll(async () => {
  database = await openTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'bellwether-live-'));
  service = await start();
  relay = await openRelay(() => new URL(service.url).port);
  browser = await openBrowser();
  page = await browser.signedIn(`http://127.0.0.1:${relay.port}`, ADMIN_TOKEN);
  await service.api('POST', '/devices', { id: 'till-1' });
  await page.goto(`http://127.0.0.1:${relay.port}/devices`);
  await row('till-1').waitFor();
  await page.evaluate("window.isSamePage = 'yes'");
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await relay?.close();
  await service?.close();
  await database?.close();
  await rm(dataDir, { recursive: true, force: true });
});

const row = (id: string) => page.locator(`[role=row][data-key="${id}"]`);
const badge = (text: string | RegExp) => page.locator('.live-badge').getByText(text);
const isSamePage = () => page.evaluate('window.isSamePage');

test('a change shows without a reload while the page says that it is live', async () => {
  await badge(/^Live$/).waitFor();
  await service.api('POST', '/devices', { id: 'till-2' });
  await row('till-2').waitFor();
  await service.api('POST', '/devices/till-2/hold', { reason: 'in repair' });
  await row('till-2').getByText('Held').waitFor();
  expect(await isSamePage()).toBe('yes');
});

test('a network that loses everything: the page says of which time it tells, and catches up', async () => {
  relay.freeze();
  await badge(/^as of \d\d:\d\d/).waitFor();
  await service.api('POST', '/devices', { id: 'till-3' });
  await service.api('DELETE', '/devices/till-2/hold');
  expect(await row('till-2').textContent()).toContain('Held');
  relay.thaw();
  await badge(/^Live$/).waitFor();
  await row('till-3').waitFor();
  await row('till-2').getByText('Held').waitFor({ state: 'detached' });
  expect(await isSamePage()).toBe('yes');
});

test('the service stops and starts again: the page connects by itself and shows what it missed', async () => {
  const { port } = new URL(service.url);
  await using other = await start();
  await service.close();
  await badge(/^as of \d\d:\d\d/).waitFor();
  await other.api('POST', '/devices', { id: 'till-4' });
  await other.api('POST', '/devices/till-1/hold', { reason: 'in repair' });
  service = await start(port);
  await badge(/^Live$/).waitFor();
  await row('till-4').waitFor();
  await row('till-1').getByText('Held').waitFor();
  expect(await isSamePage()).toBe('yes');
});

test('no page complained of anything but the connections that the stopped service refused', () => {
  expect(browser.problems.filter((problem) => !problem.includes('WebSocket connection to'))).toEqual([]);
});
