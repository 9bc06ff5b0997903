import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { type ApiClient, createClient } from '../../cli/client.ts';
import { messageOf, Problem } from '../../errors.ts';
import type { LiveEvent } from '../../wire/live.ts';
import { type Feed, openFeed } from './feed.ts';
import { mintHookSecret } from './hook.ts';
import { openRepositories, type Repositories, type Repository, requireGit } from './repositories.ts';
import { startService } from './service.ts';

export type StackOptions = {
  /** 0 = any free one. */
  port: number;
  /** Kept at the end; a temporary one, which is removed, when undefined. */
  dataDir: string | undefined;
  say(line: string): void;
  warn(line: string): void;
  onEvent(event: LiveEvent): void;
};

/** The base of every demonstration: a service with its own PostgreSQL, a Git host, and a live connection to the service. */
export type Stack = {
  url: string;
  token: string;
  dir: string;
  api: ApiClient;
  feed: Feed;
  repositories: Repositories;
  /** Aborts when the caller's signal does, or when something that must go on has ended. */
  signal: AbortSignal;
  /** Runs at the end, before the closers that were added earlier. */
  onClose(close: () => Promise<unknown>): void;
  /** An unexpected end of it breaks the demonstration. */
  watch(name: string, ended: Promise<string>): void;
  close(): Promise<void>;
};

type Closers = (() => Promise<unknown>)[];

const Created = z.object({ id: z.string(), hookUrl: z.string() });

/**
 * Opens the stack and the parts that `build` adds, in order. `close`, or a failure, closes them in the reverse order and leaves nothing behind.
 * @param prepare makes repositories, while the service starts
 */
export async function openStack<Prepared, Built extends object>(
  options: StackOptions,
  stopped: AbortSignal,
  prepare: (repositories: Repositories) => Promise<Prepared>,
  build: (stack: Stack, prepared: Prepared) => Promise<Built>,
): Promise<Stack & Built> {
  const closers: Closers = [];
  const close = async (): Promise<void> => {
    for (let next = closers.pop(); next !== undefined; next = closers.pop()) {
      await next().catch((error: unknown) => options.warn(`Cannot close: ${messageOf(error)}`));
    }
  };
  try {
    const { prepared, ...opened } = await open(options, stopped, closers, prepare);
    const stack = { ...opened, close };
    return { ...stack, ...(await build(stack, prepared)) };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open<Prepared>(
  options: StackOptions,
  stopped: AbortSignal,
  closers: Closers,
  prepare: (repositories: Repositories) => Promise<Prepared>,
): Promise<Omit<Stack, 'close'> & { prepared: Prepared }> {
  await requireGit();
  const broken = new AbortController();
  const signal = AbortSignal.any([stopped, broken.signal]);
  // First in, last out: from here on every end is expected.
  const dir = await openFolder(options.dataDir, closers);
  options.say('Starting a service with its own PostgreSQL, and a Git host with sample repositories …');
  const repositories = await openRepositories(join(dir, 'git'), options.warn);
  closers.push(() => repositories.close());
  const starting = startService(join(dir, 'service'), join(dir, 'service.log'), options.port, signal);
  const preparing = prepare(repositories);
  // Both are awaited whatever happens to the other, so that a failure leaves nothing half-started.
  const [service, prepared] = await Promise.allSettled([starting, preparing]);
  if (service.status === 'rejected') throw service.reason;
  closers.push(() => service.value.close());
  if (prepared.status === 'rejected') throw prepared.reason;
  const { url, token } = service.value;
  const watch: Stack['watch'] = (name, ended) => watchEnd(name, ended, broken, closers);
  watch('the service', service.value.ended);
  const api = createClient({ server: url, token, signal });
  const feed = await openFeed(url, token, options.onEvent, (error) => broken.abort(error), signal);
  closers.push(() => feed.close());
  const onClose: Stack['onClose'] = (close) => void closers.push(close);
  return { url, token, dir, api, feed, repositories, signal, onClose, watch, prepared: prepared.value };
}

async function openFolder(dataDir: string | undefined, closers: Closers): Promise<string> {
  if (dataDir === undefined) {
    const dir = await mkdtemp(join(tmpdir(), 'bellwether-demo-'));
    closers.push(() => rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
    // Execute permission alone: when the service runs as root, its database runs under another account and must pass this folder.
    await chmod(dir, 0o711);
    return dir;
  }
  const dir = resolve(dataDir);
  await mkdir(dir, { recursive: true, mode: 0o711 });
  if ((await readdir(dir)).length > 0) throw new Problem('usage', `Cannot use "${dir}" for the demonstration: it must be empty`);
  return dir;
}

/** Makes the repository a source of the service. Its pushes send webhooks from now on. @returns the source's id */
export async function createSource(
  { api, repositories }: Pick<Stack, 'api' | 'repositories'>,
  { name, layout, url }: Repository,
  settings: Record<string, unknown> = {},
): Promise<string> {
  const secret = mintHookSecret();
  const auth = { username: repositories.user, password: repositories.password };
  const answer = await api.send('POST', '/sources', { name, url, layout, auth, webhook: { provider: 'gitlab', secret }, ...settings });
  const { id, hookUrl } = Created.parse(answer);
  repositories.follow(name, { url: hookUrl, secret });
  return id;
}

function watchEnd(name: string, ended: Promise<string>, broken: AbortController, closers: Closers): void {
  let expected = false;
  closers.push(async () => {
    expected = true;
  });
  void ended.then((how) => {
    if (!expected) broken.abort(new Problem('demo_broken', `Cannot go on: ${name} ${how}`));
  });
}
