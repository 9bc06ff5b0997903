import type { DeviceDeploymentState } from '../wire/agent.ts';
import type { Device, SyncStatus } from './device.ts';

/** The one table that decides the sync status of a device. SQL only writes its answer (`store/status.ts`). */

export type SyncCause =
  /** An attempt was opened for the device, and waits for it. */
  | 'queued'
  /** The device reports the state of its present attempt. */
  | DeviceDeploymentState
  /** It runs what an aborted rollout leads back to, which is not what Git says. */
  | 'reverted'
  | 'timed_out'
  /** Its present attempt was closed before the device ended it. */
  | 'called_off'
  | 'drift_found'
  | 'drift_gone'
  | 'hold_set'
  | 'hold_ended'
  /** Its folder was changed back to what it runs well. */
  | 'folder_matches'
  | 'source_deleted';

type SyncRule = {
  status: SyncStatus;
  /** While somebody holds the device, where that makes a difference. */
  held?: SyncStatus;
  /** While the device has confirmed no bundle yet, where that makes a difference and `held` does not apply. */
  empty?: SyncStatus;
  /** The statuses that the cause ends; it leaves all others. */
  ends?: readonly SyncStatus[];
};

export const SYNC_RULES: Readonly<Record<SyncCause, SyncRule>> = {
  queued: { status: 'pending' },
  delivering: { status: 'updating' },
  applying: { status: 'updating' },
  confirming: { status: 'updating' },
  succeeded: { status: 'in_sync', held: 'held' },
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

/** What the table asks about a device. */
export type SyncFacts = Pick<Device, 'syncStatus' | 'goodBundle'> & { hold: object | null };

/** @returns undefined when the cause leaves the status as it is */
export function statusAfter(cause: SyncCause, { syncStatus, hold, goodBundle }: SyncFacts): SyncStatus | undefined {
  const { status, held, empty, ends } = SYNC_RULES[cause];
  if (ends?.includes(syncStatus) === false) return undefined;
  if (held !== undefined && hold !== null) return held;
  return empty !== undefined && goodBundle === null ? empty : status;
}
