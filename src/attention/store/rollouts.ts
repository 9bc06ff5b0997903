import type { Db } from '../../db/connect.ts';
import type { RolloutState, Waiting } from '../../rollout/rollout.ts';

export type RolloutRow = {
  id: string;
  state: RolloutState;
  sourceId: string;
  sourceName: string;
  revisionId: string;
  commit: string;
  policy: unknown;
  waiting: Waiting | null;
  nextLookAt: Date | null;
  endDetail: string | null;
  since: Date;
  /** The person who paused it, and the reason. */
  paused: { by: string; reason: string } | null;
  total: number;
};

const columns = (sql: Db) => sql`
  r.id, r.state, r.source_id as "sourceId", s.name as "sourceName", r.revision_id as "revisionId", v.commit_oid as commit, r.policy, r.waiting,
  r.next_look_at as "nextLookAt", r.end_detail as "endDetail"`;

const joined = (sql: Db, organizationId: string) => sql`
  rollouts r join sources s on s.organization_id = r.organization_id and s.id = r.source_id
  join revisions v on v.organization_id = r.organization_id and v.id = r.revision_id
  where r.organization_id = ${organizationId}`;

/** Reasons of a waiting rollout that a person can end. The others end by themselves, mostly within minutes. */
const NEEDING = ['no_success', 'gate', 'no_telemetry', 'window_closed', 'dependency', 'source_held', 'internal_error'];

/** Rollouts that are paused, or that do nothing until a person or a time comes. `since`: the event that began it. */
export async function stoppedRollouts(sql: Db, organizationId: string, limit: number): Promise<RolloutRow[]> {
  return sql<RolloutRow[]>`
    select ${columns(sql)}, coalesce(e.at, r.started_at, r.created_at) as since, case when e.type = 'rollout.paused' then e.data end as paused,
      count(*) over ()::int as total
    from (
      select * from rollouts where organization_id = ${organizationId} and state in ('planned', 'awaiting_approval', 'running', 'paused')
        and (state in ('paused', 'awaiting_approval') or waiting->>'code' = any(${NEEDING}::text[]))
    ) r join sources s on s.organization_id = r.organization_id and s.id = r.source_id
    join revisions v on v.organization_id = r.organization_id and v.id = r.revision_id
    left join lateral (
      select type, at, data from events e where e.organization_id = r.organization_id and e.subject = 'rollout:' || r.id
        and e.type = case r.state when 'paused' then 'rollout.paused' when 'awaiting_approval' then 'rollout.awaiting_approval' else 'rollout.blocked' end
      order by cursor desc limit 1
    ) e on true
    order by array_position(array['paused', 'awaiting_approval'], r.state), since limit ${limit}`;
}

/** Rollouts by id, whatever their state. `since`: when they ended, or began. */
export async function rolloutsNamed(sql: Db, organizationId: string, ids: readonly string[]): Promise<Map<string, RolloutRow>> {
  if (ids.length === 0) return new Map();
  const rows = await sql<RolloutRow[]>`
    select ${columns(sql)}, coalesce(r.finished_at, r.started_at, r.created_at) as since, null as paused, 0 as total
    from ${joined(sql, organizationId)} and r.id = any(${[...ids]}::uuid[])`;
  return new Map(rows.map((row) => [row.id, row]));
}

/** Attempts that succeeded, and devices that failed, of each rollout: both from an index alone. */
export async function endedCounts(
  sql: Db,
  organizationId: string,
  ids: readonly string[],
): Promise<Map<string, { succeeded: number; failed: number }>> {
  if (ids.length === 0) return new Map();
  const rows = await sql<{ id: string; succeeded: number; failed: number }[]>`
    select r.id,
      (select count(*)::int from deployments t where t.organization_id = ${organizationId} and t.rollout_id = r.id and t.state = 'succeeded') as succeeded,
      (select count(distinct t.device_id)::int from deployments t
        where t.organization_id = ${organizationId} and t.rollout_id = r.id and t.error_code is not null and t.state <> 'succeeded') as failed
    from unnest(${[...ids]}::uuid[]) as r (id)`;
  return new Map(rows.map(({ id, ...counts }) => [id, counts]));
}
