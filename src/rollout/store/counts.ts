import type { Db } from '../../db/connect.ts';
import { isLastWave } from '../../policy/policy.ts';
import type { MetricReading, RolloutSnapshot, WaveSnapshot } from '../decide/snapshot.ts';
import type { Rollout } from '../rollout.ts';
import { carriedAt, isQuarantined, naming, newest, ownWave, wanting } from './fragments.ts';

export type WaveCounts = Pick<WaveSnapshot, 'offline' | 'open' | 'succeeded' | 'failed' | 'lastEndedAt'> & {
  wave: number;
  queued: number;
  notRolledBack: number;
};

type Key = Pick<Rollout, 'organizationId' | 'id'>;

/** Quarantined devices without an attempt in the rollout. `own`: the first wave that names the device. */
export const quarantinedDevices = (sql: Db, rollout: Rollout) =>
  wanting(
    sql,
    rollout,
    (from) => sql`
    select d.id, nullif(${ownWave(sql, rollout.policy)}, -1) as own, d.error_code, d.error_detail
    from ${from} and p.bundle is distinct from d.desired_bundle and ${isQuarantined(sql, rollout)} and ${newest(sql, rollout)}`,
  );

/**
 * The newest attempt of each device of the rollout, with its outcome. A failed device stays failed when another attempt supersedes its own, even if it
 * reports the failure after that.
 */
export const attempts = (sql: Db, rollout: Key) => sql`
  select a.*, case
    when a.state in ('superseded', 'cancelled') then case when a.error_code is not null or a.bundle = d.quarantined_bundle or exists (
      select 1 from deployments f where f.organization_id = ${rollout.organizationId} and f.device_id = a.device_id and f.rollout_id = ${rollout.id}
        and f.kind in ('change', 'retry') and f.state in ('failed', 'rolled_back', 'timed_out')) then 'failed' else 'gone' end
    when a.state = 'succeeded' then 'succeeded'
    when a.state = 'queued' and d.connectivity <> 'online' and d.adapter = 'agent' then 'offline'
    when a.state in ('queued', 'delivering', 'applying', 'confirming') and d.connectivity = 'offline' and d.source_kind = 'EXTERNAL'
      and d.adapter <> 'agent' then 'offline'
    when a.state in ('failed', 'rolled_back', 'timed_out') and a.retry_at is null then 'failed'
    else 'open' end as outcome
  from (
    select distinct on (t.device_id) t.device_id, t.wave, t.state, t.retry_at, t.created_at, t.finished_at, t.error_code, t.error_detail, t.bundle, t.id
    from deployments t where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id} and t.kind in ('change', 'retry')
    order by t.device_id, t.id desc
  ) a join devices d on d.organization_id = ${rollout.organizationId} and d.id = a.device_id`;

/** Devices of each wave by outcome. A device whose attempt was superseded or cancelled before it failed counts in no wave. */
export async function waveCounts(sql: Db, rollout: Key): Promise<WaveCounts[]> {
  return sql<WaveCounts[]>`
    select a.wave, count(*) filter (where outcome = 'offline')::int as offline, count(*) filter (where outcome = 'open')::int as open,
      count(*) filter (where outcome = 'succeeded')::int as succeeded, count(*) filter (where outcome = 'failed')::int as failed,
      count(*) filter (where state = 'queued')::int as queued,
      count(*) filter (where outcome = 'failed' and state in ('failed', 'timed_out'))::int as "notRolledBack",
      max(finished_at) filter (where outcome in ('succeeded', 'failed')) as "lastEndedAt"
    from (${attempts(sql, rollout)}) a where a.wave is not null group by a.wave order by a.wave`;
}

export async function startedLastMinute(sql: Db, rollout: Key): Promise<RolloutSnapshot['startedLastMinute']> {
  const [row] = await sql<[RolloutSnapshot['startedLastMinute']]>`
    select count(*)::int as count, min(created_at) as "firstAt" from deployments
    where organization_id = ${rollout.organizationId} and rollout_id = ${rollout.id} and kind = 'change' and created_at > now() - interval '1 minute'`;
  return row;
}

/** Rollbacks of the rollout that are under way on online devices. */
export async function countReverting(sql: Db, rollout: Key): Promise<number> {
  const [row] = await sql<[{ count: number }]>`
    select count(*)::int as count from deployments t join devices d on d.organization_id = t.organization_id and d.id = t.device_id
    where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id} and t.kind = 'rollback'
      and (t.state in ('queued', 'delivering', 'applying', 'confirming') or t.retry_at is not null)
      and not (t.state = 'queued' and d.connectivity <> 'online' and d.adapter = 'agent')`;
  return row.count;
}

/** Outcomes of the rollout's rollbacks. */
export async function revertedCounts(sql: Db, rollout: Key): Promise<{ reverted: number; failed: number; away: number }> {
  const [row] = await sql<[{ reverted: number; failed: number; away: number }]>`
    select count(*) filter (where state = 'succeeded')::int as reverted,
      count(*) filter (where state in ('failed', 'rolled_back', 'timed_out'))::int as failed, count(*) filter (where state = 'queued')::int as away
    from deployments where organization_id = ${rollout.organizationId} and rollout_id = ${rollout.id} and kind = 'rollback'`;
  return row;
}

/**
 * Telemetry of a wave's updated devices since their update, and of devices that still run another bundle, over the same time; each device by its mean. If
 * the rollout updated no device of the wave, the devices that an earlier rollout updated count.
 */
export async function metricReadings(sql: Db, rollout: Rollout, wave: number, metrics: readonly string[]): Promise<MetricReading[]> {
  if (metrics.length === 0) return [];
  const named = isLastWave(rollout.policy, wave) ? undefined : naming(sql, rollout.policy, wave);
  return sql<MetricReading[]>`
    with own as (
      select a.device_id, a.finished_at as since from (${attempts(sql, rollout)}) a where a.wave = ${wave} and a.outcome = 'succeeded'
    ), updated as (
      select * from own union all
      select d.id, ${carriedAt(sql)} from devices d join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
      where d.organization_id = ${rollout.organizationId} and d.source_id = ${rollout.sourceId} and ${named ?? sql`false`}
        and d.archived_at is null and not p.released and p.bundle = d.desired_bundle and p.bundle = d.good_bundle and not exists (select 1 from own)
    ), control as (
      select d.id as device_id, (select min(since) from updated) as since
      from devices d join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
      where d.organization_id = ${rollout.organizationId} and d.source_id = ${rollout.sourceId} and p.bundle is distinct from d.desired_bundle
        and d.connectivity = 'online' and d.archived_at is null
    ), sample as (
      select g.updated, g.device_id, m.metric, avg((t.metrics->>m.metric)::float8) as value
      from (select true as updated, * from updated union all select false, * from control) g
      cross join unnest(${[...metrics]}::text[]) as m (metric)
      join telemetry t on t.organization_id = ${rollout.organizationId} and t.device_id = g.device_id and t.at > g.since and t.metrics ? m.metric
      group by g.updated, g.device_id, m.metric
    )
    select m.metric,
      (select jsonb_build_object('devices', count(*), 'mean', avg(value), 'max', max(value)) from sample s where s.updated and s.metric = m.metric having count(*) > 0) as wave,
      (select jsonb_build_object('devices', count(*), 'mean', (select avg(value) from sample s where not s.updated and s.metric = m.metric))
        from control having count(*) > 0) as control
    from unnest(${[...metrics]}::text[]) as m (metric)`;
}

export type DeviceOutcome = {
  deviceId: string;
  wave: number | null;
  outcome: 'offline' | 'open' | 'succeeded' | 'failed' | 'gone' | 'quarantined';
  state: string;
  deploymentId: string | null;
  errorCode: string | null;
  errorDetail: string | null;
  startedAt: Date | null;
  finishedAt: Date | null;
};

/** Devices of the rollout, and the quarantined devices that count as failed in it, ordered by id. */
export async function rolloutDevices(
  sql: Db,
  rollout: Rollout,
  filter: { outcome?: DeviceOutcome['outcome'] | undefined; wave?: number | undefined },
  afterId: string,
  limit: number,
): Promise<DeviceOutcome[]> {
  return sql<DeviceOutcome[]>`
    select * from (
      select a.device_id as "deviceId", a.wave, a.outcome, a.state, a.id as "deploymentId", a.error_code as "errorCode", a.error_detail as "errorDetail",
        a.created_at as "startedAt", a.finished_at as "finishedAt"
      from (${attempts(sql, rollout)}) a
      union all
      select q.id, q.own, 'quarantined', 'quarantined', null, q.error_code, q.error_detail, null, null from (${quarantinedDevices(sql, rollout)}) q
    ) each where "deviceId" > ${afterId}
      ${filter.outcome === undefined ? sql`` : sql`and outcome = ${filter.outcome}`}
      ${filter.wave === undefined ? sql`` : sql`and wave = ${filter.wave}`}
    order by "deviceId" limit ${limit}`;
}
