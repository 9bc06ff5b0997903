import type { Unit } from '../db/transact.ts';
import type { Device } from '../device/device.ts';
import { type Attempt, eligibleTargets, openDeployments, type Target } from './store.ts';

/** Opens an attempt for each target and tells everybody concerned: the devices, the adapters that push, the listeners. The caller holds the devices' locks. */
export async function deploy(
  unit: Unit,
  organizationId: string,
  targets: readonly Target[],
  attempt: Attempt,
): Promise<Map<string, string>> {
  const opened = await openDeployments(unit.tx, organizationId, targets, attempt);
  if (opened.size === 0) return opened;
  unit.wakeDevices(organizationId, [...opened.keys()]);
  unit.enqueue('deployment', organizationId);
  for (const [deviceId, deploymentId] of opened) {
    unit.emit({
      organizationId,
      type: 'deployment.queued',
      subject: `device:${deviceId}`,
      data: { deploymentId, rolloutId: attempt.rolloutId ?? null, kind: attempt.kind, attempt: attempt.attempt ?? 1 },
    });
  }
  return opened;
}

/** Brings one device to its folder's bundle, if automation may and it is not told so already. @returns whether an attempt was opened */
export async function convergeDevice(unit: Unit, device: Pick<Device, 'organizationId' | 'id' | 'sourceId'>): Promise<boolean> {
  return device.sourceId !== null && (await convergeDevices(unit, device.organizationId, device.sourceId, [device.id])) > 0;
}

/** The same for several devices of one source. @returns how many attempts were opened */
export async function convergeDevices(unit: Unit, organizationId: string, sourceId: string, deviceIds: readonly string[]): Promise<number> {
  const targets = await eligibleTargets(unit.tx, organizationId, { sourceId, deviceIds });
  const opened = await deploy(unit, organizationId, targets, { kind: 'change' });
  return opened.size;
}
