import { existsSync } from 'node:fs';
import bundled from '@sparticuz/chromium';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { buildDashboard } from '../../web/build.ts';

/** Chromium of the system where there is one; else the one that comes with the packages. */
const INSTALLED = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** The site's own rules stay on: a test of the policy must not run in a browser that ignores it. */
const FLAGS = [
  '--no-sandbox',
  '--no-zygote',
  // Without a graphics card an emulated one costs more than all tests; the browser draws by itself.
  '--disable-gpu',
  '--disable-software-rasterizer',
  '--font-render-hinting=none',
  '--hide-scrollbars',
];

export type TestBrowser = AsyncDisposable & {
  browser: Browser;
  /** A new profile. `problems` of its pages are collected: errors of scripts and refusals of the policy. */
  context(options?: Parameters<Browser['newContext']>[0]): Promise<BrowserContext>;
  /** A page of a new profile, signed in to the service with this token. */
  signedIn(url: string, token: string, options?: Parameters<Browser['newContext']>[0]): Promise<Page>;
  /** What pages complained about: must be empty at the end of a test. */
  problems: string[];
};

/** A real browser on the built dashboard. */
export async function openBrowser(): Promise<TestBrowser> {
  buildDashboard();
  const executablePath = INSTALLED.find((path) => existsSync(path)) ?? (await bundled.executablePath());
  const browser = await chromium.launch({ executablePath, args: [...FLAGS, '--headless=shell'], headless: true });
  const problems: string[] = [];
  const context: TestBrowser['context'] = async (options = {}) => {
    const opened = await browser.newContext({ viewport: { width: 1440, height: 900 }, timezoneId: 'UTC', locale: 'en-US', ...options });
    opened.setDefaultTimeout(180_000);
    opened.on('page', (page) => collectProblems(page, problems));
    return opened;
  };
  return {
    browser,
    context,
    problems,
    signedIn: async (url, token, options) => {
      const page = await (await context(options)).newPage();
      await page.goto(`${url}/login`);
      await page.getByLabel('API token').fill(token);
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
      await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
      return page;
    },
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

function collectProblems(page: Page, problems: string[]): void {
  page.on('pageerror', (error) => problems.push(`${page.url()}: ${error.message}`));
  page.on('console', (message) => {
    // A request that fails is shown by the page; the browser's own line about it says nothing more.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      problems.push(`${page.url()}: ${message.text()}`);
  });
}
