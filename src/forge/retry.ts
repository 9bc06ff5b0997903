import { setTimeout as delay } from 'node:timers/promises';
import { doubled } from '../async/backoff.ts';
import { startDeadline } from '../async/deadline.ts';
import { Problem, retryOf } from '../errors.ts';
import { forgeProblem } from './problems.ts';

/** `deadlineMs` is for a whole call, with all its requests and repetitions; `attemptTimeoutMs` for one request. */
export type ForgeLimits = { deadlineMs: number; attemptTimeoutMs: number; retryBaseMs: number };

/** Whoever waits for the answer over HTTP gives up after 30 s. */
export const DEFAULT_LIMITS: ForgeLimits = { deadlineMs: 25_000, attemptTimeoutMs: 10_000, retryBaseMs: 500 };

const TRIES = 3;

/**
 * Runs `work`, again after a temporary fault of the host: from its beginning, so that what it finds there, and not what was sent before, decides what
 * it does. Waits as long as the host asks for, doubling otherwise, and somewhat longer at random; not at all when that would be past the deadline.
 *
 * @throws Problem `forge_timeout` at the deadline, `forge_cancelled` at the caller's abort, and what `work` throws
 */
export async function withinDeadline<T>(
  doing: string,
  { deadlineMs, retryBaseMs }: ForgeLimits,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const endsAt = performance.now() + deadlineMs;
  const deadline = startDeadline(deadlineMs, caller);
  const { signal } = deadline;
  try {
    for (let tried = 1; ; tried++) {
      try {
        return await work(signal);
      } catch (error) {
        if (tried === TRIES || !(error instanceof Problem) || retryOf(error) !== 'backoff') throw error;
        const waitMs = Math.max((error.retryAfterSeconds ?? 0) * 1000, doubled({ base: retryBaseMs }, tried)) + retryBaseMs * Math.random();
        if (performance.now() + waitMs >= endsAt) throw error;
        await delay(waitMs, undefined, { signal });
      }
    }
  } catch (error) {
    if (caller?.aborted) throw forgeProblem('forge_cancelled', `Cannot ${doing}: it was given up`, { cause: error });
    if (deadline.isOver()) throw forgeProblem('forge_timeout', `Cannot ${doing}: not done within ${deadlineMs} ms`, { cause: error });
    throw error;
  } finally {
    deadline.clear();
  }
}
