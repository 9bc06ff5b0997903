import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { createFault, type Fault } from './wire/fault.ts';

/**
 * Instants at which a test may kill the service, or let a write find the disk full. Each stands directly before or after something that
 * outlives the process.
 */
export const FAULT_POINTS = [
  // A hook and its source's wake-up; the sender has no answer yet.
  'before_hook_recorded',
  'after_hook_recorded',
  // The staging rule: what the host answered, pack, index, the commit that counts; then the database.
  'before_incoming_rename',
  'after_incoming_rename',
  'before_pack_write',
  'after_pack_write',
  'before_index_write',
  'after_index_write',
  'before_head_write',
  'after_head_write',
  'before_revision_stored',
  'after_revision_stored',
  // Any transaction: the rollout's, which pins each device's backup, among them.
  'before_commit',
  'after_commit',
  // Reports of devices; they have no answer yet.
  'before_reports_taken',
  'after_reports_taken',
  // The workspace's release, backup and swap.
  'workspace_release_file_written',
  'workspace_backup_file_written',
  'workspace_written',
  'workspace_release_kept',
  'workspace_backup_kept',
  'workspace_link_written',
  'workspace_swapped',
  'workspace_cleaned',
] as const;
export type FaultPoint = (typeof FAULT_POINTS)[number];

const KEY = 'bellwether fault';
let fault: Fault<FaultPoint> | undefined;

/**
 * Arms one point, as `createFault` reads it, for this thread and those that it starts from now on.
 * @throws Error when there is no such point
 */
export function armFault(spec: string): void {
  const name = spec.split(/[:#]/)[0];
  if (!FAULT_POINTS.some((point) => point === name))
    throw new Error(`Cannot arm the fault "${spec}": must be one of ${FAULT_POINTS.join(', ')}`);
  setEnvironmentData(KEY, spec);
  fault = undefined;
}

/** Does nothing unless the point is armed. */
export function faultPoint(point: FaultPoint): void {
  fault ??= createFault(String(getEnvironmentData(KEY) ?? ''), () => process.kill(process.pid, 'SIGKILL'));
  fault(point);
}
