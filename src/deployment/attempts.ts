import type { Db } from '../db/connect.ts';
import type { DeviceStanding } from '../device/events.ts';
import { assignAttempts, quarantine, stayOnGood } from '../device/store/status.ts';
import { type Attempt, type Closed, closeDeployments, insertDeployments, noteFailures, type Target } from './store.ts';

/** Attempts and their devices, changed together. Callers hold the devices' locks. */

/**
 * Gives every target an attempt: attempts under way are superseded, what runs now is pinned as a backup, and the desired bundle changes.
 * @returns the new attempts' ids by device, and the attempts that they supersede
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
  // A device may try a quarantined bundle again once its folder has brought another one, or when an operator asks. Heals and rollbacks do not count.
  const forgets = attempt.force === true || (attempt.kind === 'change' && attempt.rolloutId != null);
  await assignAttempts(tx, organizationId, opened, { force: attempt.force ?? false, forgets });
  return { opened: new Map(opened.map(({ deviceId, id }) => [deviceId, id])), superseded };
}

/** Calls off the open attempts of these devices: the devices stay on, or return to, their last good bundle. */
export async function cancelAttempts(
  tx: Db,
  organizationId: string,
  deviceIds: readonly string[],
  as: 'superseded' | 'cancelled' = 'cancelled',
): Promise<{ closed: Closed[]; devices: DeviceStanding[] }> {
  const closed = await closeDeployments(tx, organizationId, deviceIds, as);
  const devices = await stayOnGood(
    tx,
    organizationId,
    closed.map((attempt) => attempt.deviceId),
  );
  return { closed, devices };
}

/**
 * Notes that attempts failed on their devices after something else took their place: rollouts count the devices as failed, and those devices keep the bundle
 * in quarantine.
 * @returns the rollouts concerned
 */
export async function noteLateFailures(
  tx: Db,
  organizationId: string,
  failures: readonly { id: string; code: string; detail: string }[],
): Promise<string[]> {
  if (failures.length === 0) return [];
  const noted = await noteFailures(tx, organizationId, failures);
  await quarantine(tx, organizationId, noted);
  return [...new Set(noted.flatMap(({ rolloutId }) => rolloutId ?? []))];
}
