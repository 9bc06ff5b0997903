import type { Db } from '../../db/connect.ts';
import { RolloutPolicy } from '../../policy/policy.ts';
import type { WaveSnapshot } from '../decide/snapshot.ts';
import { ACTIVE_STATES, type Rollout, type RolloutState, rolloutStatesBefore, type Waiting } from '../rollout.ts';

const columns = (sql: Db) => sql`
  r.organization_id as "organizationId", r.id, r.source_id as "sourceId", r.revision_id as "revisionId", r.kind, r.state, r.policy, r.reason,
  r.created_by as "createdBy", r.waiting, r.next_look_at as "nextLookAt", r.end_code as "endCode", r.end_detail as "endDetail",
  r.windows_overridden_by as "windowsOverriddenBy", r.version, r.created_at as "createdAt", r.started_at as "startedAt", r.finished_at as "finishedAt"`;

export type NewRollout = Pick<Rollout, 'organizationId' | 'id' | 'sourceId' | 'revisionId' | 'policy' | 'kind' | 'reason' | 'createdBy'>;

export async function insertRollout(tx: Db, rollout: NewRollout): Promise<void> {
  await tx`insert into rollouts (organization_id, id, source_id, revision_id, state, policy, kind, reason, created_by)
    values (${rollout.organizationId}, ${rollout.id}, ${rollout.sourceId}, ${rollout.revisionId}, 'planned', ${tx.json(rollout.policy)},
      ${rollout.kind}, ${rollout.reason}, ${rollout.createdBy})`;
}

const parse = (row: Rollout): Rollout => ({ ...row, policy: RolloutPolicy.parse(row.policy) });

export async function rolloutById(sql: Db, id: string): Promise<Rollout | undefined> {
  const [row] = await sql<Rollout[]>`select ${columns(sql)} from rollouts r where r.id = ${id}`;
  return row === undefined ? undefined : parse(row);
}

export async function rolloutOf(sql: Db, organizationId: string, id: string): Promise<Rollout | undefined> {
  const [row] = await sql<Rollout[]>`select ${columns(sql)} from rollouts r where r.organization_id = ${organizationId} and r.id = ${id}`;
  return row === undefined ? undefined : parse(row);
}

/** Locks the row until the transaction ends, so that no other worker changes the rollout. */
export async function lockRollout(tx: Db, organizationId: string, id: string): Promise<Rollout | undefined> {
  const [row] = await tx<
    Rollout[]
  >`select ${columns(tx)} from rollouts r where r.organization_id = ${organizationId} and r.id = ${id} for update`;
  return row === undefined ? undefined : parse(row);
}

/** The rollout that defines the desired bundles of the source's devices. */
export async function newestRollout(sql: Db, organizationId: string, sourceId: string): Promise<Rollout | undefined> {
  const [row] = await sql<Rollout[]>`
    select ${columns(sql)} from rollouts r where r.organization_id = ${organizationId} and r.source_id = ${sourceId} order by r.position desc limit 1`;
  return row === undefined ? undefined : parse(row);
}

/** The revision of the last completed rollout whose revision differs from the newest rollout's. */
export async function establishedBefore(sql: Db, organizationId: string, sourceId: string): Promise<string | undefined> {
  const [row] = await sql<{ revisionId: string }[]>`
    with newest as (
      select revision_id, position from rollouts where organization_id = ${organizationId} and source_id = ${sourceId} order by position desc limit 1
    )
    select r.revision_id as "revisionId" from rollouts r, newest n
    where r.organization_id = ${organizationId} and r.source_id = ${sourceId} and r.state = 'completed' and r.revision_id <> n.revision_id
    order by r.position desc limit 1`;
  return row?.revisionId;
}

/** The revisions among these whose newest rollout was aborted. */
export async function abortedRevisions(sql: Db, organizationId: string, revisionIds: readonly string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select w.id from unnest(${[...revisionIds]}::uuid[]) as w (id) join lateral (
      select state from rollouts r where r.organization_id = ${organizationId} and r.revision_id = w.id and r.kind = 'revision' order by r.position desc limit 1
    ) last on last.state in ('aborted', 'reverting', 'reverted')`;
  return rows.map((row) => row.id);
}

export type RolloutFilter = { sourceId?: string | undefined; state?: RolloutState | undefined };

/** Newest first. */
export async function listRollouts(
  sql: Db,
  organizationId: string,
  filter: RolloutFilter,
  before: string | null,
  limit: number,
): Promise<Rollout[]> {
  const rows = await sql<Rollout[]>`
    select ${columns(sql)} from rollouts r where r.organization_id = ${organizationId}
      ${filter.sourceId === undefined ? sql`` : sql`and r.source_id = ${filter.sourceId}`}
      ${filter.state === undefined ? sql`` : sql`and r.state = ${filter.state}`}
      ${before === null ? sql`` : sql`and r.id < ${before}`}
    order by r.id desc limit ${limit}`;
  return rows.map(parse);
}

/** Supersedes the other active rollouts of the source. @returns their ids */
export async function supersedeRollouts(tx: Db, organizationId: string, sourceId: string, newestId: string): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    update rollouts set state = 'superseded', finished_at = now(), waiting = null, next_look_at = null, version = version + 1
    where organization_id = ${organizationId} and source_id = ${sourceId} and id <> ${newestId} and state in ${tx(rolloutStatesBefore('superseded'))}
    returning id`;
  return rows.map((row) => row.id);
}

/** Changes the state, unless another worker has changed it. `end`: why the rollout was aborted. @returns whether it was changed */
export async function moveRollout(tx: Db, id: string, to: RolloutState, end: Waiting | null = null): Promise<boolean> {
  const result = await tx`
    update rollouts set state = ${to}, waiting = null, next_look_at = null, version = version + 1,
      started_at = case when ${to} = 'running' then coalesce(started_at, now()) else started_at end,
      finished_at = case when ${to} in ('completed', 'aborted', 'reverted', 'superseded') then now() end,
      end_code = coalesce(${end?.code ?? null}, end_code), end_detail = coalesce(${end?.detail ?? null}, end_detail)
    where id = ${id} and state in ${tx(rolloutStatesBefore(to))}`;
  return result.count === 1;
}

/** Records why the rollout waits and when to check again; writes only changes. @returns whether the reason is new */
export async function noteWaiting(sql: Db, rollout: Rollout, why: Waiting, until: Date | null): Promise<boolean> {
  const isNew = rollout.waiting?.code !== why.code;
  if (!isNew && rollout.waiting?.detail === why.detail && rollout.nextLookAt?.getTime() === until?.getTime()) return false;
  const result = await sql`
    update rollouts set waiting = ${sql.json(why)}, next_look_at = ${until} where id = ${rollout.id} and state = ${rollout.state}`;
  return isNew && result.count === 1;
}

/** Removes the waiting reason if it has this code. */
export async function clearWaiting(sql: Db, id: string, code: string): Promise<void> {
  await sql`update rollouts set waiting = null where id = ${id} and waiting->>'code' = ${code}`;
}

/** Records that an operator lets the rollout continue outside of its windows. */
export async function overrideWindows(tx: Db, id: string, by: string): Promise<void> {
  await tx`update rollouts set windows_overridden_by = ${by}, version = version + 1 where id = ${id}`;
}

/** Records that the wave was opened and, with `passed`, that it passed. The first record of each stays. @returns whether this call opened it */
export async function noteWave(tx: Db, rollout: Rollout, wave: number, passed: { skippedBy: string | null } | null): Promise<boolean> {
  const [row] = await tx<[{ isNew: boolean }]>`
    insert into rollout_waves (organization_id, rollout_id, wave, passed_at, skipped_by)
    values (${rollout.organizationId}, ${rollout.id}, ${wave}, ${passed === null ? null : tx`now()`}, ${passed?.skippedBy ?? null})
    on conflict (organization_id, rollout_id, wave) do update set
      passed_at = coalesce(rollout_waves.passed_at, excluded.passed_at), skipped_by = coalesce(rollout_waves.skipped_by, excluded.skipped_by)
    returning xmax = 0 as "isNew"`;
  return row.isNew;
}

export type WaveRow = Pick<WaveSnapshot, 'openedAt' | 'passedAt'> & { wave: number; skippedBy: string | null };

export async function wavesOf(sql: Db, rollout: Pick<Rollout, 'organizationId' | 'id'>): Promise<WaveRow[]> {
  return sql<WaveRow[]>`
    select wave, opened_at as "openedAt", passed_at as "passedAt", skipped_by as "skippedBy" from rollout_waves
    where organization_id = ${rollout.organizationId} and rollout_id = ${rollout.id} order by wave`;
}

/** Rollouts that the resync wakes, in case a wake-up was lost. */
export async function openRolloutIds(sql: Db): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`select id from rollouts where state in ${sql([...ACTIVE_STATES, 'reverting'])}`;
  return rows.map((row) => row.id);
}

/** Takes the rollouts whose next check is due, and clears their time. */
export async function takeDueRollouts(tx: Db): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`update rollouts set next_look_at = null where next_look_at <= now() returning id`;
  return rows.map((row) => row.id);
}

/** Active rollouts of the organization whose policy names this source in `after`. */
export async function rolloutsAfter(sql: Db, organizationId: string, sourceName: string): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from rollouts where organization_id = ${organizationId} and state in ${sql([...ACTIVE_STATES])} and policy->'after' ? ${sourceName}`;
  return rows.map((row) => row.id);
}

export type Predecessor = { name: string; sourceId: string | null; rolloutId: string | null; state: RolloutState | null };

/** The newest rollout of each named source, in the order of the names. */
export async function predecessors(sql: Db, organizationId: string, names: readonly string[]): Promise<Predecessor[]> {
  return sql<Predecessor[]>`
    select n.name, s.id as "sourceId", r.id as "rolloutId", r.state
    from unnest(${[...names]}::text[]) with ordinality as n (name, position)
    left join sources s on s.organization_id = ${organizationId} and s.name = n.name
    left join lateral (select id, state from rollouts where organization_id = ${organizationId} and source_id = s.id order by position desc limit 1) r on true
    order by n.position`;
}
