import type { Db } from '../../db/connect.ts';
import type { CommitState } from '../../forge/forge.ts';
import type { Rollout } from '../../rollout/rollout.ts';

/** The last status of a rollout at the git host, and the failures since then. */
export type PostedStatus = {
  state: CommitState | null;
  description: string | null;
  postedAt: Date | null;
  failures: number;
  errorCode: string | null;
  /** After a failure: no attempt before this time. */
  retryAt: Date | null;
};

type Key = Pick<Rollout, 'organizationId' | 'id'>;

export async function postedStatus(sql: Db, { organizationId, id }: Key): Promise<PostedStatus | undefined> {
  const [row] = await sql<PostedStatus[]>`
    select state, description, posted_at as "postedAt", failures, error_code as "errorCode", retry_at as "retryAt" from rollout_statuses
    where organization_id = ${organizationId} and rollout_id = ${id}`;
  return row;
}

/** Counts the statuses that the host accepted from this source for the rollout's commit, over all rollouts. */
export async function postsOfCommit(
  sql: Db,
  { organizationId, sourceId, revisionId }: Pick<Rollout, 'organizationId' | 'sourceId' | 'revisionId'>,
): Promise<number> {
  const [row] = await sql<[{ posts: number }]>`
    select coalesce(sum(s.posts), 0)::int as posts from rollouts r
    join rollout_statuses s on s.organization_id = r.organization_id and s.rollout_id = r.id
    where r.organization_id = ${organizationId} and r.source_id = ${sourceId} and r.revision_id = ${revisionId}`;
  return row.posts;
}

/** Whether a newer rollout now determines the commit's status. */
export async function isSuperseded(sql: Db, { organizationId, id }: Key): Promise<boolean> {
  const rows = await sql`
    select 1 from rollouts r join rollouts n on n.organization_id = r.organization_id and n.source_id = r.source_id and n.revision_id = r.revision_id
    where r.organization_id = ${organizationId} and r.id = ${id} and n.position > r.position limit 1`;
  return rows.length > 0;
}

/** @param checkInSeconds until the next check; null: at the next change of the rollout */
export async function recordPostedStatus(
  tx: Db,
  { organizationId, id }: Key,
  status: { state: CommitState; description: string },
  checkInSeconds: number | null,
): Promise<void> {
  await tx`
    insert into rollout_statuses (organization_id, rollout_id, state, description, posted_at, posts, due_at)
    values (${organizationId}, ${id}, ${status.state}, ${status.description}, now(), 1, now() + make_interval(secs => ${checkInSeconds}))
    on conflict (organization_id, rollout_id) do update set state = excluded.state, description = excluded.description, posted_at = now(),
      posts = rollout_statuses.posts + 1, failures = 0, error_code = null, error_detail = null, retry_at = null, due_at = excluded.due_at`;
}

/** @param retryInSeconds null: no attempt before the next change of the rollout */
export async function recordStatusFailure(
  tx: Db,
  { organizationId, id }: Key,
  error: { code: string; detail: string },
  retryInSeconds: number | null,
): Promise<void> {
  await tx`
    insert into rollout_statuses (organization_id, rollout_id, failures, error_code, error_detail, retry_at, due_at)
    values (${organizationId}, ${id}, 1, ${error.code}, ${error.detail}, now() + make_interval(secs => ${retryInSeconds}), now() + make_interval(secs => ${retryInSeconds}))
    on conflict (organization_id, rollout_id) do update set failures = rollout_statuses.failures + 1, error_code = excluded.error_code,
      error_detail = excluded.error_detail, retry_at = excluded.retry_at, due_at = excluded.due_at`;
}

/** @param seconds until the next check; null: at the next change of the rollout */
export async function setStatusDue(tx: Db, { organizationId, id }: Key, seconds: number | null): Promise<void> {
  await tx`
    insert into rollout_statuses (organization_id, rollout_id, due_at) values (${organizationId}, ${id}, now() + make_interval(secs => ${seconds}))
    on conflict (organization_id, rollout_id) do update set due_at = excluded.due_at`;
}

/** Whether posting failed for the same reason for the source's previous rollout, so that an event has reported it. */
export async function failedBefore(
  sql: Db,
  { organizationId, id, sourceId }: Pick<Rollout, 'organizationId' | 'id' | 'sourceId'>,
  code: string,
): Promise<boolean> {
  const [row] = await sql<{ code: string | null }[]>`
    select s.error_code as code from rollout_statuses s join rollouts r on r.organization_id = s.organization_id and r.id = s.rollout_id
    where s.organization_id = ${organizationId} and r.source_id = ${sourceId} and s.rollout_id <> ${id} order by r.position desc limit 1`;
  return row?.code === code;
}

/** If the claiming process dies, another claim follows after this time. */
const CLAIM_SECONDS = 60;

/** @returns ids of rollouts whose status is due */
export async function takeDueStatuses(tx: Db): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    update rollout_statuses set due_at = now() + make_interval(secs => ${CLAIM_SECONDS}) where due_at <= now() returning rollout_id as id`;
  return rows.map((row) => row.id);
}
