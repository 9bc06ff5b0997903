import type { Db } from '../db/connect.ts';
import type { Source } from './source.ts';
import type { DeliveryKey } from './webhook/provider.ts';

/**
 * The outcome of a delivery. `other_ref`: it is genuine, but its source does not follow the ref. `other_repository`: it names another repository.
 * `ignored`: no source needs events of this kind. `ping`: the host tested the connection.
 */
export const DELIVERY_VERDICTS = [
  'accepted',
  'duplicate',
  'other_ref',
  'other_repository',
  'ignored',
  'ping',
  'unauthorized',
  'expired',
  'malformed',
] as const;
export type DeliveryVerdict = (typeof DELIVERY_VERDICTS)[number];

/** Verdicts of deliveries that were not accepted. Anybody can cause them, so that their number is bounded. */
export type NotedVerdict = Exclude<DeliveryVerdict, 'accepted' | 'other_ref'>;

/** Whether a delivery with this verdict proves that the host has the source's secret. */
export function isVerified(verdict: DeliveryVerdict): boolean {
  return verdict !== 'unauthorized' && verdict !== 'expired' && verdict !== 'malformed';
}

export type Delivery = {
  deliveryId: string;
  provider: string;
  event: 'push' | 'tag' | 'merge_request' | null;
  ref: string | null;
  commitOid: string | null;
  verdict: DeliveryVerdict;
  /** Why it was not accepted. */
  detail: string | null;
  receivedAt: Date;
  /** Grows with every delivery. */
  position: number;
};

/** The newest ones of each source are kept. */
const NOTED_KEPT = 1000;
const MAX_DETAIL_CHARACTERS = 500;
/** Each second and verdict has one row, with the newest delivery. It is written at most once in this time. */
export const NOTED_AGAIN_SECONDS = 0.1;

/**
 * Records a delivery that was not accepted, at most one per second, source and verdict. The second is the row's key, which enforces this limit.
 * The sender's id is never the key: otherwise a forged delivery could make the genuine one of that id count as its repetition.
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
    on conflict (organization_id, source_id, delivery_id) do update set position = default, received_at = now(), provider = excluded.provider,
      detail = excluded.detail where hook_deliveries.received_at < now() - make_interval(secs => ${NOTED_AGAIN_SECONDS})
    returning 1`;
  if (noted === undefined) return;
  await sql`
    delete from hook_deliveries where organization_id = ${organizationId} and source_id = ${id} and verdict not in ('accepted', 'other_ref')
      and position <= (select position from hook_deliveries where organization_id = ${organizationId} and source_id = ${id}
        and verdict not in ('accepted', 'other_ref') order by position desc offset ${NOTED_KEPT} limit 1)`;
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

/** Returns the position of the source's newest delivery; later positions are greater. */
export async function lastPosition(sql: Db, { organizationId, id }: Pick<Source, 'organizationId' | 'id'>): Promise<number> {
  const [row] = await sql<[{ last: number }]>`
    select coalesce(max(position), 0)::float8 as last from hook_deliveries where organization_id = ${organizationId} and source_id = ${id}`;
  return row.last;
}

/** Lists the deliveries received after a position, oldest first. */
export async function deliveriesAfter(
  sql: Db,
  { organizationId, id }: Pick<Source, 'organizationId' | 'id'>,
  position: number,
): Promise<Pick<Delivery, 'verdict' | 'detail'>[]> {
  return sql<Pick<Delivery, 'verdict' | 'detail'>[]>`
    select verdict, detail from hook_deliveries where organization_id = ${organizationId} and source_id = ${id} and position > ${position}
    order by position limit 100`;
}

export type HookRecord = Pick<Delivery, 'deliveryId' | 'provider' | 'event' | 'ref' | 'commitOid'> & {
  organizationId: string;
  sourceId: string;
  repeats: DeliveryKey['repeats'];
  /** The commit that `commitOid` replaced. */
  beforeOid: string | null;
  verdict: 'accepted' | 'other_ref';
  detail: string | null;
};

/** `commit`: the commit to wait for; null: the hook names none. */
export type HookExpectation = { commit: string | null; seconds: number };

/** A second delivery without an id counts as a repetition for this long, unless another delivery arrived in between. */
const REPEAT_SECONDS = 10;

/**
 * Records a delivery and, with `expect`, makes its source due at once.
 * The source does not wait for a commit that another hook replaced. One statement, since the hook's response waits for it.
 * @returns false when this delivery was recorded before; then nothing changes
 */
export async function recordHook(tx: Db, hook: HookRecord, expect: HookExpectation | null): Promise<boolean> {
  const { organizationId, sourceId } = hook;
  const commit = expect?.commit ?? null;
  const [row] = await tx<[{ fresh: boolean }]>`
    with recorded as (
      insert into hook_deliveries (organization_id, source_id, delivery_id, provider, event, ref, commit_oid, before_oid, verdict, detail)
      values (${organizationId}, ${sourceId}, ${hook.deliveryId}, ${hook.provider}, ${hook.event}, ${hook.ref}, ${hook.commitOid}, ${hook.beforeOid},
        ${hook.verdict}, ${hook.detail})
      on conflict (organization_id, source_id, delivery_id) do update set position = default, received_at = now(), verdict = excluded.verdict
      where ${hook.repeats === 'briefly'} and (hook_deliveries.received_at < now() - make_interval(secs => ${REPEAT_SECONDS})
        or exists (select 1 from hook_deliveries later where later.organization_id = ${organizationId} and later.source_id = ${sourceId}
          and later.verdict = 'accepted' and later.position > hook_deliveries.position))
      returning source_id
    ), expected as (
      select ${commit}::text as commit_oid where ${commit}::text is not null
        and not ${isReplaced(tx, { organizationId, id: sourceId }, commit, hook.beforeOid)}
    ), triggered as (
      update sources s set hook_received_at = now(), next_check_at = greatest(now(), s.quiet_until),
        expected_commit = coalesce((select commit_oid from expected), s.expected_commit),
        expected_before = case when exists (select 1 from expected) then ${hook.beforeOid} else s.expected_before end,
        expected_until = case when exists (select 1 from expected) then now() + make_interval(secs => ${expect?.seconds ?? 0}) else s.expected_until end
      from recorded r where s.id = r.source_id and ${expect !== null}
    ), retried as (
      update job_failures j set retry_at = now() from recorded r where j.queue = 'source' and j.key = r.source_id::text and ${expect !== null}
    )
    select exists (select 1 from recorded) as fresh`;
  return row.fresh;
}

/** Whether another hook replaced the commit that the source waits for, so that the remote no longer has it as its head. */
export async function expectedIsReplaced(
  sql: Db,
  source: Pick<Source, 'organizationId' | 'id' | 'expectedCommit' | 'expectedBefore'>,
): Promise<boolean> {
  const [row] = await sql<
    [{ replaced: boolean }]
  >`select ${isReplaced(sql, source, source.expectedCommit, source.expectedBefore)} as replaced`;
  return row.replaced;
}

/** Whether a hook replaced `commit` by one that is neither `commit` again nor the one before it. */
function isReplaced(sql: Db, { organizationId, id }: Pick<Source, 'organizationId' | 'id'>, commit: string | null, before: string | null) {
  return sql`exists (
    select 1 from hook_deliveries d where d.organization_id = ${organizationId} and d.source_id = ${id} and d.before_oid = ${commit}
      and d.verdict = 'accepted' and d.commit_oid is distinct from ${commit} and d.commit_oid is distinct from ${before})`;
}

/** Genuine deliveries per statement, so that other work can run in between. */
const PRUNE_BATCH = 1_000;

/**
 * Removes genuine deliveries older than `keepDays`, except each source's newest `keepLast`. `noteDelivery` bounds those that were not accepted.
 * @returns the number of removed deliveries
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
