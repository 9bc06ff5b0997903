import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startController } from '../../controller/main.ts';
import { type App, type AppOptions, openApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { openTestDatabase, type TestDatabase } from './database.ts';

export const ADMIN_TOKEN = 'test-admin-token-of-32-characters';

/** An answer of the API: its status, headers and parsed body. */
export type Answer = { status: number; headers: Headers; body: any };
export type Api = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

export type TestService = {
  url: string;
  app: App;
  database: TestDatabase;
  dataDir: string;
  /** The API below `/api/v1` with the admin token. */
  api: Api;
  apiAs(token: string | undefined): Api;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** The whole service in this process, on a new empty database and any free port. It may call Git hosts, receivers and platforms on this machine. */
export async function openService(env: Record<string, string> = {}, options: AppOptions = {}): Promise<TestService> {
  const database = await openTestDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'bellwether-service-'));
  const config = readConfig({
    PORT: '0',
    DATA_DIR: dataDir,
    DATABASE_URL: database.url,
    BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN,
    ALLOW_PRIVATE_GIT_HOSTS: 'true',
    ALLOW_PRIVATE_NOTIFICATION_HOSTS: 'true',
    ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
    GIT_WORKERS: '1',
    ...env,
  });
  const app = await openApp(config, createLog(config.LOG_LEVEL), startController, options);
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      await app.close();
      await database.close();
      await rm(dataDir, { recursive: true, force: true });
    })();
    return closing;
  };
  const apiAs = (token: string | undefined) => clientOf(app.url, token);
  return { url: app.url, app, database, dataDir, api: apiAs(ADMIN_TOKEN), apiAs, close, [Symbol.asyncDispose]: close };
}

/** The API of a service at any address. */
export function clientOf(url: string, token: string | undefined): Api {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(120_000),
    });
    const text = await response.text();
    const isJson = /^application\/([a-z]+\+)?json\b/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : isJson ? JSON.parse(text) : text };
  };
}

/** Polls until `ask` returns a value, for states that no event announces. @throws with the last answer after the time limit */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | false | null>, timeoutMs = 180_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const asked = performance.now();
    const answer = await ask();
    if (answer !== undefined && answer !== false && answer !== null) return answer;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    // On a slow machine, most of the time stays for the awaited work.
    await new Promise((resolve) => setTimeout(resolve, Math.max(20, 3 * (performance.now() - asked))));
  }
}
