import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Closable } from './async/lifecycle.ts';
import type { Log } from './log.ts';

/** What V8 holds in this thread, used or not, how to have it collect, and by how much what is in use may grow before it does so by itself. */
export type Heap = { heldBytes(): number; collect(): void; letGrow(percent: number): void };

const CHECK_EVERY_MS = 5_000;
/** Of the time since the last look; above it something goes on, such as workspaces that follow. Ten thousand idle devices take up to a third. */
const BUSY_SHARE = 0.5;
/** Looks in a row that must find nothing going on. */
const QUIET_CHECKS = 3;
/** Looks after a collection before the next one: a minute. */
const REST_CHECKS = 12;
/** While devices are at work each collection costs time that they wait for. */
const GROWTH_AT_WORK_PERCENT = 50;
/** Ten thousand devices that ask once a minute leave 2 MB of garbage a second: V8 collects every quarter of a minute, beside the work, in some hundredths of a core. */
const GROWTH_AT_REST_PERCENT = 20;
/** V8 itself collects before the heap has grown to this: what is larger was left by a peak. */
const GROWN_FACTOR = 1.6;
/** After devices were at work on a change, what is more than this was most likely left by them; V8 would keep it until the next change. */
const LEFT_FACTOR = 1.15;

/**
 * Gives the memory of a peak back: a commit to ten thousand devices leaves V8 with more than twice of what it needs, and nothing that devices do while they
 * wait makes it collect again for hours. A whole collection stops the process for a third of a second, so it is done when no device is at work on a change
 * and the process has little to do, now and then, and only when the heap has outgrown what it was after the last one.
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

/** One look: collects when it is the last of enough quiet ones, and the heap has grown. */
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
    log.debug({ heldBytes, atRestBytes, durationMs: Math.round(performance.now() - started) }, 'memory given back');
  };
}

/** Node shows its collector to scripts only when it is told to, which it may be at any time. It stays so: several threads may ask at once. */
export function openHeap(): Heap {
  setFlagsFromString('--expose-gc');
  const collect: (how: Record<string, string>) => void = runInNewContext('gc');
  return {
    heldBytes: () => getHeapStatistics().total_heap_size,
    // Of the kinds of collection that V8 knows only this one gives pages back to the system; the others keep them for later.
    collect: () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
    // Taken into account when the next collection sets the next limit.
    letGrow: (percent) => setFlagsFromString(`--heap-growing-percent=${percent}`),
  };
}
