import { audited, type Caller } from '../audit/audited.ts';
import { emitStanding } from '../device/events.ts';
import {
  type BulkAction,
  type BulkDevice,
  folderBundles,
  followSources,
  holdDevices,
  labelDevices,
  lockForBulk,
  moveToSite,
  releaseDevices,
  standingOf,
} from '../device/store/bulk.ts';
import type { DeviceFilter } from '../device/store/filter.ts';
import { conflict, invalid } from '../errors.ts';
import type { Store, Unit } from '../event/transact.ts';
import { cancelDeployments, convergeDevices, deploy } from '../rollout/converge.ts';
import { checkSite } from './register.ts';

/** Devices that one action may change. */
export const MAX_BULK = 100_000;

export type Confirmation = {
  /** The number of devices that the operator was shown. */
  expected: number;
  /** By how much the number may differ now. */
  tolerance: number;
};

/**
 * Does to many devices what an action of `commands.ts` does to one: in one transaction, with one line in the audit log, the events of each device, and
 * a fixed number of statements for each source. @returns how many devices it changed
 * @throws Problem `bulk_changed` when the number of devices is no longer the confirmed one
 */
export async function actOnDevices(
  caller: Caller,
  store: Store,
  {
    filter,
    wanted,
    confirmation,
    detail,
  }: { filter: DeviceFilter; wanted: BulkAction; confirmation: Confirmation; detail: Record<string, unknown> },
): Promise<number> {
  const { organizationId, name: by } = caller.actor;
  const line = (changed: number) => ({ action: `device.bulk_${wanted.action}`, subject: 'devices', detail: { ...detail, changed } });
  return audited(caller, store, line, async (unit) => {
    if (wanted.action === 'move') await checkSite(unit, organizationId, wanted.siteId);
    const devices = await lockForBulk(unit.tx, organizationId, filter, wanted, MAX_BULK + 1);
    checkNumber(devices.length, confirmation);
    if (devices.length > 0) await act(unit, { organizationId, by }, devices, wanted);
    return devices.length;
  });
}

function checkNumber(found: number, { expected, tolerance }: Confirmation): void {
  if (found > MAX_BULK) throw invalid(`Cannot act on more than ${MAX_BULK} devices at once: narrow the filter`);
  if (Math.abs(found - expected) <= tolerance) return;
  throw conflict(
    'bulk_changed',
    `Cannot act: ${found} devices would change now, and ${expected} were confirmed; look again and confirm that number`,
  );
}

type Who = { organizationId: string; by: string };

async function act(unit: Unit, who: Who, devices: readonly BulkDevice[], wanted: BulkAction): Promise<void> {
  const { organizationId } = who;
  const ids = devices.map(({ id }) => id);
  switch (wanted.action) {
    case 'start':
      await followSources(unit.tx, organizationId, ids, true);
      for (const device of devices) emitStanding(unit, 'device.started', device);
      await refresh(unit, organizationId, devices);
      return unit.enqueue('workspace', organizationId);
    case 'stop':
      await followSources(unit.tx, organizationId, ids, false);
      await cancelDeployments(unit, organizationId, ids);
      return emitAll(unit, organizationId, ids, 'device.stopped');
    case 'refresh':
      return refresh(unit, organizationId, devices);
    case 'hold':
      await cancelDeployments(unit, organizationId, ids);
      await holdDevices(unit.tx, organizationId, ids, { ...wanted, by: who.by });
      return emitAll(unit, organizationId, ids, 'device.held');
    case 'release':
      await releaseDevices(unit.tx, organizationId, ids);
      await emitAll(unit, organizationId, ids, 'device.released');
      return converge(unit, organizationId, devices);
    case 'retry':
      await deploy(unit, organizationId, await folderBundles(unit.tx, organizationId, ids), { kind: 'retry', force: true });
      return;
    case 'label':
      await labelDevices(unit.tx, organizationId, ids, wanted);
      emitChanged(unit, organizationId, ids, 'labels');
      return converge(unit, organizationId, devices);
    case 'move':
      await moveToSite(unit.tx, organizationId, ids, wanted.siteId);
      emitChanged(unit, organizationId, ids, 'siteId');
      return converge(unit, organizationId, devices);
  }
}

function emitChanged(unit: Unit, organizationId: string, ids: readonly string[], field: string): void {
  for (const id of ids) unit.emit({ organizationId, type: 'device.changed', subject: `device:${id}`, data: { fields: [field] } });
}

async function emitAll(
  unit: Unit,
  organizationId: string,
  ids: readonly string[],
  type: 'device.stopped' | 'device.held' | 'device.released',
): Promise<void> {
  for (const device of await standingOf(unit.tx, organizationId, ids)) emitStanding(unit, type, device);
}

/** Checks the sources of the devices, and deploys what their folders hold. */
async function refresh(unit: Unit, organizationId: string, devices: readonly BulkDevice[]): Promise<void> {
  for (const sourceId of new Set(devices.map((device) => device.sourceId))) if (sourceId !== null) unit.enqueue('source', sourceId);
  await converge(unit, organizationId, devices);
}

async function converge(unit: Unit, organizationId: string, devices: readonly BulkDevice[]): Promise<void> {
  for (const [sourceId, bound] of Map.groupBy(devices, (device) => device.sourceId)) {
    const ids = bound.map(({ id }) => id);
    if (sourceId !== null) await convergeDevices(unit, organizationId, sourceId, ids);
  }
}
