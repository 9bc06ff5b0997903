import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { CDPSession, Page } from 'playwright-core';
import { z } from 'zod';
import { appendEvents } from '../src/event/store.ts';
import { openBrowser, type TestBrowser } from '../test/support/browser.ts';
import { seedDevices } from '../test/support/seed-devices.ts';
import { note, percentiles, report, round } from './support/numbers.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

/** Typed into the search: an id, a name and a label of seeded devices, so that answers have many, few and no rows. */
const TYPED = ['till-0042', 'Kiosk 99', 'north', 'sn7331'];
const CHANGES = 30;
/** Each event of a storm stands for a device whose status changed. */
const EVENTS_AT_ONCE = 20;
const LONG_TASK_MS = 100;

type Scene = { stack: Stack; organizationId: string; browser: TestBrowser; page: Page; signal: AbortSignal };

/** Measures the dashboard in a real browser on a fleet of any size: its first page, a keystroke, a change, and a storm of events. */
export async function benchDashboard(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      devices: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '600' },
      rate: { type: 'string', default: '200' },
    },
  });
  const devices = z.coerce.number().int().min(100).max(1_000_000).parse(values.devices);
  const seconds = z.coerce.number().int().min(1).max(1_200).parse(values.seconds);
  const rate = z.coerce.number().int().min(EVENTS_AT_ONCE).max(2_000).parse(values.rate);
  await using stack = await openStack({ signal });
  const [{ id: organizationId }] = await stack.sql<[{ id: string }]>`select id from organizations`;
  note(`${devices} devices`);
  await seedDevices(stack.sql, organizationId, { devices });
  await using browser = await openBrowser();
  const page = await browser.signedIn(stack.url, stack.token);
  const scene = { stack, organizationId, browser, page, signal };
  const first = await firstPage(scene);
  const keys = await keystrokes(scene);
  const changeMs = await changes(scene);
  const storm = await stormOf(scene, rate, seconds);
  if (browser.problems.length > 0) throw new Error(browser.problems.join('\n'));
  report(
    `The dashboard over ${devices} devices`,
    [
      { what: 'first page of devices', seen: `${first.kilobytes} KB in ${first.answerMs} ms`, limit: TARGETS.firstPage },
      { what: 'keystroke → painted', seen: `p50 ${keys.paintedMs.p50} ms  p99 ${keys.paintedMs.p99} ms`, limit: TARGETS.keystroke },
      { what: 'search → answered', seen: `p50 ${keys.answerMs.p50} ms  p99 ${keys.answerMs.p99} ms` },
      { what: 'change → shown', seen: `p50 ${changeMs.p50} ms  p99 ${changeMs.p99} ms`, limit: TARGETS.shownChange },
      { what: `longest task in ${seconds} s of ${storm.rate} events/s`, seen: `${storm.longestTaskMs} ms`, limit: TARGETS.longTask },
      { what: `tasks over ${LONG_TASK_MS} ms`, seen: storm.longTasks },
      { what: 'heap before → after', seen: `${storm.heapMb.before} → ${storm.heapMb.after} MB` },
    ],
    { bench: 'dashboard', devices, first, keys, changeMs, storm },
  );
}

const isDevices = (url: string) => new URL(url).pathname.endsWith('/api/v1/devices');

/** All that the page asks the API for, packed as it is sent, until the table has rows. */
async function firstPage({ stack, page }: Scene): Promise<{ kilobytes: number; answerMs: number }> {
  const answered = page.waitForResponse((response) => isDevices(response.url()));
  await page.goto(`${stack.url}/devices`);
  const answer = await answered;
  await answer.finished();
  await page.locator('[role=row][data-key]').first().waitFor();
  await page.waitForLoadState('networkidle');
  const bytes = await page.evaluate<number>(
    "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/api/v1/')).reduce((sum, { transferSize }) => sum + transferSize, 0)",
  );
  return { kilobytes: round(bytes / 1_000, 1), answerMs: round(answer.request().timing().responseEnd, 1) };
}

/** Types one character after another, each after the answer to the one before is shown. */
async function keystrokes({ page, signal }: Scene) {
  await page.evaluate(
    "window.painted = []; new PerformanceObserver((list) => { for (const { name, duration } of list.getEntries()) if (name === 'keydown') window.painted.push(duration); }).observe({ type: 'event', durationThreshold: 16 })",
  );
  const answers: number[] = [];
  const search = page.getByRole('searchbox');
  for (const text of TYPED) {
    await search.fill('');
    await page.waitForLoadState('networkidle');
    await search.focus();
    for (const key of text) {
      signal.throwIfAborted();
      const answered = page.waitForResponse((response) => isDevices(response.url()));
      await page.keyboard.press(key);
      const answer = await answered;
      await answer.finished();
      answers.push(answer.request().timing().responseEnd);
    }
  }
  const painted = await page.evaluate<number[]>('window.painted');
  // A keystroke that is painted within 16 ms has no entry.
  const quick = Array.from({ length: Math.max(0, answers.length - painted.length) }, () => 16);
  return { typed: answers.length, paintedMs: percentiles([...painted, ...quick]), answerMs: percentiles(answers) };
}

/** From the request that holds a device, or releases it, until its row says so. The browser's clock is the machine's. */
async function changes({ stack, page, signal }: Scene) {
  const id = 'till-000001';
  await page.goto(`${stack.url}/devices?q=${id}`);
  const row = page.locator(`[role=row][data-key="${id}"]`);
  await row.waitFor();
  await page
    .locator('.live-badge')
    .getByText(/^Live$/)
    .waitFor();
  const shown: number[] = [];
  for (let n = 0; n < CHANGES; n++) {
    signal.throwIfAborted();
    const isHeld = n % 2 === 0;
    const seen = page.evaluate<number>(
      `new Promise((resolve) => {
        const check = () => {
          const text = document.querySelector('[role=row][data-key="${id}"]')?.textContent ?? '';
          if (text.includes('Held') === ${isHeld}) resolve(Date.now());
          else requestAnimationFrame(check);
        };
        check();
      })`,
    );
    const asked = Date.now();
    if (isHeld) await stack.api.send('POST', `/devices/${id}/hold`, { reason: 'measured' });
    else await stack.api.send('DELETE', `/devices/${id}/hold`);
    shown.push((await seen) - asked);
  }
  return percentiles(shown);
}

/** A fleet at work beside an open overview. The heap is read after a collection of garbage. */
async function stormOf(scene: Scene, rate: number, seconds: number) {
  const { stack, organizationId, page, browser, signal } = scene;
  await page.goto(stack.url);
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  await page.waitForLoadState('networkidle');
  const cdp = await page.context().newCDPSession(page);
  await page.evaluate(
    "window.tasks = []; new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.tasks.push(duration); }).observe({ type: 'longtask' })",
  );
  note(`${rate} events a second for ${seconds} s`);
  // The page fills its lists first: what they hold is no leak.
  const fillingMs = Math.min(60_000, seconds * 100);
  const sent = { count: 0 };
  const begun = Date.now();
  await sendEvents({ stack, organizationId, signal }, rate, fillingMs, sent);
  const before = await heapOf(cdp);
  await sendEvents({ stack, organizationId, signal }, rate, seconds * 1_000 - fillingMs, sent);
  const lastedMs = Date.now() - begun;
  const after = await heapOf(cdp);
  const tasks = await page.evaluate<number[]>('window.tasks');
  await page
    .locator('.live-badge')
    .getByText(/^Live$/)
    .waitFor();
  if (browser.problems.length > 0) throw new Error(browser.problems.join('\n'));
  return {
    rate: round(sent.count / (lastedMs / 1_000), 0),
    events: sent.count,
    longestTaskMs: round(Math.max(0, ...tasks), 0),
    longTasks: tasks.filter((ms) => ms > LONG_TASK_MS).length,
    heapMb: { before, after },
  };
}

async function sendEvents(
  { stack, organizationId, signal }: Pick<Scene, 'stack' | 'organizationId' | 'signal'>,
  rate: number,
  lastsMs: number,
  sent: { count: number },
): Promise<void> {
  const pauseMs = (1_000 * EVENTS_AT_ONCE) / rate;
  const begun = Date.now();
  for (let n = 0; n * pauseMs < lastsMs; n++) {
    signal.throwIfAborted();
    const events = Array.from({ length: EVENTS_AT_ONCE }, (_, at) => ({
      organizationId,
      type: 'device.changed' as const,
      subject: `device:till-${String(1 + ((n * EVENTS_AT_ONCE + at) % 100)).padStart(6, '0')}` as const,
      data: { fields: ['labels'] },
    }));
    await stack.sql.begin((tx) => appendEvents(tx, events));
    sent.count += events.length;
    await sleep(Math.max(0, begun + (n + 1) * pauseMs - Date.now()));
  }
}

async function heapOf(cdp: CDPSession): Promise<number> {
  await cdp.send('HeapProfiler.collectGarbage');
  await cdp.send('HeapProfiler.collectGarbage');
  const { usedSize } = await cdp.send('Runtime.getHeapUsage');
  return round(usedSize / 1_000_000, 1);
}
