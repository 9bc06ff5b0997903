import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type DemoDevice, startDevice } from './devices.ts';
import { isStep } from './observe.ts';
import { KINDS, kindOf } from './stack/kinds.ts';
import type { Started } from './stack/processes.ts';
import type { Repositories, Repository } from './stack/repositories.ts';
import { createSource, openStack, type Stack, type StackOptions } from './stack/stack.ts';

/** Sample repositories and devices with agents, all running and in step. */
export type Samples = Stack & {
  /** One device each. */
  singles: readonly Repository[];
  fleet: Repository;
  devices: readonly DemoDevice[];
};

type Prepared = Pick<Samples, 'singles' | 'fleet'>;

const FLEET = 'fleet';
const Registered = z.object({ apiKey: z.string() });

/** @param count devices that have a repository each; the fleet's come on top */
export async function openSamples(count: number, options: StackOptions, stopped: AbortSignal): Promise<Samples> {
  return openStack(
    options,
    stopped,
    (repositories) => createRepositories(repositories, count),
    (stack, prepared) => startAgents(stack, prepared, options),
  );
}

async function startAgents(stack: Stack, { singles, fleet }: Prepared, { say }: StackOptions): Promise<Omit<Samples, keyof Stack>> {
  const { dir } = stack;
  const devices = [...singles.map((repository) => singleDevice(repository, dir)), ...(await fleetDevices(fleet, dir))];
  say(`Starting ${devices.length} devices, each with an agent of its own …`);
  await bringUp(stack, [...singles, fleet], devices);
  return { singles, fleet, devices };
}

async function createRepositories(repositories: Repositories, count: number): Promise<Prepared> {
  const singles: Repository[] = [];
  for (let index = 0; index < count; index++) {
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
async function bringUp(stack: Stack, repositories: readonly Repository[], devices: readonly DemoDevice[]): Promise<void> {
  using recording = stack.feed.record();
  const sources = new Map<string, string>();
  for (const repository of repositories) sources.set(repository.name, await createSource(stack, repository));
  const agents: Started[] = [];
  stack.onClose(() => Promise.all(agents.map((agent) => agent.close())));
  for (const device of devices) {
    const body = { id: device.id, type: device.kind.name, sourceId: sources.get(device.repository), path: device.folder };
    const { apiKey } = Registered.parse(await stack.api.send('POST', '/devices', body));
    const agent = await startDevice(device, stack.url, apiKey);
    agents.push(agent);
    stack.watch(agent.name, agent.ended);
  }
  await Promise.all(devices.map(({ id }) => recording.find(`the first configuration on ${id}`, isStep(id, 'succeeded'))));
}
