import { setImmediate } from 'node:timers/promises';

/** `signal` fires when the time is over, and when the caller's signal fires. */
export type Deadline = {
  readonly signal: AbortSignal;
  /** Whether the time is over; false where only the caller gave up. */
  isOver(): boolean;
  /** The work is done: the time runs no more. */
  clear(): void;
};

/**
 * The timer alone keeps no process alive.
 * @param reason of the signal at the deadline; without one, a DOMException `TimeoutError`, as of `AbortSignal.timeout`
 */
export function startDeadline(limitMs: number, caller?: AbortSignal, reason?: Error): Deadline {
  const late = new AbortController();
  const abort = () => late.abort(reason ?? new DOMException(`not done within ${limitMs} ms`, 'TimeoutError'));
  const timer = setTimeout(abort, limitMs).unref();
  return {
    signal: caller === undefined ? late.signal : AbortSignal.any([caller, late.signal]),
    isOver: () => late.signal.aborted,
    clear: () => clearTimeout(timer),
  };
}

/**
 * Waits for `work`, but not longer than the limit and not after the signal. The work itself goes on.
 * @returns undefined when it was not done @throws what `work` throws in time
 */
export async function within<T>(limitMs: number, work: Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<undefined>();
  // A process that was busy for the whole time may have the answer already and only not have read it.
  const late = () => void setImmediate().then(() => stop(undefined));
  const timer = setTimeout(late, limitMs);
  signal?.addEventListener('abort', late, { once: true });
  if (signal?.aborted) late();
  try {
    return await Promise.race([work, stopped]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', late);
  }
}
