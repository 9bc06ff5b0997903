import type { DeviceDeploymentState } from '../wire/agent.ts';
import type { Device, SyncStatus } from './device.ts';

/** The only table that decides the sync status of a device. SQL only stores its result (`store/status.ts`). */

export type SyncCause =
  /** An attempt was opened for the device and waits for it. */
  | 'queued'
  /** The device reports the state of its current attempt. */
  | DeviceDeploymentState
  /** A platform took the bundle and cannot show whether the device runs it. */
  | 'unverified'
  /** The device runs the bundle to which an aborted rollout was reverted, which is not the one in Git. */
  | 'reverted'
  | 'timed_out'
  /** Its current attempt was closed before the device ended it. */
  | 'called_off'
  | 'drift_found'
  | 'drift_gone'
  | 'hold_set'
  | 'hold_ended'
  /** A commit changed its folder back to its last good bundle. */
  | 'folder_matches'
  | 'source_deleted';

type SyncRule = {
  status: SyncStatus;
  /** The status of a held device, where it differs. */
  held?: SyncStatus;
  /** The status of a device that has confirmed no bundle yet, where it differs and `held` does not apply. */
  empty?: SyncStatus;
  /** Statuses that the cause ends. It leaves all others unchanged. */
  ends?: readonly SyncStatus[];
};

export const SYNC_RULES: Readonly<Record<SyncCause, SyncRule>> = {
  queued: { status: 'pending' },
  delivering: { status: 'updating' },
  applying: { status: 'updating' },
  confirming: { status: 'updating' },
  succeeded: { status: 'in_sync', held: 'held' },
  unverified: { status: 'unverified', held: 'held' },
  failed: { status: 'failed' },
  timed_out: { status: 'failed' },
  rolled_back: { status: 'rolled_back' },
  reverted: { status: 'rolled_back' },
  called_off: { status: 'in_sync', held: 'held', empty: 'unmanaged' },
  drift_found: { status: 'drifted' },
  drift_gone: { status: 'in_sync', held: 'held', ends: ['drifted'] },
  hold_set: { status: 'held' },
  hold_ended: { status: 'in_sync', empty: 'unmanaged', ends: ['held'] },
  folder_matches: { status: 'in_sync', held: 'held', ends: ['failed', 'rolled_back'] },
  source_deleted: { status: 'unmanaged' },
};

/** Columns of a device that the table needs. */
export type SyncFacts = Pick<Device, 'syncStatus' | 'goodBundle'> & { hold: object | null };

/** @returns undefined when the cause leaves the status unchanged */
export function statusAfter(cause: SyncCause, { syncStatus, hold, goodBundle }: SyncFacts): SyncStatus | undefined {
  const { status, held, empty, ends } = SYNC_RULES[cause];
  if (ends?.includes(syncStatus) === false) return undefined;
  if (held !== undefined && hold !== null) return held;
  return empty !== undefined && goodBundle === null ? empty : status;
}
