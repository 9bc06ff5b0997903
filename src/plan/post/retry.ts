import type { Problem } from '../../errors.ts';
import { backoffSeconds } from '../../source/source.ts';

/** Faults of a git host that pass by themselves; with any other a person must do something. */
const PASSING = new Set([
  'forge_rate_limited',
  'forge_server_error',
  'forge_unreachable',
  'forge_timeout',
  'forge_cancelled',
  'forge_conflict',
  'git_host_unavailable',
]);

/** With the pauses between them, some hours' worth of telling, and some minutes' of reading: then that it cannot be read is told. */
const MAX_FAILURES = { tell: 15, read: 6 };
const MAX_WAIT_SECONDS = 3_600;

/** Seconds until the git host is told again after so many failures in a row, this one included; null: not again. */
export function tellAgainSeconds(error: Problem, failures: number, random: number): number | null {
  return PASSING.has(error.code) ? againSeconds(error, MAX_FAILURES.tell, failures, random) : null;
}

/** The same for reading from it, whose errors say themselves whether they may pass. */
export function readAgainSeconds(error: Problem, failures: number, random: number): number | null {
  return error.retry === 'never' ? null : againSeconds(error, MAX_FAILURES.read, failures, random);
}

function againSeconds({ retryAfterSeconds = 0 }: Problem, max: number, failures: number, random: number): number | null {
  if (failures >= max) return null;
  const asked = Math.min(MAX_WAIT_SECONDS, retryAfterSeconds) * (1 + random / 10);
  return Math.max(backoffSeconds(failures, random), asked);
}
