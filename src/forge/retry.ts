import { setTimeout as delay } from 'node:timers/promises';
import { doubled } from '../async/backoff.ts';
import { startDeadline } from '../async/deadline.ts';
import { Problem, retryOf } from '../errors.ts';
import { forgeProblem } from './problems.ts';

/** `deadlineMs` limits a whole call with all its requests and retries; `attemptTimeoutMs` limits one request. */
export type ForgeLimits = { deadlineMs: number; attemptTimeoutMs: number; retryBaseMs: number };

/** A client of the HTTP API gives up after 30 s. */
export const DEFAULT_LIMITS: ForgeLimits = { deadlineMs: 25_000, attemptTimeoutMs: 10_000, retryBaseMs: 500 };

const TRIES = 3;

/**
 * Runs `work`, and after a temporary fault of the host runs it again from its beginning, so that it acts on the host's current state. The pause is
 * the one that the host asks for, else it doubles; a random part is added. Fails at once if the pause would end after the deadline.
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
    if (caller?.aborted) throw forgeProblem('forge_cancelled', `Cannot ${doing}: the caller cancelled it`, { cause: error });
    if (deadline.isOver()) throw forgeProblem('forge_timeout', `Cannot ${doing}: not done within ${deadlineMs} ms`, { cause: error });
    throw error;
  } finally {
    deadline.clear();
  }
}
