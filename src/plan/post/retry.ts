import { atLeast } from '../../async/backoff.ts';
import { type Problem, retryOf } from '../../errors.ts';
import { backoffSeconds } from '../../source/source.ts';

/** With the pauses between them, posting fails after some hours and reading after some minutes. A plan is then shown as not computed. */
const MAX_FAILURES = { post: 15, read: 6 };
const MAX_WAIT_SECONDS = 3_600;

/** Seconds until the next attempt to post at the git host, after `failures` in a row including this one; null: no further attempt. */
export function postRetrySeconds(error: Problem, failures: number, random: number): number | null {
  return retrySeconds(error, MAX_FAILURES.post, failures, random);
}

/** The same for reading from the git host. */
export function readRetrySeconds(error: Problem, failures: number, random: number): number | null {
  return retrySeconds(error, MAX_FAILURES.read, failures, random);
}

function retrySeconds(error: Problem, max: number, failures: number, random: number): number | null {
  if (retryOf(error) === 'never' || failures >= max) return null;
  const { retryAfterSeconds = 0 } = error;
  const asked = atLeast(Math.min(MAX_WAIT_SECONDS, retryAfterSeconds), random);
  return Math.max(backoffSeconds(failures, random), asked);
}
