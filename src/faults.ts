import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { createFault, type Fault } from './wire/fault.ts';

/**
 * Points at which a test may kill the service or fail a write with a full disk. Each is directly before or after an effect that outlives the
 * process.
 */
export const FAULT_POINTS = [
  // The transaction that records a webhook and wakes its source. The sender has no answer yet.
  'before_hook_recorded',
  'after_hook_recorded',
  // A fetch stages its files in this order: the host's answer, pack, index, head commit. The database comes last.
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
  // Any transaction, including the rollout's, which pins each device's backup.
  'before_commit',
  'after_commit',
  // Writing reports of devices, which have no answer yet.
  'before_reports_taken',
  'after_reports_taken',
  // A step of a delivery to a platform: the platform has it and the record does not, and the record has it.
  'push_step_taken',
  'push_step_kept',
  // Writing a workspace's release and backup, and the swap of its link.
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
 * Arms one point in the format of `createFault`, for this thread and the threads that it starts afterwards.
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
