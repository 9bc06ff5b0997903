import { LRUCache } from 'lru-cache';

/** Longest check of a source whose host answers as usual, ms. */
const FAST_MS = 1_500;
/** Checks at once that may take as long as a host is allowed to; below the number of workers, so that fast checks always find one. */
export const SLOW_AT_ONCE = 12;
/** … of them for one organization, so that its hosts that hang leave room for the slow checks of others. */
export const SLOW_PER_ORGANIZATION = 3;
const MAX_SLOW = 10_000;

type Owned = { organizationId: string; id: string };

/**
 * Keeps hosts that do not answer from taking all workers. A source that works gets little time. A source that needs more, that needed more the last time,
 * or that failed, takes one of few slow places. While its organization or the process has none free, its check is put off.
 */
export type Lanes = {
  /** `check` waits for the host until its signal fires, and then throws the signal's reason. @returns false when the check must be put off */
  run(source: Owned, failed: boolean, check: (signal: AbortSignal | undefined) => Promise<void>): Promise<boolean>;
};

export type LaneLimits = { slowAtOnce: number; slowPerOrganization: number; fastMs: number };

const DEFAULT_LIMITS: LaneLimits = { slowAtOnce: SLOW_AT_ONCE, slowPerOrganization: SLOW_PER_ORGANIZATION, fastMs: FAST_MS };

export function createLanes(limits: Partial<LaneLimits> = {}): Lanes {
  const { slowAtOnce, slowPerOrganization, fastMs } = { ...DEFAULT_LIMITS, ...limits };
  const slow = new LRUCache<string, true>({ max: MAX_SLOW });
  const takenBy = new Map<string, number>();
  let taken = 0;
  const take = (organizationId: string, change: 1 | -1) => {
    taken += change;
    const its = (takenBy.get(organizationId) ?? 0) + change;
    if (its === 0) takenBy.delete(organizationId);
    else takenBy.set(organizationId, its);
  };
  return {
    run: async ({ organizationId, id }, failed, check) => {
      if (!failed && !slow.has(id)) {
        if (await isDoneWithin(fastMs, check)) return true;
        slow.set(id, true);
      }
      if (taken >= slowAtOnce || (takenBy.get(organizationId) ?? 0) >= slowPerOrganization) return false;
      take(organizationId, 1);
      const started = performance.now();
      try {
        await check(undefined);
        if (performance.now() - started < fastMs) slow.delete(id);
        return true;
      } finally {
        take(organizationId, -1);
      }
    },
  };
}

async function isDoneWithin(limitMs: number, check: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
  const limit = new AbortController();
  const late = new Error(`the host did not answer within ${limitMs} ms`);
  const timer = setTimeout(() => limit.abort(late), limitMs);
  try {
    await check(limit.signal);
    return true;
  } catch (error) {
    if (error !== late) throw error;
    return false;
  } finally {
    clearTimeout(timer);
  }
}
