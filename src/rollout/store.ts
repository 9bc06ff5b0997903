import type { Db } from '../db/connect.ts';
import type { WaveCounts } from './plan.ts';
import { type Rollout, RolloutPolicy, type RolloutState, rolloutStatesBefore } from './rollout.ts';

const columns = (
  sql: Db,
) => sql`organization_id as "organizationId", id, source_id as "sourceId", revision_id as "revisionId", state, policy,
  created_at as "createdAt", started_at as "startedAt", finished_at as "finishedAt"`;

export async function insertRollout(
  tx: Db,
  rollout: Pick<Rollout, 'organizationId' | 'id' | 'sourceId' | 'revisionId' | 'policy'>,
): Promise<void> {
  await tx`insert into rollouts (organization_id, id, source_id, revision_id, state, policy)
    values (${rollout.organizationId}, ${rollout.id}, ${rollout.sourceId}, ${rollout.revisionId}, 'planned', ${tx.json(rollout.policy)})`;
}

export async function rolloutById(sql: Db, id: string): Promise<Rollout | undefined> {
  const [row] = await sql<Rollout[]>`select ${columns(sql)} from rollouts where id = ${id}`;
  return row === undefined ? undefined : { ...row, policy: RolloutPolicy.parse(row.policy) };
}

/** @returns ids of the rollouts that a newer one of the same source replaces. */
export async function supersedeRollouts(tx: Db, organizationId: string, sourceId: string, newestId: string): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    update rollouts set state = 'superseded', finished_at = now()
    where organization_id = ${organizationId} and source_id = ${sourceId} and id <> ${newestId} and state in ${tx(rolloutStatesBefore('superseded'))}
    returning id`;
  return rows.map((row) => row.id);
}

/** Makes the move, unless another worker made one first. */
export async function moveRollout(tx: Db, id: string, to: RolloutState): Promise<boolean> {
  const result = await tx`
    update rollouts set state = ${to},
      started_at = case when ${to} = 'running' then coalesce(started_at, now()) else started_at end,
      finished_at = case when ${to} in ('completed', 'aborted', 'reverted', 'superseded') then now() end
    where id = ${id} and state in ${tx(rolloutStatesBefore(to))}`;
  return result.count === 1;
}

export async function waveCounts(sql: Db, rollout: Rollout): Promise<WaveCounts[]> {
  return sql<WaveCounts[]>`
    select count(*) filter (where t.state = 'queued' and d.connectivity <> 'online')::int as offline,
           count(*) filter (where t.state in ('queued', 'delivering', 'applying', 'confirming') and not (t.state = 'queued' and d.connectivity <> 'online'))::int as open,
           count(*) filter (where t.state = 'succeeded')::int as succeeded,
           count(*) filter (where t.state in ('failed', 'rolled_back', 'timed_out'))::int as failed
    from deployments t join devices d on d.organization_id = t.organization_id and d.id = t.device_id
    where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id}
    group by t.wave order by t.wave`;
}

/** Open rollouts that nothing has looked at for a while: the resync wakes them. */
export async function openRolloutIds(sql: Db): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`select id from rollouts where state in ('planned', 'running', 'reverting')`;
  return rows.map((row) => row.id);
}
