import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { type ApiClient, createClient } from '../cli/client.ts';
import { messageOf, Problem } from '../errors.ts';
import type { LiveEvent } from '../wire/live.ts';
import { type DemoDevice, startDevice } from './devices.ts';
import { type Feed, openFeed } from './feed.ts';
import { mintHookSecret } from './hook.ts';
import { KINDS, kindOf } from './kinds.ts';
import type { Started } from './processes.ts';
import { openRepositories, type Repositories, type Repository, requireGit } from './repositories.ts';
import { startService } from './service.ts';

export type StageOptions = {
  /** Devices that have a repository each; the fleet's come on top. */
  devices: number;
  /** 0 = any free one. */
  port: number;
  /** Kept at the end; a temporary one, which is removed, when undefined. */
  dataDir: string | undefined;
  say(line: string): void;
  warn(line: string): void;
  onEvent(event: LiveEvent): void;
};

/** A service, a Git host with sample repositories, and devices with agents, all running and in step. */
export type Stage = {
  url: string;
  token: string;
  dir: string;
  api: ApiClient;
  feed: Feed;
  repositories: Repositories;
  /** One device each. */
  singles: readonly Repository[];
  fleet: Repository;
  devices: readonly DemoDevice[];
  /** Aborts when the caller's signal does, or when something that must go on has ended. */
  signal: AbortSignal;
  close(): Promise<void>;
};

type Closers = (() => Promise<unknown>)[];

const FLEET = 'fleet';
const Created = z.object({ id: z.string(), hookUrl: z.string() });
const Registered = z.object({ apiKey: z.string() });

/** Opens everything in order; `close`, or a failure, ends it in the reverse order and leaves nothing behind. */
export async function openStage(options: StageOptions, stopped: AbortSignal): Promise<Stage> {
  const closers: Closers = [];
  const close = async (): Promise<void> => {
    for (let next = closers.pop(); next !== undefined; next = closers.pop()) {
      await next().catch((error: unknown) => options.warn(`Cannot close: ${messageOf(error)}`));
    }
  };
  try {
    return { ...(await open(options, stopped, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(options: StageOptions, stopped: AbortSignal, closers: Closers): Promise<Omit<Stage, 'close'>> {
  await requireGit();
  const broken = new AbortController();
  const signal = AbortSignal.any([stopped, broken.signal]);
  // First in, last out: whatever ends from here on ends because it was told to.
  const dir = await openFolder(options.dataDir, closers);
  options.say('Starting a service with its own PostgreSQL, and a Git host with sample repositories …');
  const repositories = await openRepositories(join(dir, 'git'), options.warn);
  closers.push(() => repositories.close());
  const starting = startService(join(dir, 'service'), join(dir, 'service.log'), options.port, signal);
  const creating = createRepositories(repositories, options.devices);
  // Both are awaited whatever happens to the other, so that a failure leaves nothing half-started.
  const [service, created] = await Promise.allSettled([starting, creating]);
  if (service.status === 'rejected') throw service.reason;
  closers.push(() => service.value.close());
  if (created.status === 'rejected') throw created.reason;
  const { url, token } = service.value;
  watch('the service', service.value.ended, broken, closers);
  const api = createClient({ server: url, token, signal });
  const feed = await openFeed(url, token, options.onEvent, (error) => broken.abort(error), signal);
  closers.push(() => feed.close());
  const { singles, fleet } = created.value;
  const devices = [...singles.map((repository) => singleDevice(repository, dir)), ...(await fleetDevices(fleet, dir))];
  const stage = { url, token, dir, api, feed, repositories, singles, fleet, devices, signal };
  options.say(`Starting ${devices.length} devices, each with an agent of its own …`);
  await bringUp(stage, broken, closers);
  return stage;
}

async function openFolder(dataDir: string | undefined, closers: Closers): Promise<string> {
  if (dataDir === undefined) {
    const dir = await mkdtemp(join(tmpdir(), 'bellwether-demo-'));
    closers.push(() => rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
    // Not to be looked into, but to be walked through: as root, the database runs under an account of its own.
    await chmod(dir, 0o711);
    return dir;
  }
  const dir = resolve(dataDir);
  await mkdir(dir, { recursive: true, mode: 0o711 });
  if ((await readdir(dir)).length > 0) throw new Problem('usage', `Cannot use "${dir}" for the demonstration: it must be empty`);
  return dir;
}

async function createRepositories(repositories: Repositories, devices: number): Promise<Pick<Stage, 'singles' | 'fleet'>> {
  const singles: Repository[] = [];
  for (let index = 0; index < devices; index++) {
    const kind = KINDS[index % KINDS.length] ?? KINDS[0];
    singles.push(await repositories.create(`${kind.short}-${Math.floor(index / KINDS.length) + 1}`, 'repo', kind.name));
  }
  return { singles, fleet: await repositories.create(FLEET, 'fleet', 'fleet') };
}

function singleDevice(repository: Repository, dir: string): DemoDevice {
  const id = repository.name;
  return { id, kind: kindOf(id), repository: id, folder: '', root: join(dir, 'devices', id) };
}

async function fleetDevices(fleet: Repository, dir: string): Promise<DemoDevice[]> {
  const ids = (await readdir(join(fleet.workTree, 'devices'))).sort();
  return ids.map((id) => ({ id, kind: kindOf(id), repository: fleet.name, folder: `devices/${id}`, root: join(dir, 'devices', id) }));
}

/** Registers sources and devices, starts the agents, and waits until each device runs what its repository says. */
async function bringUp(stage: Omit<Stage, 'close'>, broken: AbortController, closers: Closers): Promise<void> {
  const { devices, feed } = stage;
  using recording = feed.record();
  const sources = new Map<string, string>();
  for (const repository of [...stage.singles, stage.fleet]) sources.set(repository.name, await createSource(stage, repository));
  const agents: Started[] = [];
  closers.push(() => Promise.all(agents.map((agent) => agent.stop())));
  for (const device of devices) {
    const body = { id: device.id, type: device.kind.name, sourceId: sources.get(device.repository), path: device.folder };
    const { apiKey } = Registered.parse(await stage.api.send('POST', '/devices', body));
    const agent = await startDevice(device, stage.url, apiKey);
    agents.push(agent);
    watch(agent.name, agent.ended, broken, closers);
  }
  await Promise.all(devices.map(({ id }) => recording.find(`the first configuration on ${id}`, succeededOn(id))));
}

async function createSource({ api, repositories }: Omit<Stage, 'close'>, { name, layout, url }: Repository): Promise<string> {
  const secret = mintHookSecret();
  const auth = { username: repositories.user, password: repositories.password };
  const answer = await api.send('POST', '/sources', { name, url, layout, auth, webhook: { provider: 'gitlab', secret } });
  const { id, hookUrl } = Created.parse(answer);
  repositories.follow(name, { url: hookUrl, secret });
  return id;
}

function succeededOn(deviceId: string): (event: LiveEvent) => boolean {
  return ({ type, subject, data }) => type === 'deployment.state' && subject === `device:${deviceId}` && data.state === 'succeeded';
}

/** An end that nobody asked for breaks the stage. */
function watch(name: string, ended: Promise<string>, broken: AbortController, closers: Closers): void {
  let expected = false;
  closers.push(async () => {
    expected = true;
  });
  void ended.then((how) => {
    if (!expected) broken.abort(new Problem('demo_broken', `Cannot go on: ${name} ${how}`));
  });
}
