import { performance } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Log } from './log.ts';

/** What V8 holds in this thread, used or not, and how to have it collect. */
export type Heap = { heldBytes(): number; collect(): void };

const LOOK_EVERY_MS = 5_000;
/** Looks in a row that must find the process quiet. */
const QUIET_LOOKS = 3;
/** Share of the time in which a quiet event loop works. */
const QUIET_UTILIZATION = 0.5;
/** With `--heap-growing-percent=50`, V8 itself collects before the heap has grown to this: what is larger was left by a peak. */
const GROWN_FACTOR = 1.5;

/**
 * Gives the memory of a peak back: a commit to ten thousand devices leaves V8 with more than twice of what it needs, and nothing that devices do while they
 * wait makes it collect again for hours. A whole collection stops the process for a third of a second, so it is done when nothing goes on, and only when the heap
 * has outgrown what it was after the last one.
 */
export function startGivingBack(isBusy: () => boolean, log: Log): { stop(): void } {
  const look = createLook(openHeap(), log);
  let before = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    look(!isBusy() && utilization < QUIET_UTILIZATION);
  }, LOOK_EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** One look: collects when it is the last of enough quiet ones, and the heap has grown. */
export function createLook(heap: Heap, log: Log): (isQuiet: boolean) => void {
  let quietLooks = 0;
  let atRestBytes = heap.heldBytes();
  return (isQuiet) => {
    quietLooks = isQuiet ? quietLooks + 1 : 0;
    const heldBytes = heap.heldBytes();
    if (quietLooks < QUIET_LOOKS || heldBytes < GROWN_FACTOR * atRestBytes) return;
    quietLooks = 0;
    const started = performance.now();
    heap.collect();
    atRestBytes = heap.heldBytes();
    log.debug({ heldBytes, atRestBytes, durationMs: Math.round(performance.now() - started) }, 'memory given back');
  };
}

/** Node shows its collector to scripts only when it is told to, which it may be at any time. */
export function openHeap(): Heap {
  setFlagsFromString('--expose-gc');
  const collect: (how: Record<string, string>) => void = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  return {
    heldBytes: () => getHeapStatistics().total_heap_size,
    // Of the kinds of collection that V8 knows only this one gives pages back to the system; the others keep them for later.
    collect: () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  };
}
