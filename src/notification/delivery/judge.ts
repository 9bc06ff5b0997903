import { backoffSeconds } from '../../source/source.ts';
import type { Sent } from './send.ts';

/** What becomes of a delivery after an attempt, and of its notification. */
export type Verdict =
  | { do: 'settle' }
  /** The same delivery again, after a pause in which the URL is left alone. */
  | { do: 'retry'; inSeconds: number }
  /** The next one, after the pause. */
  | { do: 'give_up'; inSeconds: number }
  /** The receiver wants nothing any more. */
  | { do: 'disable' };

/** Answers about this message rather than about the receiver: it is not worth a day, and others wait behind it. */
const REFUSALS = new Set([400, 413, 415, 422]);
const MAX_REFUSALS = 5;

/** @param failures of the notification before, in a row. @param random in [0, 1) */
export function judge(sent: Sent, delivery: { attempts: number; expiresAt: Date }, failures: number, now: Date, random: number): Verdict {
  if (sent.error === null) return { do: 'settle' };
  if (sent.status === 410) return { do: 'disable' };
  const inSeconds = Math.max(backoffSeconds(failures + 1, random), sent.retryAfterSeconds ?? 0);
  const refused = sent.status !== null && REFUSALS.has(sent.status) && delivery.attempts + 1 >= MAX_REFUSALS;
  const late = now.getTime() + inSeconds * 1000 > delivery.expiresAt.getTime();
  return { do: refused || late ? 'give_up' : 'retry', inSeconds };
}
