import { backoffSeconds } from '../../source/source.ts';
import type { Sent } from './send.ts';

/** The next step for a delivery and its notification after an attempt. */
export type Verdict =
  | { do: 'finish' }
  /** Send the same delivery again after a pause without requests to the URL. */
  | { do: 'retry'; inSeconds: number }
  /** Send the next delivery after the pause. */
  | { do: 'give_up'; inSeconds: number }
  /** The receiver has unsubscribed. */
  | { do: 'disable' };

/** Statuses that reject this message, while the receiver works: after a few attempts the next message follows. */
const REFUSALS = new Set([400, 413, 415, 422]);
const MAX_REFUSALS = 5;

/** @param failures number of previous failures of the notification in a row. @param random in [0, 1) */
export function judge(sent: Sent, delivery: { attempts: number; expiresAt: Date }, failures: number, now: Date, random: number): Verdict {
  if (sent.error === null) return { do: 'finish' };
  if (sent.status === 410) return { do: 'disable' };
  const inSeconds = Math.max(backoffSeconds(failures + 1, random), sent.retryAfterSeconds ?? 0);
  const refused = sent.status !== null && REFUSALS.has(sent.status) && delivery.attempts + 1 >= MAX_REFUSALS;
  const late = now.getTime() + inSeconds * 1000 > delivery.expiresAt.getTime();
  return { do: refused || late ? 'give_up' : 'retry', inSeconds };
}
