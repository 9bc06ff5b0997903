import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type ApiClient, createClient } from '../../src/cli/client.ts';
import { mintToken } from '../../src/crypto/tokens.ts';
import { connect, type Sql } from '../../src/db/connect.ts';
import { openEmbeddedPostgres } from '../../src/db/embedded.ts';
import { createLog } from '../../src/log.ts';
import { openGitHost, type TestGitHost } from '../../test/support/git-host.ts';
import { SIGNING_TOKEN } from '../../test/support/hooks.ts';
import { lineOf, type Program, startProgram } from './processes.ts';

/** The service in a separate process, with PostgreSQL and a Git host, on this machine and in temporary folders. */
export type Stack = AsyncDisposable & {
  url: string;
  token: string;
  api: ApiClient;
  sql: Sql;
  host: TestGitHost;
  service: Program;
  postgresPid: number;
  folder: string;
  createSource(name: string, layout: 'repo' | 'fleet'): Promise<{ id: string; hookUrl: string }>;
  /** Another process of the service that answers requests and does no other work. */
  addApi(): Promise<{ url: string; service: Program }>;
};

const READY_TIMEOUT_MS = 60_000;
/** The same as in `npm start` and the image. */
const NODE_ARGS = ['--max-semi-space-size=16'];
const COLLECT = new URL('programs/collect.ts', import.meta.url).href;
const NODE_ENV = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' };
const READY = z.object({ msg: z.literal('ready'), url: z.string() });
const CREATED = z.object({ id: z.string(), hookUrl: z.string() });

/** `env`: additional settings of the service. */
export async function openStack(options: {
  profileDir?: string | undefined;
  env?: Record<string, string>;
  /** The service collects garbage at SIGUSR2. */
  collects?: boolean;
  signal: AbortSignal;
}): Promise<Stack> {
  const opened = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(tmpdir(), 'bellwether-bench-'));
    opened.defer(() => rm(folder, { recursive: true, force: true }));
    // As root the database runs under another account, which must be able to enter the folder.
    await chmod(folder, 0o711);
    const postgres = await openEmbeddedPostgres(join(folder, 'database'), createLog('silent'));
    opened.defer(() => postgres.close());
    const sql = connect(postgres.url, { max: 2, applicationName: 'bench' });
    opened.defer(() => sql.end({ timeout: 2 }));
    const host = opened.use(await openGitHost());
    const token = mintToken('token');
    const env = {
      ...NODE_ENV,
      PORT: '0',
      DATABASE_URL: postgres.url,
      BELLWETHER_SECRET_KEY: randomBytes(32).toString('base64'),
      BELLWETHER_ADMIN_TOKEN: token,
      ALLOW_PRIVATE_GIT_HOSTS: 'true',
      ...options.env,
    };
    const nodeArgs = options.collects ? [...NODE_ARGS, '--import', COLLECT] : NODE_ARGS;
    const start = async (owner: AsyncDisposableStack, dataDir: string, more: { profileDir?: string | undefined; role?: string } = {}) => {
      const own = { ...env, ROLE: more.role ?? 'all', DATA_DIR: join(folder, dataDir) };
      const service = owner.use(startProgram('src/main.ts', { args: ['serve'], nodeArgs, env: own, profileDir: more.profileDir }));
      return { url: await lineOf(service, readyUrl, READY_TIMEOUT_MS), service };
    };
    const { url, service } = await start(opened, 'data', options);
    const api = createClient({ server: url, token, signal: options.signal });
    const closing = opened.move();
    let apis = 0;
    return {
      ...{ url, token, api, sql, host, service, folder },
      postgresPid: postgres.pid,
      createSource: async (name, layout) => {
        const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
        return CREATED.parse(
          await api.send('POST', '/sources', { name, url: host.urlOf(name), layout, webhook, pollIntervalSeconds: 3600 }),
        );
      },
      addApi: () => {
        apis += 1;
        return start(closing, `api-${apis}`, { role: 'api' });
      },
      [Symbol.asyncDispose]: () => closing.disposeAsync(),
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

function readyUrl(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined;
  return READY.safeParse(JSON.parse(line)).data?.url;
}
