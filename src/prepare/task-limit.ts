import { startDeadline } from '../async/deadline.ts';

/**
 * A thread of low priority may get less than a tenth of a processor that others want too. Its processor time has limits of its own, so that this limit
 * is only for a thread that does not end.
 */
const SLOW_TIMES = 8;

/** The limit of a task by the wall clock, which grows once the task goes on with a low priority. */
export type TaskLimit = {
  readonly signal: AbortSignal;
  isOver(): boolean;
  /** As it is at present. */
  limitMs(): number;
  clear(): void;
};

/** @param isSlow shared with the thread; see `PrepareTask` */
export function startTaskLimit(usualMs: number, isSlow: Int32Array): TaskLimit {
  const usual = new AbortController();
  const longest = startDeadline(SLOW_TIMES * usualMs, usual.signal);
  const hasLonger = () => Atomics.load(isSlow, 0) === 1;
  const timer = setTimeout(() => {
    if (!hasLonger()) usual.abort();
  }, usualMs).unref();
  return {
    signal: longest.signal,
    isOver: () => longest.signal.aborted,
    limitMs: () => (hasLonger() ? SLOW_TIMES * usualMs : usualMs),
    clear: () => {
      clearTimeout(timer);
      longest.clear();
    },
  };
}
