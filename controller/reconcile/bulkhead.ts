import { LRUCache } from 'lru-cache';
import { startDeadline } from '../../src/async/deadline.ts';
import { openShares } from '../../src/async/shares.ts';

/** Time limit of a fast check, ms. */
const FAST_MS = 1_500;
/** Parallel slow checks, which have the host's whole timeout. Well below the number of workers, so that fast checks find a free one. */
export const SLOW_AT_ONCE = 12;
const MAX_SLOW = 10_000;

type Owned = { organizationId: string; id: string };

/**
 * Keeps hosts that do not answer, and organizations with many sources, from taking all workers. A check is first limited to `fastMs`. A source that exceeds
 * the limit, exceeded it the last time, or failed, takes one of few slow places. A check is postponed while its organization's share of the workers, or of
 * the slow places, is in use.
 */
export type Bulkhead = {
  /** `check` waits for the host until its signal fires, and then throws the signal's reason. @returns false if the check must be postponed */
  run(source: Owned, failed: boolean, check: (signal: AbortSignal | undefined) => Promise<void>): Promise<boolean>;
};

export type BulkheadLimits = { workers: number; slowAtOnce: number; fastMs: number };

/** @param limits `workers`: parallel checks in this process */
export function createBulkhead({
  workers,
  slowAtOnce = SLOW_AT_ONCE,
  fastMs = FAST_MS,
}: { workers: number } & Partial<BulkheadLimits>): Bulkhead {
  const slow = new LRUCache<string, true>({ max: MAX_SLOW });
  const shares = openShares(workers);
  const slowShares = openShares(slowAtOnce);
  const checkSlowly = async ({ organizationId, id }: Owned, check: () => Promise<void>) => {
    const release = slowShares.take(organizationId);
    if (release === undefined) return false;
    const started = performance.now();
    try {
      await check();
      if (performance.now() - started < fastMs) slow.delete(id);
      return true;
    } finally {
      release();
    }
  };
  return {
    run: async (source, failed, check) => {
      const release = shares.take(source.organizationId);
      if (release === undefined) return false;
      try {
        if (!failed && !slow.has(source.id)) {
          if (await isDoneWithin(fastMs, check)) return true;
          slow.set(source.id, true);
        }
        return await checkSlowly(source, () => check(undefined));
      } finally {
        release();
      }
    },
  };
}

async function isDoneWithin(limitMs: number, check: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
  const late = new Error(`the host did not answer within ${limitMs} ms`);
  const deadline = startDeadline(limitMs, undefined, late);
  try {
    await check(deadline.signal);
    return true;
  } catch (error) {
    if (error !== late) throw error;
    return false;
  } finally {
    deadline.clear();
  }
}
