import { LRUCache } from 'lru-cache';
import { batched } from '../async/batch.ts';
import { isDatabaseAway } from '../db/away.ts';
import type { Sql } from '../db/connect.ts';
import { createRateLimit } from '../http/rate-limit.ts';
import { type HookExpectation, type HookRecord, recordHook } from '../source/deliveries-store.ts';

/** Hooks per second of one source and of one organization that are recorded one by one, at once: more than people push. */
const SOURCE_RATE = { perSecond: 20, burst: 40 };
const ORGANIZATION_RATE = { perSecond: 250, burst: 500 };
/** So long after the last hook beyond its rate all hooks count as part of the flood. */
const FLOOD_MS = 5_000;
/** Hooks of a flood wait so long for others. Hosts wait for seconds. */
const GATHER_MS = 200;
const BATCH = 100;
const MAX_FLOODS = 1_000;

export type RecordedHook = {
  /** false: it was recorded before. */
  isFresh: boolean;
  /** Its source or its organization sends so many that they are recorded together. */
  isGathered: boolean;
};

/** Resolves when the hook is committed: until then its sender has no answer. */
export type RecordHook = (hook: HookRecord, expect: HookExpectation | null) => Promise<RecordedHook>;

type Hook = { record: HookRecord; expect: HookExpectation | null };
type Flood = (hook: Hook) => Promise<PromiseSettledResult<boolean>>;

/**
 * Records hooks as `recordHook`. A flood of them is recorded in batches: each transaction waits for the disk and wakes a connection of the database,
 * so that one for each hook would slow the other organizations down.
 */
export function createHookRecorder(sql: Sql): RecordHook {
  const sources = createRateLimit('hooks of this source', SOURCE_RATE);
  const organizations = createRateLimit('hooks of this organization', ORGANIZATION_RATE);
  const floods = new LRUCache<string, Flood>({ max: MAX_FLOODS, ttl: FLOOD_MS });
  const floodOf = (key: string, isUsual: boolean): Flood | undefined => {
    const known = floods.get(key);
    if (isUsual) return known;
    const flood = known ?? batched(BATCH, (hooks: readonly Hook[]) => recordTogether(sql, hooks), GATHER_MS);
    floods.set(key, flood);
    return flood;
  };
  return async (record, expect) => {
    const ofOrganization = floodOf(record.organizationId, organizations.tryTake(record.organizationId));
    const ofSource = floodOf(record.sourceId, sources.tryTake(record.sourceId));
    const flood = ofOrganization ?? ofSource;
    if (flood === undefined) return { isFresh: await recordHook(sql, record, expect), isGathered: false };
    const settled = await flood({ record, expect });
    if (settled.status === 'rejected') throw settled.reason;
    return { isFresh: settled.value, isGathered: true };
  };
}

/** One transaction; after an error each hook has its own, so that one hook does not refuse the others. */
async function recordTogether(sql: Sql, hooks: readonly Hook[]): Promise<PromiseSettledResult<boolean>[]> {
  const fresh = new Map<Hook, boolean>();
  // All processes lock the sources in one order.
  const inOrder = hooks.toSorted((a, b) => (a.record.sourceId < b.record.sourceId ? -1 : Number(a.record.sourceId > b.record.sourceId)));
  try {
    await sql.begin((tx) => Promise.all(inOrder.map(async (hook) => fresh.set(hook, await recordHook(tx, hook.record, hook.expect)))));
    return hooks.map((hook) => ({ status: 'fulfilled', value: fresh.get(hook) === true }));
  } catch (error) {
    if (isDatabaseAway(error)) return hooks.map(() => ({ status: 'rejected', reason: error }));
    return Promise.allSettled(hooks.map(({ record, expect }) => recordHook(sql, record, expect)));
  }
}
