import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openTestDatabase } from '../support/database.ts';
import { ADMIN_TOKEN, type Api, clientOf } from '../support/service.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** A process of the service: its address, and its API with the admin token. */
export type Instance = {
  url: string;
  api: Api;
  /** What it exposes as `name` to a monitoring system. */
  metric(name: string): Promise<number>;
  /** Resolves when the process is gone. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
};

export type Cluster = Awaited<ReturnType<typeof openCluster>>;

/** Processes of the service on one empty database; each has a data directory of its own, as on machines of their own. */
export async function openCluster() {
  const database = await openTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'bellwether-replica-'));
  const secretKey = randomBytes(32).toString('base64');
  const running = new Set<Instance>();
  let started = 0;
  return {
    database,
    async start(role: 'api' | 'controller'): Promise<Instance> {
      started += 1;
      const env = {
        PATH: process.env.PATH,
        ROLE: role,
        PORT: '0',
        DATA_DIR: join(folder, `${role}-${started}`),
        DATABASE_URL: database.url,
        BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN,
        BELLWETHER_SECRET_KEY: secretKey,
        ALLOW_PRIVATE_GIT_HOSTS: 'true',
        GIT_WORKERS: '1',
      };
      const instance = await launch(env, () => running.delete(instance));
      running.add(instance);
      return instance;
    },
    async close(): Promise<void> {
      await Promise.all([...running].map((instance) => instance.end('SIGKILL')));
      await database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function launch(env: NodeJS.ProcessEnv, onEnd: () => void): Promise<Instance> {
  const child = spawn(process.execPath, [MAIN, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close').then(onEnd);
  const url = await addressOf(child);
  return {
    url,
    api: clientOf(url, ADMIN_TOKEN),
    metric: async (name) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    },
    end: async (signal) => {
      child.kill(signal);
      await ended;
    },
  };
}

/** From its log's "ready". Reads on until the end: a pipe that nobody empties stops its writer. */
function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    if (child.stdout === null) return reject(new Error('the process has no output'));
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      const url = line.includes('"msg":"ready"') ? /"url":"(http:[^"]+)"/.exec(line)?.[1] : undefined;
      if (url !== undefined) resolve(url);
    });
    child.once('close', () => reject(new Error(`the process ended before it was ready:\n${lines.slice(-10).join('\n')}`)));
  });
}
