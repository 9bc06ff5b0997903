import { mkdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { diskProblem } from '../workspace/durable.ts';
import { openWorkspaces, type Workspaces } from '../workspace/workspace.ts';
import type { Delivery, PushAdapter } from './adapter.ts';

/**
 * For devices that read their configuration from a share. Each delivered bundle is in `<root>/<organization>/<device>/`. The adapter swaps this folder
 * atomically, so that a reader finds the old state or the new one. Uses: TFTP and HTTP boot servers, network shares, trials.
 */
export function createDirectoryAdapter(root: string): PushAdapter {
  let opening: Promise<Workspaces> | undefined;
  const deliver = async ({ organizationId, deviceId, loadBundle }: Delivery, digest: string, signal: AbortSignal): Promise<void> => {
    const folder = join(root, organizationId);
    const share = join(folder, deviceId);
    const bundle = await loadBundle(digest);
    try {
      opening ??= openWorkspaces(join(root, '.store'));
      const workspaces = await opening;
      await mkdir(folder, { recursive: true });
      const name = (await storeOf(share)) ?? (await workspaces.create({ organizationId, deviceId }));
      await workspaces.applyRelease(name, bundle, { reason: 'delivered', signal });
      await point(share, join('..', '.store', name, 'current'));
    } catch (error) {
      // After a failure to open, for example on a full disk, the next delivery opens the store again.
      opening = undefined;
      throw diskProblem(`deliver to "${share}"`, error);
    }
  };
  return {
    name: 'directory',
    delivery: 'push',
    provesContact: true,
    needsAssignment: false,
    commands: 'device',
    open: async (delivery) => ({
      prepare: async () => ({ desired: delivery.digest, previous: delivery.previous, isUnchanged: false }),
      apply: async (_prepared, _token, signal) => {
        await deliver(delivery, delivery.digest, signal);
        return null;
      },
      // The swap is atomic: it happened.
      verify: async () => ({ is: 'verified' }),
      cancel: async ({ previous }, _receipt, signal) => {
        if (typeof previous === 'string') await deliver(delivery, previous, signal);
      },
      close: () => {},
    }),
  };
}

/** Returns the name of the store directory that a share links to. */
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
