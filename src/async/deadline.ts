import { setImmediate } from 'node:timers/promises';

/** `signal` fires at the deadline, and when the caller's signal fires. */
export type Deadline = {
  readonly signal: AbortSignal;
  /** Whether the deadline has passed; false where only the caller's signal fired. */
  isOver(): boolean;
  /** Stops the timer, since the work is done. */
  clear(): void;
};

/**
 * Starts a deadline. Its timer alone keeps no process alive.
 * @param reason abort reason at the deadline; default: a DOMException `TimeoutError`, as of `AbortSignal.timeout`
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
 * Waits for `work` until the limit or the signal. It does not stop the work itself.
 * @returns undefined when the work did not end in time @throws the error that `work` throws in time
 */
export async function within<T>(limitMs: number, work: Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<undefined>();
  // A process that was busy for the whole time may not have read an answer that has already arrived.
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
