import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Closable } from './async/lifecycle.ts';
import type { Log } from './log.ts';

/**
 * V8's heap of this thread. `heldBytes`: its size, used or not. `letGrow`: by how much the used part may grow before V8 collects by itself.
 */
export type Heap = { heldBytes(): number; collect(): void; letGrow(percent: number): void };

const CHECK_EVERY_MS = 5_000;
/** Event loop utilization since the last check. More than this means work, such as workspace updates. Ten thousand idle devices use up to a third. */
const BUSY_SHARE = 0.5;
/** Consecutive checks that must find no work. */
const QUIET_CHECKS = 3;
/** Checks between two collections: one minute. */
const REST_CHECKS = 12;
/** While devices work on a change, each collection delays them. */
const GROWTH_AT_WORK_PERCENT = 50;
/**
 * Ten thousand devices that poll once a minute leave 2 MB of garbage a second. With this limit V8 collects every quarter of a minute, concurrently,
 * with a few hundredths of a core.
 */
const GROWTH_AT_REST_PERCENT = 20;
/** V8 itself collects before the heap has grown to this factor. A larger heap is the remainder of a peak. */
const GROWN_FACTOR = 1.6;
/** After devices have worked on a change, growth above this factor is most likely garbage of that work. V8 would keep it until the next change. */
const LEFT_FACTOR = 1.15;

/**
 * Releases the memory of a peak. A commit to ten thousand devices leaves V8 with more than twice the memory that it needs. Idle devices cause too
 * little garbage for V8 to collect again within hours. A full collection stops the process for a third of a second. Therefore it runs only while no
 * device works on a change and the process has little to do. It runs at most once a minute, and only when the heap has grown since the last one.
 */
export function startCollecting(isBusy: () => boolean, log: Log): Closable {
  const heap = openHeap();
  heap.letGrow(GROWTH_AT_WORK_PERCENT);
  const check = createCheck(heap, log);
  let before = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    check(!isBusy() && utilization < BUSY_SHARE);
  }, CHECK_EVERY_MS);
  timer.unref();
  return { close: async () => clearInterval(timer) };
}

/** Returns a check that collects after enough quiet checks in a row if the heap has grown. */
export function createCheck(heap: Heap, log: Log): (isQuiet: boolean) => void {
  let checksToGo = QUIET_CHECKS;
  let hasWorked = false;
  let atRestBytes = heap.heldBytes();
  return (isQuiet) => {
    checksToGo = isQuiet ? Math.max(0, checksToGo - 1) : Math.max(QUIET_CHECKS, checksToGo);
    hasWorked ||= !isQuiet;
    if (!isQuiet) heap.letGrow(GROWTH_AT_WORK_PERCENT);
    else if (checksToGo === 0) heap.letGrow(GROWTH_AT_REST_PERCENT);
    const heldBytes = heap.heldBytes();
    if (checksToGo > 0 || heldBytes < (hasWorked ? LEFT_FACTOR : GROWN_FACTOR) * atRestBytes) return;
    checksToGo = REST_CHECKS;
    hasWorked = false;
    const started = performance.now();
    heap.collect();
    atRestBytes = heap.heldBytes();
    log.debug({ heldBytes, atRestBytes, durationMs: Math.round(performance.now() - started) }, 'memory released');
  };
}

/** Node exposes its collector only with a flag, which may be set at any time. The flag stays set, since several threads may need it at once. */
export function openHeap(): Heap {
  setFlagsFromString('--expose-gc');
  const collect: (how: Record<string, string>) => void = runInNewContext('gc');
  return {
    heldBytes: () => getHeapStatistics().total_heap_size,
    // Only this kind of collection returns pages to the system. All others keep them for later use.
    collect: () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
    // V8 applies the flag when the next collection sets the next limit.
    letGrow: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
  };
}
