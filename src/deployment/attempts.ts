import type { Db } from '../db/connect.ts';
import type { DeviceStanding } from '../device/events.ts';
import { assignAttempts, keepLastGood, quarantine } from '../device/store/status.ts';
import { type Attempt, type Closed, closeDeployments, insertDeployments, type LateFailure, noteFailures, type Target } from './store.ts';

/** Changes of attempts together with their devices. Callers hold the devices' locks. */

/**
 * Opens an attempt for every target: supersedes open attempts, pins the running bundle as a backup, and changes the desired bundle.
 * @returns the new attempts' ids by device, and the superseded attempts
 */
export async function openDeployments(
  tx: Db,
  organizationId: string,
  targets: readonly Target[],
  attempt: Attempt,
): Promise<{ opened: Map<string, string>; superseded: Closed[] }> {
  if (targets.length === 0) return { opened: new Map(), superseded: [] };
  const superseded = await closeDeployments(
    tx,
    organizationId,
    targets.map((target) => target.deviceId),
    'superseded',
  );
  const opened = await insertDeployments(tx, organizationId, targets, attempt);
  // A rollout's change and an operator's command end any quarantine of a device. Heals, and rollbacks without force, do not.
  const forgets = attempt.force === true || (attempt.kind === 'change' && attempt.rolloutId != null);
  await assignAttempts(tx, organizationId, opened, { force: attempt.force ?? false, forgets });
  return { opened: new Map(opened.map(({ deviceId, id }) => [deviceId, id])), superseded };
}

/** Cancels the open attempts of these devices: the devices keep, or return to, their last good bundle. */
export async function cancelAttempts(
  tx: Db,
  organizationId: string,
  deviceIds: readonly string[],
  as: 'superseded' | 'cancelled' = 'cancelled',
): Promise<{ closed: Closed[]; devices: DeviceStanding[] }> {
  const closed = await closeDeployments(tx, organizationId, deviceIds, as);
  const devices = await keepLastGood(
    tx,
    organizationId,
    closed.map((attempt) => attempt.deviceId),
  );
  return { closed, devices };
}

/**
 * Records failures that devices report after their attempts were superseded or cancelled. Rollouts count these devices as failed, and the devices keep the
 * bundle in quarantine.
 * @returns the affected rollouts
 */
export async function noteLateFailures(tx: Db, organizationId: string, failures: readonly LateFailure[]): Promise<string[]> {
  if (failures.length === 0) return [];
  const noted = await noteFailures(tx, organizationId, failures);
  await quarantine(tx, organizationId, noted);
  return [...new Set(noted.flatMap(({ rolloutId }) => rolloutId ?? []))];
}
