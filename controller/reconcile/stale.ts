import { lockDevices } from '../../src/device/store.ts';
import type { Unit } from '../../src/event/transact.ts';
import type { PreparedRevision } from '../../src/revision/revision.ts';
import { clearStale, devicesBoundTo, forgetBundles, type StalePath } from '../../src/revision/stale-paths-store.ts';
import { convergeDevices } from '../../src/rollout/converge.ts';
import type { Source } from '../../src/source/source.ts';

/** Forgets the bundles of stale folders: they were evaluated for the devices' earlier labels and names. */
export async function forgetOldBundles(unit: Unit, source: Source, prepared: PreparedRevision, stale: readonly StalePath[]): Promise<void> {
  const marked = new Set(stale.map(({ path }) => path));
  const evaluated = prepared.paths
    .filter(({ path }) => marked.has(path))
    .map(({ path, bundle }) => ({ path, bundle: bundle?.digest ?? null }));
  if (evaluated.length > 0) await forgetBundles(unit.tx, { organizationId: source.organizationId, sourceId: source.id }, evaluated);
}

/**
 * Deploys the evaluated folders to their devices, which waited for the evaluation. Locks the devices before the marks, in the same order as every change
 * of a device.
 */
export async function convergeBound(unit: Unit, source: Source, stale: readonly StalePath[]): Promise<void> {
  const { organizationId, id: sourceId } = source;
  const owner = { organizationId, sourceId };
  const paths = stale.map(({ path }) => path);
  const devices = await devicesBoundTo(unit.tx, owner, paths);
  await lockDevices(unit.tx, organizationId, devices);
  await clearStale(unit.tx, owner, stale);
  if (devices.length > 0) await convergeDevices(unit, organizationId, sourceId, devices);
}
