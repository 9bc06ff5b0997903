import { cancelAttempts, openDeployments } from '../deployment/attempts.ts';
import type { Attempt, AttemptLimits, Closed, Target } from '../deployment/store.ts';
import type { Device } from '../device/device.ts';
import { emitStanding } from '../device/events.ts';
import type { Unit } from '../event/transact.ts';
import { isUnrestricted, waveCount } from '../policy/policy.ts';
import { isSourceHeld } from '../source/store.ts';
import { isActive, type Rollout } from './rollout.ts';
import { newestRollout } from './store/store.ts';
import { convergingTargets, stableTargets } from './store/targets.ts';

/** Opens an attempt for each target, wakes devices and push adapters, and emits events. The caller holds the devices' locks. */
export async function deploy(
  unit: Unit,
  organizationId: string,
  targets: readonly Target[],
  attempt: Attempt,
): Promise<Map<string, string>> {
  const { opened, superseded } = await openDeployments(unit.tx, organizationId, targets, attempt);
  if (opened.size === 0) return opened;
  wakeRollouts(unit, superseded);
  unit.wakeDevices(organizationId, [...opened.keys()]);
  unit.enqueue('deployment', organizationId);
  for (const [deviceId, deploymentId] of opened) {
    unit.emit({
      organizationId,
      type: 'deployment.queued',
      subject: `device:${deviceId}`,
      data: {
        deploymentId,
        rolloutId: attempt.rolloutId ?? null,
        wave: attempt.wave ?? null,
        kind: attempt.kind,
        attempt: attempt.attempt ?? 1,
      },
    });
  }
  return opened;
}

/** Cancels open attempts of these devices and wakes them. The caller holds their locks. */
export async function cancelDeployments(
  unit: Unit,
  organizationId: string,
  deviceIds: readonly string[],
  as: 'superseded' | 'cancelled' = 'cancelled',
): Promise<void> {
  const { closed, devices } = await cancelAttempts(unit.tx, organizationId, deviceIds, as);
  wakeRollouts(unit, closed);
  unit.wakeDevices(organizationId, deviceIds);
  for (const device of devices) emitStanding(unit, 'device.status', device);
}

/** A rollout must count the outcome of its attempts. */
function wakeRollouts(unit: Unit, closed: readonly Closed[]): void {
  for (const { rolloutId } of closed) if (rolloutId !== null) unit.enqueue('rollout', rolloutId);
}

export function limitsOf({ policy }: Pick<Rollout, 'policy'>): AttemptLimits {
  const { timeoutSeconds = null, retries, busySeconds = null } = policy.device ?? {};
  return { timeoutSeconds, maxAttempts: retries === undefined ? null : retries + 1, busySeconds };
}

/** Deploys the desired bundle to one device, if automation may change it and no attempt does so already. @returns whether an attempt was opened */
export async function convergeDevice(unit: Unit, device: Pick<Device, 'organizationId' | 'id' | 'sourceId'>): Promise<boolean> {
  return device.sourceId !== null && (await convergeDevices(unit, device.organizationId, device.sourceId, [device.id])) > 0;
}

/**
 * `convergeDevice` for several devices of one source. If the source's rollout is restricted, they get the bundle of the last completed rollout, and then
 * their turn in the current one. After an abort they get only the former.
 * @returns how many attempts were opened
 */
export async function convergeDevices(unit: Unit, organizationId: string, sourceId: string, deviceIds: readonly string[]): Promise<number> {
  const rollout = await newestRollout(unit.tx, organizationId, sourceId);
  if (rollout === undefined) return 0;
  const limits = limitsOf(rollout);
  if ((rollout.state === 'running' || rollout.state === 'completed') && isUnrestricted(rollout.policy) && !(await isHeld(unit, rollout))) {
    const part = { rolloutId: rollout.id, wave: waveCount(rollout.policy) - 1 };
    const targets = await convergingTargets(unit.tx, rollout, deviceIds);
    return (await deploy(unit, organizationId, targets, { kind: 'change', ...part, limits })).size;
  }
  if (isActive(rollout.state) || rollout.state === 'completed') unit.enqueue('rollout', rollout.id);
  if (rollout.state === 'completed') return 0;
  if (await isHeld(unit, rollout)) return 0;
  const targets = await stableTargets(unit.tx, rollout, deviceIds);
  return (await deploy(unit, organizationId, targets, { kind: 'change', limits })).size;
}

/** While a source is held, only the rollback that created the hold may deploy. */
async function isHeld(unit: Unit, rollout: Rollout): Promise<boolean> {
  return rollout.kind !== 'rollback' && (await isSourceHeld(unit.tx, rollout.organizationId, rollout.sourceId));
}
