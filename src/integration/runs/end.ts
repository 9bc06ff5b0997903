import { around, atLeast, backoff } from '../../async/backoff.ts';
import { messageOf, Problem } from '../../errors.ts';
import type { Integration } from '../integration.ts';
import type { RunEnd } from '../store/services.ts';

/** The first repetition after a failure, doubled by each further one up to the interval; at least a quarter of an hour's pause is allowed. */
const RETRY_SECONDS = { base: 30, minCap: 900 } as const;

/** Problems that only a person ends: the platform does not take the credentials, or this service cannot open them. */
const BLOCKING = new Set(['integration_unauthorized', 'secret_unreadable']);

/**
 * Decides what follows from a run.
 * @param error what ended the run; undefined: success
 * @param random in [0, 1): spreads integrations that start or fail together
 */
export function decideRunEnd(
  { intervalSeconds, failures }: Pick<Integration, 'intervalSeconds' | 'failures'>,
  error: unknown,
  random = Math.random(),
): RunEnd {
  if (error === undefined) return { ok: true, nextInSeconds: around(intervalSeconds, random) };
  const code = error instanceof Problem ? error.code : 'internal';
  const detail = messageOf(error);
  if (isBlocking(error)) return { ok: false, nextInSeconds: null, code, detail, blockedReason: detail };
  const cap = Math.max(intervalSeconds, RETRY_SECONDS.minCap);
  const own = backoff({ base: RETRY_SECONDS.base, cap }, failures + 1, random);
  const asked = error instanceof Problem ? (error.retryAfterSeconds ?? 0) : 0;
  return { ok: false, nextInSeconds: Math.max(own, atLeast(asked, random)), code, detail, blockedReason: null };
}

export function isBlocking(error: unknown): boolean {
  return error instanceof Problem && BLOCKING.has(error.code);
}
