import { lockDevices } from '../../src/device/store.ts';
import type { Unit } from '../../src/event/transact.ts';
import type { PreparedRevision } from '../../src/revision/revision.ts';
import { clearStale, devicesBoundTo, forgetBundles, type StalePath } from '../../src/revision/stale-paths-store.ts';
import { convergeDevices } from '../../src/rollout/converge.ts';
import type { Source } from '../../src/source/source.ts';

/** What stale folders gave to devices as they were is not for devices as they are. */
export async function forgetOldBundles(unit: Unit, source: Source, prepared: PreparedRevision, stale: readonly StalePath[]): Promise<void> {
  const marked = new Set(stale.map(({ path }) => path));
  const evaluated = prepared.paths
    .filter(({ path }) => marked.has(path))
    .map(({ path, bundle }) => ({ path, bundle: bundle?.digest ?? null }));
  if (evaluated.length > 0) await forgetBundles(unit.tx, { organizationId: source.organizationId, sourceId: source.id }, evaluated);
}

/**
 * Brings devices to what their folders give now; until now they waited for its evaluation. The devices are locked before the marks, as by whoever
 * changes a device.
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
