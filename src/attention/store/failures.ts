import type { Db } from '../../db/connect.ts';

/** One cause of the failures in a rollout, or of the devices of a source that failed outside of it. */
export type CauseRow = {
  /** Only of failures that are grouped by rollout. */
  rolloutId: string | null;
  revisionId: string | null;
  sourceId: string | null;
  cause: string;
  count: number;
  since: Date;
  lastAt: Date;
  /** The attempt that failed first. */
  deploymentId: string;
  deviceId: string;
  code: string;
  detail: string;
  bundle: string;
  previousBundle: string | null;
};

type Fragment = ReturnType<typeof failed>;

/** Devices whose newest attempt in the rollout failed, and waits for no retry. Those that failed after they were superseded count, as in the rollout. */
const failed = (sql: Db, organizationId: string) => sql`
  t.organization_id = ${organizationId} and t.error_code is not null and t.retry_at is null and t.kind in ('change', 'retry')
  and t.state in ('failed', 'rolled_back', 'timed_out', 'superseded', 'cancelled')
  and not exists (
    select 1 from deployments l where l.organization_id = t.organization_id and l.device_id = t.device_id and l.rollout_id = t.rollout_id
      and l.id > t.id and l.kind in ('change', 'retry') and (l.state not in ('superseded', 'cancelled') or l.error_code is not null))`;

/** Groups attempts by source, group and cause. The first one is that which ended first. @param from attempts with their `source_id` and `group_id` */
const grouped = (sql: Db, from: Fragment) => sql`
  select g.group_id as "rolloutId", f.revision_id as "revisionId", g.source_id as "sourceId", g.cause, g.count::int as count, g.since,
    g.last_at as "lastAt", f.id as "deploymentId", f.device_id as "deviceId", f.error_code as code, coalesce(f.error_detail, '') as detail, f.bundle,
    f.previous_bundle as "previousBundle"
  from (
    select t.organization_id, t.group_id, t.source_id, coalesce(t.cause, t.error_code) as cause, count(distinct t.device_id) as count,
      min(coalesce(t.finished_at, t.created_at)) as since, max(coalesce(t.finished_at, t.created_at)) as last_at,
      (array_agg(t.id order by coalesce(t.finished_at, t.created_at), t.device_id))[1] as first
    from (${from}) t group by 1, 2, 3, 4
  ) g join deployments f on f.organization_id = g.organization_id and f.id = g.first
  order by g.count desc, g.cause`;

/**
 * Rollouts that may have failures that count now: the newest of each source that has an unfinished or aborted rollout, or a failing device. A newer
 * rollout takes the place of an older one, failures and all.
 */
const presentRollouts = (sql: Db, organizationId: string) => sql`
  select r.id, r.source_id, r.revision_id from (
    select source_id from rollouts where organization_id = ${organizationId} and state not in ('completed', 'superseded')
    union select source_id from devices where organization_id = ${organizationId} and sync_status in ('failed', 'rolled_back') and source_id is not null
  ) s cross join lateral (
    select id, source_id, revision_id from rollouts where organization_id = ${organizationId} and source_id = s.source_id order by position desc limit 1
  ) r`;

/** Causes of the failures in the rollouts that count now. */
export async function presentCauses(sql: Db, organizationId: string): Promise<CauseRow[]> {
  return sql<CauseRow[]>`
    with present as materialized (${presentRollouts(sql, organizationId)})
    ${grouped(
      sql,
      sql`select t.*, p.source_id, p.id as group_id from present p join deployments t on t.rollout_id = p.id and ${failed(sql, organizationId)}`,
    )}`;
}

/** Which failures: those in a rollout, in all rollouts of a revision, or of devices outside of the present rollouts. */
export type CauseScope = { rolloutId: string } | { revisionId: string } | 'devices';

/** So many failing devices are examined for failures outside of rollouts. */
export const MAX_EXAMINED = 5_000;

/** Failing devices whose newest attempt is no change of the present rollout of their source: an operator's rollback, or a heal. */
const ofDevices = (sql: Db, organizationId: string) => sql`
  select t.*, d.source_id, null::uuid as group_id from (
    select id, source_id from devices where organization_id = ${organizationId} and sync_status in ('failed', 'rolled_back') and archived_at is null
    order by source_id, id limit ${MAX_EXAMINED}
  ) d cross join lateral (
    select * from deployments where organization_id = ${organizationId} and device_id = d.id order by created_at desc limit 1
  ) t where t.error_code is not null and not exists (
    select 1 from present p where p.source_id = d.source_id and p.id = t.rollout_id and t.kind in ('change', 'retry'))`;

const scoped = (sql: Db, organizationId: string, scope: CauseScope): Fragment => {
  if (scope === 'devices') return ofDevices(sql, organizationId);
  const rollouts =
    'rolloutId' in scope
      ? sql`select id, source_id from rollouts where organization_id = ${organizationId} and id = ${scope.rolloutId}`
      : sql`select id, source_id from rollouts where organization_id = ${organizationId} and revision_id = ${scope.revisionId}`;
  return sql`select t.*, r.source_id, null::uuid as group_id from (${rollouts}) r join deployments t on t.rollout_id = r.id and ${failed(sql, organizationId)}`;
};

export async function causesIn(sql: Db, organizationId: string, scope: CauseScope): Promise<CauseRow[]> {
  return sql<CauseRow[]>`
    with present as materialized (${presentRollouts(sql, organizationId)}) ${grouped(sql, scoped(sql, organizationId, scope))} limit 500`;
}

export type FailedDevice = {
  deviceId: string;
  deploymentId: string;
  rolloutId: string | null;
  state: string;
  code: string;
  detail: string;
  at: Date;
};

/** Devices of one cause, by id. */
export async function devicesOfCause(
  sql: Db,
  organizationId: string,
  scope: CauseScope,
  cause: string,
  afterId: string,
  limit: number,
): Promise<FailedDevice[]> {
  return sql<FailedDevice[]>`
    with present as materialized (${presentRollouts(sql, organizationId)})
    select distinct on (t.device_id) t.device_id as "deviceId", t.id as "deploymentId", t.rollout_id as "rolloutId", t.state, t.error_code as code,
      coalesce(t.error_detail, '') as detail, coalesce(t.finished_at, t.created_at) as at
    from (${scoped(sql, organizationId, scope)}) t
    where coalesce(t.cause, t.error_code) = ${cause} and t.device_id > ${afterId}
    order by t.device_id, t.id desc limit ${limit}`;
}

export type SampleLine = { deploymentId: string; at: Date; level: string; message: string };

/** For each attempt the line of its device's log that says most: an error rather than a warning, the last one. */
export async function sampleLines(
  sql: Db,
  organizationId: string,
  attempts: readonly { deviceId: string; deploymentId: string }[],
): Promise<Map<string, SampleLine>> {
  if (attempts.length === 0) return new Map();
  const rows = await sql<SampleLine[]>`
    select a.deployment_id as "deploymentId", l.at, l.level, l.message
    from unnest(${attempts.map((a) => a.deviceId)}::text[], ${attempts.map((a) => a.deploymentId)}::uuid[]) as a (device_id, deployment_id)
    cross join lateral (
      select at, level, message from device_logs where organization_id = ${organizationId} and device_id = a.device_id and deployment_id = a.deployment_id
      order by case level when 'error' then 0 when 'warn' then 1 else 2 end, id desc limit 1
    ) l`;
  return new Map(rows.map((row) => [row.deploymentId, row]));
}
