import type { Db } from '../../db/connect.ts';
import type { RolloutState, Waiting } from '../../rollout/rollout.ts';
import { ACTIVE_STATES } from '../../rollout/rollout.ts';
import { wanting } from '../../rollout/store/fragments.ts';

export type RunningRollout = {
  id: string;
  sourceId: string;
  sourceName: string;
  revisionId: string;
  commit: string;
  state: RolloutState;
  waiting: Waiting | null;
  startedAt: Date | null;
  total: number;
};

/** Rollouts that are under way, also back, the newest first. */
export async function runningRollouts(sql: Db, organizationId: string, limit: number): Promise<RunningRollout[]> {
  return sql<RunningRollout[]>`
    select r.id, r.source_id as "sourceId", s.name as "sourceName", r.revision_id as "revisionId", v.commit_oid as commit, r.state, r.waiting,
      r.started_at as "startedAt", r.total
    from (
      select *, count(*) over ()::int as total from rollouts
      where organization_id = ${organizationId} and state in ${sql([...ACTIVE_STATES, 'reverting'])} order by position desc limit ${limit}
    ) r join sources s on s.organization_id = r.organization_id and s.id = r.source_id
    join revisions v on v.organization_id = r.organization_id and v.id = r.revision_id
    order by r.position desc`;
}

export type Progress = { succeeded: number; failed: number; open: number; remaining: number };

/** Attempts of the rollout by outcome, and the devices that it has not started. */
export async function progressOf(
  sql: Db,
  organizationId: string,
  { id, sourceId, state }: Pick<RunningRollout, 'id' | 'sourceId' | 'state'>,
): Promise<Progress> {
  const kinds = state === 'reverting' ? ['rollback'] : ['change', 'retry'];
  const owner = { organizationId, sourceId };
  const waiting = sql`select count(*)::int from (${wanting(
    sql,
    owner,
    (from) => sql`select d.id from ${from} and d.following and p.bundle is not null and p.bundle is distinct from d.desired_bundle
      and p.bundle is distinct from d.quarantined_bundle`,
  )}) w`;
  const [row] = await sql<[Progress]>`
    select count(*) filter (where state = 'succeeded')::int as succeeded,
      count(*) filter (where state in ('failed', 'rolled_back', 'timed_out') and retry_at is null)::int as failed,
      count(*) filter (where state in ('queued', 'delivering', 'applying', 'confirming') or retry_at is not null)::int as open,
      (${state === 'reverting' ? sql`0` : waiting}) as remaining
    from deployments where organization_id = ${organizationId} and rollout_id = ${id} and kind = any(${kinds}::text[])`;
  return row;
}

export type SourceCounts = { total: number; held: number; byStatus: Record<string, number> };

export async function countSources(sql: Db, organizationId: string): Promise<SourceCounts> {
  const rows = await sql<{ status: string; count: number; held: number }[]>`
    select status, count(*)::int as count, count(held_at)::int as held from sources where organization_id = ${organizationId} group by status order by status`;
  const sum = (key: 'count' | 'held') => rows.reduce((total, row) => total + row[key], 0);
  return { total: sum('count'), held: sum('held'), byStatus: Object.fromEntries(rows.map(({ status, count }) => [status, count])) };
}

export type IntegrationCounts = { total: number; active: number; blocked: number; stale: number; openConflicts: number };

export async function countIntegrations(sql: Db, organizationId: string): Promise<IntegrationCounts> {
  const [row] = await sql<[IntegrationCounts]>`
    select count(*)::int as total, count(*) filter (where is_active)::int as active, count(blocked_reason) filter (where is_active)::int as blocked,
      count(stale_since) filter (where is_active)::int as stale,
      (select count(*)::int from device_conflicts where organization_id = ${organizationId} and state = 'open') as "openConflicts"
    from device_services where organization_id = ${organizationId}`;
  return row;
}
