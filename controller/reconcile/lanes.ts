import { LRUCache } from 'lru-cache';

/** What a look at a source whose host is well takes at most, ms. */
const BRISK_MS = 1_500;
/** Sources at once that may wait for as long as their hosts are allowed to take; well below the workers that there are. */
export const PATIENT_AT_ONCE = 4;
const MAX_SLOW = 10_000;

/**
 * Keeps hosts that do not answer from taking all workers. A source that was well gets little time; one that needs more, that needed more the
 * last time, or that failed, waits in one of few places, and is put off while none is free.
 */
export type Lanes = {
  /** `look` waits for the host until its signal fires, and then throws the signal's reason. @returns false when it is to be put off */
  run(id: string, failed: boolean, look: (signal: AbortSignal | undefined) => Promise<void>): Promise<boolean>;
};

export function createLanes(places: number, briskMs = BRISK_MS): Lanes {
  const slow = new LRUCache<string, true>({ max: MAX_SLOW });
  let taken = 0;
  return {
    run: async (id, failed, look) => {
      if (!failed && !slow.has(id)) {
        if (await isThroughWithin(briskMs, look)) return true;
        slow.set(id, true);
      }
      if (taken >= places) return false;
      taken += 1;
      const started = performance.now();
      try {
        await look(undefined);
        if (performance.now() - started < briskMs) slow.delete(id);
        return true;
      } finally {
        taken -= 1;
      }
    },
  };
}

async function isThroughWithin(limitMs: number, look: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
  const limit = new AbortController();
  const late = new Error(`the host was waited for longer than ${limitMs} ms`);
  const timer = setTimeout(() => limit.abort(late), limitMs);
  try {
    await look(limit.signal);
    return true;
  } catch (error) {
    if (error !== late) throw error;
    return false;
  } finally {
    clearTimeout(timer);
  }
}
