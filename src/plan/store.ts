import type { Db } from '../db/connect.ts';
import { newId } from '../ids.ts';
import type { MergeRequest } from './merge-request.ts';

const columns = (sql: Db) => sql`
  organization_id as "organizationId", id, source_id as "sourceId", number, state, title, url, head_ref as "headRef", hooked_commit as "hookedCommit",
  noticed_at as "noticedAt", head_commit as "headCommit", base_commit as "baseCommit", verdict, is_refused as "isRefused", summary, headline, markdown,
  planned_at as "plannedAt", posting, comment_url as "commentUrl", posted_at as "postedAt", failures, error_code as "errorCode",
  error_detail as "errorDetail", due_at as "dueAt", closed_at as "closedAt"`;

type Key = Pick<MergeRequest, 'organizationId' | 'sourceId'>;

/** What a hook says. */
export type Noticed = Key & Pick<MergeRequest, 'number' | 'state' | 'title' | 'url' | 'headRef' | 'hookedCommit'>;

/** Keeps what a hook says and makes it due. What was given up is tried anew. @returns its id; undefined for one that was closed before it was known */
export async function noteMergeRequest(tx: Db, noticed: Noticed): Promise<string | undefined> {
  const { organizationId, sourceId, number, state, title, url, headRef, hookedCommit } = noticed;
  if (state === 'closed') {
    const [row] = await tx<{ id: string }[]>`
      update merge_requests set state = 'closed', closed_at = coalesce(closed_at, now()), due_at = null, noticed_at = now()
      where organization_id = ${organizationId} and source_id = ${sourceId} and number = ${number} returning id`;
    return row?.id;
  }
  const [row] = await tx<{ id: string }[]>`
    insert into merge_requests (organization_id, id, source_id, number, state, title, url, head_ref, hooked_commit)
    values (${organizationId}, ${newId()}, ${sourceId}, ${number}, 'open', ${title}, ${url}, ${headRef}, ${hookedCommit})
    on conflict (organization_id, source_id, number) do update set state = 'open', closed_at = null, title = coalesce(excluded.title, merge_requests.title),
      url = coalesce(excluded.url, merge_requests.url), head_ref = excluded.head_ref, hooked_commit = excluded.hooked_commit, noticed_at = now(),
      due_at = now(), failures = 0, posting = case when merge_requests.posting = 'failed' then 'pending' else merge_requests.posting end,
      head_commit = case when merge_requests.verdict = 'error' then null else merge_requests.head_commit end
    returning id`;
  return row?.id;
}

/** For the controller, which is told ids only. */
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

/** A new plan, which is to be posted. */
export async function notePlan(tx: Db, id: string, plan: Planned): Promise<void> {
  await tx`
    update merge_requests set head_commit = ${plan.headCommit}, base_commit = ${plan.baseCommit}, verdict = ${plan.verdict}, is_refused = ${plan.isRefused},
      summary = ${plan.summary === null ? null : tx.json(plan.summary)}, headline = ${plan.headline}, markdown = ${plan.markdown}, planned_at = now(),
      posting = 'pending', failures = 0, error_code = null, error_detail = null
    where id = ${id}`;
}

/** @param commentUrl null: nobody is told */
export async function notePosted(tx: Db, id: string, commentUrl: string | null): Promise<void> {
  await tx`
    update merge_requests set posting = ${commentUrl === null ? 'none' : 'posted'}, comment_url = coalesce(${commentUrl}, comment_url),
      posted_at = ${commentUrl === null ? tx`posted_at` : tx`now()`}, failures = 0, error_code = null, error_detail = null
    where id = ${id}`;
}

/** @param retryInSeconds null: given up */
export async function noteTrouble(
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

/** When it is looked at again, unless a hook came since it was read; null: when one comes. */
export async function setDue(tx: Db, { id, noticedAt }: Pick<MergeRequest, 'id' | 'noticedAt'>, seconds: number | null): Promise<void> {
  await tx`update merge_requests set due_at = now() + make_interval(secs => ${seconds}) where id = ${id} and date_trunc('milliseconds', noticed_at) <= ${noticedAt}`;
}

/** A claim that dies is made again after this. */
const CLAIM_SECONDS = 120;

export async function takeDueMergeRequests(tx: Db): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    update merge_requests set due_at = now() + make_interval(secs => ${CLAIM_SECONDS}) where due_at <= now() returning id`;
  return rows.map((row) => row.id);
}

/** It is planned and posted anew. @returns its id */
export async function wakeMergeRequest(tx: Db, { organizationId, sourceId }: Key, headRef: string): Promise<string | undefined> {
  const [row] = await tx<{ id: string }[]>`
    update merge_requests set due_at = now(), noticed_at = now(), failures = 0, head_commit = null
    where organization_id = ${organizationId} and source_id = ${sourceId} and head_ref = ${headRef} and state = 'open' returning id`;
  return row?.id;
}

export async function pruneMergeRequests(sql: Db, keepDays: number): Promise<void> {
  await sql`delete from merge_requests where closed_at < now() - make_interval(days => ${keepDays})`;
}
