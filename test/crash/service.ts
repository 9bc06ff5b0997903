import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Sql } from '../../src/db/connect.ts';
import { pause } from './wait.ts';

/** The caller names the documented fields that it reads. */
export type Page<Item> = { items: Item[]; nextCursor: string | null };

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const TOKEN = 'crash-admin-token-of-32-characters';
const READY_TIMEOUT_MS = 180_000;

export async function openService(folder: string) {
  const url = `http://127.0.0.1:${await freePort()}`;
  const dataDir = join(folder, 'data');
  const logFile = join(folder, 'service.log');
  let child: ChildProcess | undefined;
  const kill = async () => {
    await end(child, 'SIGKILL');
    child = undefined;
  };
  /** Sends a request below `/api/v1`. @throws without a successful answer */
  const api = async <Answer = unknown>(method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answers ${response.status}: ${text}`);
    return JSON.parse(text === '' ? 'null' : text);
  };
  const lastLines = async () => (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-8).join('\n');
  const hasEnded = () => child === undefined || child.exitCode !== null || child.signalCode !== null;
  return {
    url,
    dataDir,
    /** @throws with the last lines of its log when it does not become ready */
    async start(): Promise<void> {
      child = await spawnService(folder, dataDir, logFile, new URL(url).port);
      if (!(await isReady(child, url))) {
        throw new Error(`the service does not get ready; its last lines:\n${await lastLines()}`);
      }
    },
    /** Starts the service so that it kills itself at a point (`point#2`: at the second pass), possibly before it is ready. */
    async startUntil(fault: string): Promise<void> {
      child = await spawnService(folder, dataDir, logFile, new URL(url).port, fault);
      await isReady(child, url);
    },
    hasEnded,
    kill,
    /** Kills the postmaster, if it runs; its backends end by themselves. @returns its process id */
    async killDatabase(): Promise<number | undefined> {
      const postmaster = await readPostmaster(dataDir);
      if (postmaster !== undefined) signal(postmaster.pid, 'SIGKILL');
      return postmaster?.pid;
    },
    lastLines,
    api,
    /** Reads a list page by page while `goOn` returns true for the last page. */
    async list<Item>(path: string, goOn: (page: Item[]) => boolean = () => true): Promise<Item[]> {
      const items: Item[] = [];
      let cursor: string | null = null;
      do {
        const after: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
        const page: Page<Item> = await api<Page<Item>>('GET', `${path}?limit=500${after}`);
        items.push(...page.items);
        cursor = goOn(page.items) ? page.nextCursor : null;
      } while (cursor !== null);
      return items;
    },
    /** Queries its database directly. */
    async ask<T>(question: (sql: Sql) => Promise<T>): Promise<T> {
      const postmaster = await readPostmaster(dataDir);
      if (postmaster === undefined) throw new Error('the database does not run');
      const sql = connect(`postgresql://bellwether@localhost/bellwether?host=${encodeURIComponent(postmaster.socketDir)}`, { max: 1 });
      try {
        return await question(sql);
      } finally {
        await sql.end({ timeout: 1 });
      }
    },
    /** Stops it like an operator, and kills it and its database after a time limit. @returns its exit code */
    async close(): Promise<number | null> {
      const stopped = child;
      await end(stopped, 'SIGTERM');
      child = undefined;
      const left = await readPostmaster(dataDir);
      if (left !== undefined) signal(left.pid, 'SIGQUIT');
      return stopped?.exitCode ?? null;
    },
  };
}

async function spawnService(folder: string, dataDir: string, logFile: string, port: string, fault = ''): Promise<ChildProcess> {
  const log = await open(logFile, 'a');
  try {
    return spawn(process.execPath, [MAIN, 'serve'], {
      stdio: ['ignore', log.fd, log.fd],
      env: {
        PATH: process.env.PATH,
        // The cleanup of the folder also removes the socket directories of its database.
        TMPDIR: folder,
        PORT: port,
        DATA_DIR: dataDir,
        BELLWETHER_ADMIN_TOKEN: TOKEN,
        ALLOW_PRIVATE_GIT_HOSTS: 'true',
        ALLOW_PRIVATE_NOTIFICATION_HOSTS: 'true',
        ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
        LOG_LEVEL: 'info',
        GIT_WORKERS: '1',
        BELLWETHER_FAULT: fault,
      },
    });
  } finally {
    await log.close();
  }
}

/** Waits until it is ready, has ended, or the time limit passed. */
async function isReady(child: ChildProcess, url: string): Promise<boolean> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(20_000) }).catch(() => undefined);
    await answer?.body?.cancel().catch(() => undefined);
    if (answer?.ok) return true;
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) return false;
    await pause(30);
  }
}

async function end(child: ChildProcess | undefined, by: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill(by);
  const limit = setTimeout(() => child.kill('SIGKILL'), 60_000);
  await ended;
  clearTimeout(limit);
}

async function readPostmaster(dataDir: string): Promise<{ pid: number; socketDir: string } | undefined> {
  const lines = (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  const [pid, socketDir] = [Number(lines[0]), lines[4] ?? ''];
  return pid > 0 && socketDir !== '' ? { pid, socketDir } : undefined;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
