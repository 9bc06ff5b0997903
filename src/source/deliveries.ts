import type { Db } from '../db/connect.ts';
import type { Source } from './source.ts';

/** What became of a delivery. `other_ref`: genuine, and about something that its source does not follow. */
export const DELIVERY_VERDICTS = ['accepted', 'duplicate', 'other_ref', 'unauthorized', 'expired', 'malformed'] as const;
export type DeliveryVerdict = (typeof DELIVERY_VERDICTS)[number];

/** Verdicts of deliveries that were not taken: anybody can cause them, so that their number is bounded. */
export type NotedVerdict = Exclude<DeliveryVerdict, 'accepted' | 'other_ref'>;

export type Delivery = {
  deliveryId: string;
  provider: string;
  event: 'push' | 'tag' | 'merge_request' | null;
  ref: string | null;
  commitOid: string | null;
  verdict: DeliveryVerdict;
  /** Why it was not taken. */
  detail: string | null;
  receivedAt: Date;
  /** Grows with every delivery. */
  position: number;
};

/** Of each source, the newest ones stay. */
const NOTED_KEPT = 1000;
const MAX_DETAIL_CHARACTERS = 500;

/**
 * Notes a delivery that was not taken, at most one per second, source and verdict: the second is the row's key, so that this holds under any load.
 * The sender's own id is never the key, or a forged delivery could make the genuine one of that id look like its repetition.
 */
export async function noteDelivery(
  sql: Db,
  { organizationId, id }: Pick<Source, 'organizationId' | 'id'>,
  { provider, verdict, detail }: { provider: string; verdict: NotedVerdict; detail: string },
): Promise<void> {
  const [noted] = await sql`
    insert into hook_deliveries (organization_id, source_id, delivery_id, provider, verdict, detail)
    values (${organizationId}, ${id}, ${`${verdict}-`} || floor(extract(epoch from clock_timestamp()))::bigint, ${provider}, ${verdict},
      ${detail.slice(0, MAX_DETAIL_CHARACTERS)})
    on conflict do nothing returning 1`;
  if (noted === undefined) return;
  await sql`
    delete from hook_deliveries where organization_id = ${organizationId} and source_id = ${id}
      and verdict in ('duplicate', 'unauthorized', 'expired', 'malformed')
      and position <= (select position from hook_deliveries where organization_id = ${organizationId} and source_id = ${id}
        and verdict in ('duplicate', 'unauthorized', 'expired', 'malformed') order by position desc offset ${NOTED_KEPT} limit 1)`;
}

const columns = (sql: Db) => sql`
  delivery_id as "deliveryId", provider, event, ref, commit_oid as "commitOid", verdict, detail, received_at as "receivedAt", position::float8 as position`;

/** Newest first. */
export async function listDeliveries(
  sql: Db,
  { organizationId, id }: Pick<Source, 'organizationId' | 'id'>,
  before: number | null,
  limit: number,
): Promise<Delivery[]> {
  return sql<Delivery[]>`
    select ${columns(sql)} from hook_deliveries where organization_id = ${organizationId} and source_id = ${id}
      ${before === null ? sql`` : sql`and position < ${before}`}
    order by position desc limit ${limit}`;
}

export async function deliveryOf(
  sql: Db,
  { organizationId, id }: Pick<Source, 'organizationId' | 'id'>,
  deliveryId: string,
): Promise<Delivery | undefined> {
  const [row] = await sql<Delivery[]>`
    select ${columns(sql)} from hook_deliveries where organization_id = ${organizationId} and source_id = ${id} and delivery_id = ${deliveryId}`;
  return row;
}

/** Genuine deliveries per statement: other work gets its turn in between. */
const PRUNE_BATCH = 1_000;

/**
 * Removes genuine deliveries older than `keepDays`, but of each source's newest `keepLast` none. Those that were not taken are bounded as they come.
 * @returns how many
 */
export async function pruneHookDeliveries(sql: Db, keepDays: number, keepLast: number): Promise<number> {
  let removed = 0;
  for (let batch = PRUNE_BATCH; batch === PRUNE_BATCH; removed += batch) {
    const result = await sql`
      delete from hook_deliveries h using (
        select old.organization_id, old.source_id, old.delivery_id from sources s
        cross join lateral (
          select position from hook_deliveries kept
          where kept.organization_id = s.organization_id and kept.source_id = s.id and kept.verdict in ('accepted', 'other_ref')
          order by position desc offset ${keepLast - 1} limit 1
        ) last
        join hook_deliveries old on old.organization_id = s.organization_id and old.source_id = s.id and old.position < last.position
          and old.verdict in ('accepted', 'other_ref') and old.received_at < now() - make_interval(days => ${keepDays})
        limit ${PRUNE_BATCH}
      ) old
      where h.organization_id = old.organization_id and h.source_id = old.source_id and h.delivery_id = old.delivery_id`;
    batch = result.count;
  }
  return removed;
}
