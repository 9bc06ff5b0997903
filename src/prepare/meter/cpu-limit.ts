import { createContext, Script } from 'node:vm';

/** Something that a repository asked for took more processor time than it may: a catastrophic pattern, a schema that multiplies. */
export class TookTooLong extends Error {}

/** Parsing a file of at most this size is short, so that it needs no limit. */
export const MAX_QUICK_BYTES = 16 * 1024;

/** Processor time that this thread has used, in milliseconds. Other threads and programs do not change it, however busy they are. */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Room for the processor time to reach its limit before the first interruption on an idle machine. */
const WALL_FACTOR = 1.1;
const WALL_EXTRA_MS = 5;
/** A first attempt gets at most this processor time. It is enough for nearly all work, so that what exceeds it may count as slow. */
export const SLOW_MS = 100;
/** A further attempt gets as long as the limit would take at the share of a processor that the last one had, within these bounds. */
const MIN_GROWTH = 1.3;
const MAX_GROWTH = 16;

/**
 * Runs a synchronous function and stops it once it has used its processor time, in the middle of a regular expression too.
 *
 * Node can interrupt by the wall clock only. An attempt that was interrupted before it had its processor time is repeated with a longer wall
 * time, so that a busy machine changes the duration and never the outcome. The deadline of the thread bounds the wall time as a whole.
 *
 * Costs about 0.2 ms, since Node starts a thread for the clock: short work runs without it. Calls must not be nested.
 * @param run must be repeatable
 * @param repeated gets the processor time of each attempt that is repeated
 * @param firstMs processor time that the first attempt gets, so that `repeated` learns early of slow work
 * @throws TookTooLong, and whatever `run` throws
 */
export function withinCpuTime<T>(
  limitMs: number,
  run: () => T,
  repeated: (wastedMs: number) => void = () => undefined,
  firstMs: number = limitMs,
): T {
  const wallOf = (cpuMs: number) => WALL_FACTOR * cpuMs + WALL_EXTRA_MS;
  let wallMs = wallOf(Math.min(firstMs, limitMs));
  for (;;) {
    const started = threadCpuMs();
    const outcome = interruptAfter(wallMs, run);
    const usedMs = threadCpuMs() - started;
    if (usedMs > limitMs) throw new TookTooLong(`Cannot go on: it took more than ${limitMs} ms of processor time`);
    if (outcome !== 'interrupted') return outcome.value;
    repeated(usedMs);
    wallMs = Math.max(wallOf(limitMs), wallMs * Math.min(MAX_GROWTH, Math.max(MIN_GROWTH, (WALL_FACTOR * limitMs) / usedMs)));
  }
}

function interruptAfter<T>(wallMs: number, run: () => T): { value: T } | 'interrupted' {
  let outcome: { value: T } | undefined;
  sandbox.run = () => {
    outcome = { value: run() };
  };
  try {
    script.runInContext(context, { timeout: Math.max(1, Math.ceil(wallMs)) });
  } catch (error) {
    if (!isTimeout(error)) throw error;
    return 'interrupted';
  } finally {
    sandbox.run = idle;
  }
  return outcome ?? 'interrupted';
}

const idle = (): void => undefined;
/** The code that runs is that of this realm. The context only gives it a clock. */
const sandbox = { run: idle };
const context = createContext(sandbox);
const script = new Script('run()');

function isTimeout(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}
