import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { git, openGitHost } from '../support/git-host.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import { type Device, openDevice } from './device.ts';
import { FOLDERS, foldersOf, GATEWAY, REFUSING, REPOSITORIES, type Repository } from './fleet.ts';
import { openGateway } from './gateway.ts';
import { createPushes } from './pushes.ts';
import type { Random } from './random.ts';
import { openService } from './service.ts';

/** Longer than any run, so that polling does not hide a lost wake-up. */
const POLL_SECONDS = 86_400;

/** A Git host, the service with its database, and a device for each folder, all with a running agent but one, below one temporary folder. */
export type World = Awaited<ReturnType<typeof openWorld>>;

export async function openWorld(random: Random) {
  const folder = await mkdtemp(join(tmpdir(), 'bellwether-crash-'));
  // As root the database runs under another account, which must be able to enter the folder.
  await chmod(folder, 0o711);
  const host = await openGitHost();
  const service = await openService(folder);
  const devices = new Map<string, Device>();
  const close = async (keep = false) => {
    await Promise.all([...devices.values()].map((device) => device.close()));
    const exitCode = await service.close();
    await host.close();
    if (!keep) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    return exitCode;
  };
  const addDevice = async (id: string, credentials: string[]) => {
    const device = await openDevice(folder, id, service.url, credentials, id === REFUSING);
    devices.set(id, device);
    return device;
  };
  try {
    await service.start();
    const sources = new Map<Repository, { id: string; hookUrl: string }>();
    for (const name of REPOSITORIES) sources.set(name, await followRepository(host, service, name));
    for (const { device: id, repository } of FOLDERS) {
      if (id === GATEWAY) {
        devices.set(id, await openGateway(service, sources.get(repository as Repository)!.id));
        continue;
      }
      const { apiKey } = await service.api<{ apiKey: string }>('POST', '/devices', {
        id,
        type: 'till',
        sourceId: sources.get(repository as Repository)!.id,
      });
      (await addDevice(id, ['--api-key', apiKey])).start();
    }
    const pushes = createPushes(host, new Map([...sources].map(([name, { hookUrl }]) => [name, hookUrl])), random);
    /** Commits with a checked verdict. */
    const judged = new Set<string>();
    /** Packs the repositories: the loose objects of many pushes would make each fetch slower than the last. */
    const tidy = async () => {
      for (const name of REPOSITORIES) await git(host.pathOf(name), ['gc', '--quiet', '--prune=now']);
    };
    return { folder, host, service, devices, sources, pushes, random, judged, tidy, addDevice, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function followRepository(
  host: Awaited<ReturnType<typeof openGitHost>>,
  service: Awaited<ReturnType<typeof openService>>,
  name: Repository,
): Promise<{ id: string; hookUrl: string }> {
  return service.api('POST', '/sources', {
    name,
    url: await host.createRepository(name),
    layout: foldersOf(name).length > 1 ? 'fleet' : 'repo',
    webhook: { provider: 'gitlab', secret: SIGNING_TOKEN },
    pollIntervalSeconds: POLL_SECONDS,
  });
}
