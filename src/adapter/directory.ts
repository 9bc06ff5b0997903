import { mkdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { diskProblem } from '../workspace/durable.ts';
import { openWorkspaces, type Workspaces } from '../workspace/workspace.ts';
import type { PushAdapter } from './adapter.ts';

/**
 * Devices that read their configuration from a share: each delivered bundle stands in `<root>/<organization>/<device>/`, which is swapped as
 * a whole, so that a reader sees the old state or the new one. For TFTP and HTTP boot servers, network shares, and trying things out.
 */
export function createDirectoryAdapter(root: string): PushAdapter {
  let opening: Promise<Workspaces> | undefined;
  return {
    name: 'directory',
    delivery: 'push',
    deliver: async ({ organizationId, deviceId, manifest, readFile, signal }) => {
      const folder = join(root, organizationId);
      const share = join(folder, deviceId);
      try {
        opening ??= openWorkspaces(join(root, '.store'));
        const workspaces = await opening;
        await mkdir(folder, { recursive: true });
        const name = (await storeOf(share)) ?? (await workspaces.create({ organizationId, deviceId }));
        await workspaces.applyRelease(name, { manifest, readFile }, { reason: 'delivered', signal });
        await point(share, join('..', '.store', name, 'current'));
      } catch (error) {
        // What could not be opened, on a full disk say, is opened anew the next time.
        opening = undefined;
        throw diskProblem(`deliver to "${share}"`, error);
      }
    },
  };
}

/** Name of the store directory that a share points into. */
async function storeOf(share: string): Promise<string | undefined> {
  const target = await readlink(share).catch(() => '');
  return /\.store\/([0-9a-f]{32})\/current$/.exec(target)?.[1];
}

async function point(share: string, target: string): Promise<void> {
  if ((await readlink(share).catch(() => '')) === target) return;
  const aside = `${share}.new`;
  await rm(aside, { force: true });
  await symlink(target, aside);
  await rename(aside, share);
}
