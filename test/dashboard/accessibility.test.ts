import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seriousFindings } from '../support/accessibility.ts';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { openFleet } from '../support/fleet.ts';
import { ADMIN_TOKEN } from '../support/service.ts';
import { filesOfTills } from './town.ts';

let fleet: Awaited<ReturnType<typeof openFleet>>;
let browser: TestBrowser;
let page: Page;
let paths: string[];

/** Tills of which a commit failed, a rollout that waits, a device that is held: pages with something on them. */
beforeAll(async () => {
  fleet = await openFleet();
  browser = await openBrowser();
  const tills = await fleet.source('tills');
  const keys = await fleet.enrol(tills, 6, 'till');
  await fleet.run(keys, { latencyMs: 30, telemetrySeconds: 2, failWhen: /"mode": "broken"/, failWhenShare: 1 });
  await fleet.push(tills, filesOfTills());
  await fleet.rollout(tills, 'completed');
  await fleet.push(tills, filesOfTills({ mode: 'broken' }));
  const { id } = await fleet.rollout(tills, 'aborted');
  await fleet.api('POST', '/devices/till-0006/hold', { reason: 'in repair' });
  paths = [
    ...['/', '/devices', '/rollouts', '/sources', '/integrations', '/activity', '/settings'],
    ...['waves', 'devices', 'causes', 'diff', 'events'].map((tab) => `/rollouts/${id}?tab=${tab}`),
    `/sources/${tills.id}`,
    ...['summary', 'files', 'history', 'backups', 'telemetry', 'commands', 'log', 'preview'].map((tab) => `/devices/till-0001?tab=${tab}`),
  ];
  page = await browser.signedIn(fleet.service.url, ADMIN_TOKEN);
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

const open = (path: string) => page.goto(fleet.service.url + path);
const heading = (name: string) => page.getByRole('heading', { level: 1, name, exact: true });
const focusedRow = () => page.evaluate<string | null>('document.activeElement?.getAttribute("data-key") ?? null');
/** The page with what it reads, and no act of appearing that still runs. */
const settled = async () => {
  await page.locator('main h1').waitFor();
  await page.waitForLoadState('networkidle');
  await page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
};

test('no page has a serious finding in light or dark colours, or scrolls sideways at 360 px or at 200 % zoom', async () => {
  const found: Record<string, unknown> = {};
  for (const path of paths) {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
    await open(path);
    await settled();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.locator(`.radix-themes.${colorScheme}`).first().waitFor();
      // Between colours nothing else changes.
      const serious = await seriousFindings(page, colorScheme === 'light' ? undefined : ['color-contrast']);
      if (serious.length > 0) found[`${path} in ${colorScheme} colours`] = serious;
    }
    // A window of 1,280 pixels at 200 % zoom has 640.
    for (const width of [640, 360]) {
      await page.setViewportSize({ width, height: 780 });
      const excess = await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
      if (excess > 0) found[`${path} at ${width} px`] = `${excess} px too wide`;
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
  expect(found).toEqual({});
});

/** An integration needs a platform, which its own tests play. */
const ELSEWHERE: Readonly<Record<string, string>> = { '/login': 'accessibility.test.ts', '/integrations/$id': 'integrations.test.ts' };

test('every route of the router is among the pages', async () => {
  const router = await readFile(new URL('../../web/src/app/router.tsx', import.meta.url), 'utf8');
  const routes = [...router.matchAll(/path: '([^']+)'/g)].map(([, path = '']) => path);
  expect(routes).toContain('/devices/$id');
  const isOpened = (route: string) => paths.some((path) => new RegExp(`^${route.replace('$id', '[^/?]+')}(\\?|$)`).test(path));
  expect(routes.filter((route) => !isOpened(route) && !(route in ELSEWHERE))).toEqual([]);
});

test('the page of the sign-in has no serious finding', async () => {
  const stranger = await (await browser.context()).newPage();
  await stranger.goto(`${fleet.service.url}/login`);
  await stranger.getByLabel('API token').waitFor();
  expect(await seriousFindings(stranger)).toEqual([]);
  await stranger.context().close();
});

describe('by keyboard alone', () => {
  test('the command palette finds a device and opens it, and leads to pages', async () => {
    await open('/');
    await heading('Overview').waitFor();
    await page.keyboard.press('Control+k');
    const palette = page.getByRole('dialog', { name: 'Find or do anything' });
    await palette.getByRole('combobox').waitFor();
    await page.keyboard.type('till-0004');
    await palette.getByRole('option', { name: 'till-0004' }).waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    await expect.poll(() => palette.getByRole('option', { selected: true }).textContent()).toContain('till-0004');
    await page.keyboard.press('Enter');
    await heading('till-0004').waitFor();
    await page.keyboard.press('Control+k');
    await page.keyboard.type('activ');
    await page.keyboard.press('Enter');
    await heading('Activity').waitFor();
  });

  test('the palette finds rollouts by source and state, and leaves the focus where it was', async () => {
    await open('/devices');
    const row = page.locator('[role=row][data-key=till-0003]');
    await row.focus();
    await page.keyboard.press('Control+k');
    const palette = page.getByRole('dialog', { name: 'Find or do anything' });
    await palette.waitFor();
    await page.keyboard.press('Escape');
    await palette.waitFor({ state: 'detached' });
    await expect.poll(focusedRow).toBe('till-0003');
    await page.keyboard.press('Control+k');
    await page.keyboard.type('tills abort');
    await expect.poll(() => palette.getByRole('option', { selected: true }).textContent()).toContain('Rollout tills aborted');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/rollouts\//);
  });

  test('no chord opens anything over an open dialog', async () => {
    await open('/devices');
    await heading('Devices').waitFor();
    await page.keyboard.press('?');
    const help = page.getByRole('dialog', { name: 'Keyboard' });
    await help.waitFor();
    await page.keyboard.press('Control+k');
    await page.keyboard.press('Escape');
    await help.waitFor({ state: 'detached' });
    expect(await page.getByRole('dialog').count()).toBe(0);
  });

  test('"?" opens the help, chords go to places, and "/" goes to the search', async () => {
    await open('/');
    await heading('Overview').waitFor();
    await page.keyboard.press('?');
    const help = page.getByRole('dialog', { name: 'Keyboard' });
    await help.waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await help.waitFor({ state: 'detached' });
    for (const [key, name] of [
      ['r', 'Rollouts'],
      ['s', 'Sources'],
      ['d', 'Devices'],
    ] as const) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await heading(name).waitFor();
    }
    await page.keyboard.press('/');
    await page.keyboard.type('g r?');
    expect(await page.getByRole('searchbox').inputValue()).toBe('g r?');
    await heading('Devices').waitFor();
    expect(await page.getByRole('dialog').count()).toBe(0);
  });

  test('rows of a table: j and k move, x and Space select, Escape selects none, Enter opens, and back returns', async () => {
    await open('/devices');
    await page.locator('[role=row][data-key=till-0001]').focus();
    for (const [key, id] of [
      ['j', 'till-0002'],
      ['ArrowDown', 'till-0003'],
      ['k', 'till-0002'],
    ] as const) {
      await page.keyboard.press(key);
      await expect.poll(focusedRow).toBe(id);
    }
    const isSelected = () => page.locator('[role=row][data-key=till-0002]').getAttribute('aria-selected');
    for (const key of ['x', 'Space'])
      for (const is of ['true', 'false']) {
        await page.keyboard.press(key);
        await expect.poll(isSelected).toBe(is);
      }
    await page.keyboard.press('x');
    await expect.poll(isSelected).toBe('true');
    await page.keyboard.press('Escape');
    await expect.poll(isSelected).toBe('false');
    await page.keyboard.press('Enter');
    await heading('till-0002').waitFor();
    await page.goBack();
    await heading('Devices').waitFor();
  });

  test('the first Tab reaches a button that skips the places', async () => {
    await open('/devices');
    await heading('Devices').waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement?.textContent')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.evaluate('document.activeElement?.id')).toBe('content');
    await heading('Devices').waitFor();
  });
});

test('no page complained', () => expect(browser.problems).toEqual([]));
