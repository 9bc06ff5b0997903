import type { Adapter } from '../adapter/adapter.ts';
import { audited, type Caller } from '../audit/audited.ts';
import { COMMAND_TYPES, isCommandType } from '../command/command.ts';
import { insertCommand } from '../command/store.ts';
import type { Device } from '../device/device.ts';
import { emitStanding } from '../device/events.ts';
import { setSyncStatus } from '../device/store/status.ts';
import { deviceById, lockDevice, setHold, updateDevice } from '../device/store.ts';
import { type SyncCause, statusAfter } from '../device/sync.ts';
import { conflict, invalid, notFound, Problem } from '../errors.ts';
import type { Store, Unit } from '../event/transact.ts';
import { newId } from '../ids.ts';
import { cancelDeployments, convergeDevice, deploy } from '../rollout/converge.ts';
import { issueText } from '../wire/names.ts';

/** An operator's action on one device. The routes of all API versions share these actions. */
export type DeviceAction = (unit: Unit, device: Device) => Promise<void>;

/**
 * Runs one action on one locked device, in one transaction with its audit line. @returns the device after the action
 * @throws Problem `not_found`, and errors of `work`
 */
export async function actOnDevice(
  caller: Caller,
  store: Store,
  id: string,
  what: { action: string; detail?: Record<string, unknown> },
  work: DeviceAction,
): Promise<Device> {
  const { organizationId } = caller.actor;
  const after = await audited(caller, store, { ...what, subject: `device:${id}` }, async (unit) => {
    const device = await lockDevice(unit.tx, organizationId, id);
    if (device === undefined) throw notFound('device', id);
    await work(unit, device);
    return deviceById(unit.tx, organizationId, id);
  });
  if (after === undefined) throw notFound('device', id);
  return after;
}

/** Makes the device follow its source. @throws Problem `not_bound` */
export async function startDevice(unit: Unit, device: Device): Promise<void> {
  if (device.sourceId === null) throw conflict('not_bound', `Cannot start device "${device.id}": it is bound to no source`);
  await updateDevice(unit.tx, device, { following: true });
  emitStanding(unit, 'device.started', device);
  await convergeDevice(unit, device);
  unit.enqueue('source', device.sourceId);
  unit.enqueue('workspace', device.organizationId);
}

/** Makes the device stop following its source. Its open attempt is cancelled, and its running bundle stays. */
export async function stopDevice(unit: Unit, device: Device): Promise<void> {
  await updateDevice(unit.tx, device, { following: false });
  await cancelQueued(unit, device);
  emitStanding(unit, 'device.stopped', await present(unit, device));
}

/** Triggers a check of the device's source. @throws Problem `not_bound` */
export async function refreshDevice(unit: Unit, device: Device): Promise<void> {
  if (device.sourceId === null) throw conflict('not_bound', `Cannot refresh device "${device.id}": it is bound to no source`);
  unit.enqueue('source', device.sourceId);
  await convergeDevice(unit, device);
}

export type Hold = { by: string; reason: string; untilNewerRevision: boolean };

/** Holds the device: automation no longer changes it. Its open attempt is cancelled. */
export async function holdDevice(unit: Unit, device: Device, hold: Hold): Promise<void> {
  await cancelQueued(unit, device);
  await setHold(unit.tx, device, { ...hold, revisionId: device.goodRevisionId });
  await noteStatus(unit, device, 'hold_set');
  emitStanding(unit, 'device.held', await present(unit, device));
}

/** Ends the hold. Automation deploys the folder's bundle at once if the device runs another one. */
export async function releaseDevice(unit: Unit, device: Device): Promise<void> {
  await setHold(unit.tx, device, null);
  await noteStatus(unit, device, 'hold_ended');
  emitStanding(unit, 'device.released', await present(unit, device));
  await convergeDevice(unit, device);
}

/** Deploys the bundle to the device and holds the device on it. */
export async function rollBackDevice(
  unit: Unit,
  device: Device,
  target: { bundle: string; revisionId: string | null },
  hold: Hold,
): Promise<void> {
  const { organizationId, id: deviceId } = device;
  await setHold(unit.tx, device, { ...hold, revisionId: device.desiredRevisionId });
  await deploy(unit, organizationId, [{ deviceId, ...target }], { kind: 'rollback', force: true });
  emitStanding(unit, 'device.held', await present(unit, device));
}

async function noteStatus(unit: Unit, device: Device, cause: SyncCause): Promise<void> {
  const status = statusAfter(cause, device);
  if (status !== undefined) await setSyncStatus(unit.tx, device.organizationId, device.id, status);
}

/** Reads the device's present row within the transaction. */
async function present(unit: Unit, { organizationId, id }: Device): Promise<Device> {
  const device = await deviceById(unit.tx, organizationId, id);
  if (device === undefined) throw notFound('device', id);
  return device;
}

async function cancelQueued(unit: Unit, device: Device): Promise<void> {
  await cancelDeployments(unit, device.organizationId, [device.id]);
}

/**
 * Queues a command and wakes the device, or the controller where the device's platform runs it. The types of commands of a platform are its own; it
 * checks them when it gets the command.
 * @throws Problem `invalid_request`, `integration_unsupported`
 */
export async function queueCommand(
  unit: Unit,
  device: Device,
  adapter: Adapter | undefined,
  wanted: { type: string; payload: Record<string, unknown>; ttlSeconds: number; createdBy: string },
) {
  const runner = adapter?.delivery === 'push' ? adapter.commands : 'device';
  if (runner === 'none')
    throw new Problem(
      'integration_unsupported',
      `Cannot queue "${wanted.type}" for device "${device.id}": its platform "${device.adapter}" runs no commands; it takes configuration from Git only`,
    );
  if (runner === 'device') checkCommand(wanted);
  const { organizationId, id: deviceId } = device;
  const command = await insertCommand(unit.tx, { organizationId, id: newId(), deviceId, ...wanted });
  if (runner === 'device') unit.wakeDevices(organizationId, [deviceId]);
  unit.emit({ organizationId, type: 'command.queued', subject: `device:${deviceId}`, data: { commandId: command.id, type: command.type } });
  return command;
}

function checkCommand({ type, payload }: { type: string; payload: Record<string, unknown> }): void {
  if (!isCommandType(type)) {
    throw invalid(`Cannot queue "${type}": must be one of ${Object.keys(COMMAND_TYPES).join(', ')}`, [
      { pointer: '/type', detail: 'unknown command type' },
    ]);
  }
  const parsed = COMMAND_TYPES[type].safeParse(payload);
  if (!parsed.success) {
    throw invalid(
      `Cannot queue "${type}": its payload is not valid`,
      parsed.error.issues.map((issue) => ({ pointer: `/payload/${issue.path.join('/')}`, detail: issueText(issue) })),
    );
  }
}
