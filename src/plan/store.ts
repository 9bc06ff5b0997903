import type { Db } from '../db/connect.ts';
import { newId } from '../ids.ts';
import type { MergeRequest } from './merge-request.ts';

const columns = (sql: Db) => sql`
  organization_id as "organizationId", id, source_id as "sourceId", number, state, title, url, head_ref as "headRef", target, hooked_commit as "hookedCommit",
  noticed_at as "noticedAt", head_commit as "headCommit", base_commit as "baseCommit", verdict, is_refused as "isRefused", summary, headline, markdown,
  planned_at as "plannedAt", posting, comment_url as "commentUrl", posted_at as "postedAt", failures, error_code as "errorCode",
  error_detail as "errorDetail", due_at as "dueAt", closed_at as "closedAt"`;

type Key = Pick<MergeRequest, 'organizationId' | 'sourceId'>;

/** The facts about a merge request that a hook sends. */
export type Noticed = Key & Pick<MergeRequest, 'number' | 'state' | 'title' | 'url' | 'headRef' | 'target' | 'hookedCommit'>;

/** Stores the facts of a hook and makes the merge request due, also after failures. @returns its id; undefined for an unknown one that is closed */
export async function noteMergeRequest(tx: Db, noticed: Noticed): Promise<string | undefined> {
  const { organizationId, sourceId, number, state, title, url, headRef, target, hookedCommit } = noticed;
  if (state === 'closed') {
    const [row] = await tx<{ id: string }[]>`
      update merge_requests set state = 'closed', closed_at = coalesce(closed_at, now()), due_at = null, noticed_at = now()
      where organization_id = ${organizationId} and source_id = ${sourceId} and number = ${number} returning id`;
    return row?.id;
  }
  const [row] = await tx<{ id: string }[]>`
    insert into merge_requests (organization_id, id, source_id, number, state, title, url, head_ref, target, hooked_commit)
    values (${organizationId}, ${newId()}, ${sourceId}, ${number}, 'open', ${title}, ${url}, ${headRef}, ${target}, ${hookedCommit})
    on conflict (organization_id, source_id, number) do update set state = 'open', closed_at = null, title = coalesce(excluded.title, merge_requests.title),
      url = coalesce(excluded.url, merge_requests.url), head_ref = excluded.head_ref, target = excluded.target, hooked_commit = excluded.hooked_commit, noticed_at = now(),
      due_at = now(), failures = 0, posting = case when merge_requests.posting = 'failed' then 'pending' else merge_requests.posting end,
      head_commit = case when merge_requests.verdict = 'error' then null else merge_requests.head_commit end
    returning id`;
  return row?.id;
}

/** Closes a merge request whose target is no longer the branch that the source follows. */
export async function closeMergeRequest(tx: Db, { id, target }: Pick<MergeRequest, 'id' | 'target'>): Promise<void> {
  await tx`
    update merge_requests set state = 'closed', closed_at = coalesce(closed_at, now()), due_at = null where id = ${id} and target is not distinct from ${target}`;
}

/** Whether a merge request is known and open. */
export async function hasOpenMergeRequest(
  tx: Db,
  { organizationId, sourceId, number }: Key & Pick<MergeRequest, 'number'>,
): Promise<boolean> {
  const rows = await tx`
    select 1 from merge_requests where organization_id = ${organizationId} and source_id = ${sourceId} and number = ${number} and state = 'open'`;
  return rows.length > 0;
}

/** For the controller, whose jobs carry ids only. */
export async function mergeRequestById(sql: Db, id: string): Promise<MergeRequest | undefined> {
  const [row] = await sql<MergeRequest[]>`select ${columns(sql)} from merge_requests where id = ${id}`;
  return row;
}

/** Highest number first. */
export async function listMergeRequests(
  sql: Db,
  { organizationId, id: sourceId }: { organizationId: string; id: string },
  before: number | null,
  limit: number,
): Promise<MergeRequest[]> {
  return sql<MergeRequest[]>`
    select ${columns(sql)} from merge_requests where organization_id = ${organizationId} and source_id = ${sourceId}
      ${before === null ? sql`` : sql`and number < ${before}`}
    order by number desc limit ${limit}`;
}

export type Planned = Pick<MergeRequest, 'headCommit' | 'baseCommit' | 'verdict' | 'isRefused' | 'summary' | 'headline' | 'markdown'>;

/** Stores a new plan and makes its post pending. */
export async function notePlan(tx: Db, id: string, plan: Planned): Promise<void> {
  await tx`
    update merge_requests set head_commit = ${plan.headCommit}, base_commit = ${plan.baseCommit}, verdict = ${plan.verdict}, is_refused = ${plan.isRefused},
      summary = ${plan.summary === null ? null : tx.json(plan.summary)}, headline = ${plan.headline}, markdown = ${plan.markdown}, planned_at = now(),
      posting = 'pending', failures = 0, error_code = null, error_detail = null
    where id = ${id}`;
}

/** @param commentUrl null: the source has no host to post to */
export async function notePosted(tx: Db, id: string, commentUrl: string | null): Promise<void> {
  await tx`
    update merge_requests set posting = ${commentUrl === null ? 'none' : 'posted'}, comment_url = coalesce(${commentUrl}, comment_url),
      posted_at = ${commentUrl === null ? tx`posted_at` : tx`now()`}, failures = 0, error_code = null, error_detail = null
    where id = ${id}`;
}

/** @param retryInSeconds null: no further attempt */
export async function recordRequestFailure(
  tx: Db,
  id: string,
  error: { code: string; detail: string },
  retryInSeconds: number | null,
): Promise<void> {
  await tx`
    update merge_requests set failures = failures + 1, error_code = ${error.code}, error_detail = ${error.detail},
      posting = case when posting = 'pending' and ${retryInSeconds === null} then 'failed' else posting end,
      due_at = now() + make_interval(secs => ${retryInSeconds})
    where id = ${id}`;
}

/** Sets the next check, unless a hook arrived after the row was read. @param seconds null: at the next hook */
export async function setDue(tx: Db, { id, noticedAt }: Pick<MergeRequest, 'id' | 'noticedAt'>, seconds: number | null): Promise<void> {
  await tx`update merge_requests set due_at = now() + make_interval(secs => ${seconds}) where id = ${id} and date_trunc('milliseconds', noticed_at) <= ${noticedAt}`;
}

/** If the claiming process dies, another claim follows after this time. */
const CLAIM_SECONDS = 120;

export async function takeDueMergeRequests(tx: Db): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    update merge_requests set due_at = now() + make_interval(secs => ${CLAIM_SECONDS}) where due_at <= now() returning id`;
  return rows.map((row) => row.id);
}

/** Has the merge request planned and posted again. @returns its id */
export async function replanMergeRequest(tx: Db, { organizationId, sourceId }: Key, headRef: string): Promise<string | undefined> {
  const [row] = await tx<{ id: string }[]>`
    update merge_requests set due_at = now(), noticed_at = now(), failures = 0, head_commit = null
    where organization_id = ${organizationId} and source_id = ${sourceId} and head_ref = ${headRef} and state = 'open' returning id`;
  return row?.id;
}

/** When a source's head moves, this many of its merge requests are planned again, the most recent first. Each one has at least this pause, seconds. */
const REPLANNED_AT_ONCE = 50;
const REPLAN_PAUSE_SECONDS = 60;
/** Pushes arrive in bursts, and the push of a merge comes before the hook that closes its request. */
const REPLAN_DELAY_SECONDS = 3;

/**
 * After the source's head moved, makes open merge requests due whose plan has another base or whose post failed. The new `noticed_at` keeps a running
 * job from clearing `due_at`.
 */
export async function replanMergeRequests(tx: Db, { organizationId, sourceId }: Key, base: string | null): Promise<void> {
  await tx`
    update merge_requests set noticed_at = clock_timestamp(), failures = 0, posting = case when posting = 'failed' then 'pending' else posting end,
      due_at = least(due_at, greatest(now() + make_interval(secs => ${REPLAN_DELAY_SECONDS}),
        case when verdict = 'error' then now() else planned_at + make_interval(secs => ${REPLAN_PAUSE_SECONDS}) end))
    where organization_id = ${organizationId} and source_id = ${sourceId} and state = 'open' and number in (
      select number from merge_requests where organization_id = ${organizationId} and source_id = ${sourceId} and state = 'open'
        and (base_commit is distinct from ${base} or posting = 'failed') order by noticed_at desc limit ${REPLANNED_AT_ONCE})`;
}

/** Makes open merge requests due whose plan or post failed, since the source is readable again. */
export async function retryMergeRequests(tx: Db, { organizationId, sourceId }: Key): Promise<void> {
  await tx`
    update merge_requests set noticed_at = clock_timestamp(), failures = 0, posting = case when posting = 'failed' then 'pending' else posting end,
      due_at = least(due_at, now() + make_interval(secs => ${REPLAN_DELAY_SECONDS}))
    where organization_id = ${organizationId} and source_id = ${sourceId} and state = 'open' and (verdict = 'error' or posting = 'failed')`;
}

export async function pruneMergeRequests(sql: Db, keepDays: number): Promise<void> {
  await sql`delete from merge_requests where closed_at < now() - make_interval(days => ${keepDays})`;
}
