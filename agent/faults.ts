import type { Fault as FaultOf } from '../src/wire/fault.ts';

/**
 * Instants at which a test may kill a real agent, as a power cut would, or fail a write as on a full disk. Each is directly before or after
 * a durable change.
 */
export const FAULT_POINTS = [
  'before_identity',
  'after_identity',
  'before_accept',
  'after_accept',
  'before_state_write',
  'after_state_write',
  'before_outbox_write',
  'after_outbox_write',
  'during_download',
  'after_download',
  'during_extract',
  'before_release_rename',
  'after_release_rename',
  'during_backup',
  'before_backup_rename',
  'after_backup',
  'before_prepared',
  'after_prepared',
  'after_before_hook',
  'before_swap',
  'during_swap',
  'after_swap',
  'after_after_hook',
  'after_health',
  'before_confirming',
  'after_confirming',
  'after_confirmed',
  'before_commit',
  'after_commit',
  'before_failure',
  'after_failure',
  'before_swap_back',
  'after_swap_back',
  'after_back_hook',
  'before_rolled_back',
  'after_rolled_back',
] as const;
export type FaultPoint = (typeof FAULT_POINTS)[number];

export type Fault = FaultOf<FaultPoint>;
