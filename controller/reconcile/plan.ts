import type { Shares } from '../../src/async/shares.ts';
import { isProblem, messageOf, Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import type { Forge } from '../../src/forge/forge.ts';
import { computePlan } from '../../src/plan/compute.ts';
import { EXPECT_HEAD_SECONDS, EXPECT_RETRY_SECONDS, headlineOf, type MergeRequest, planStatus } from '../../src/plan/merge-request.ts';
import { isRefused } from '../../src/plan/plan.ts';
import { code } from '../../src/plan/post/markdown.ts';
import { renderMarkdown } from '../../src/plan/post/render.ts';
import { readAgainSeconds, tellAgainSeconds } from '../../src/plan/post/retry.ts';
import { viewPlan } from '../../src/plan/post/view.ts';
import { closeMergeRequest, mergeRequestById, notePlan, notePosted, noteTrouble, type Planned, setDue } from '../../src/plan/store.ts';
import { resolveAtRemote } from '../../src/preview/preview.ts';
import { followsRef, type Source } from '../../src/source/source.ts';
import { sourceById } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import { statusForge } from './status.ts';

/** What is planned in this process. `sources`: a mirror has one writer. `shares`: of the workers, by organization. */
export type Planning = { sources: Set<string>; shares: Shares };

/** A source that is being planned is asked for again after this. */
const BUSY_SECONDS = 1;

/**
 * Plans the newest head of a merge request and posts the plan: one comment that is changed in place, and a status of the commit. What was planned
 * already is only posted, what was posted is left. Every failure stands on its record with the time of the next try.
 */
export async function reconcileMergeRequest(controller: Controller, planning: Planning, id: string): Promise<void> {
  const { sql } = controller.store;
  const request = await mergeRequestById(sql, id);
  const source = request && (await sourceById(sql, request.sourceId));
  if (request === undefined || source === undefined || request.state === 'closed') return;
  if (goesElsewhere(source, request)) return closeMergeRequest(sql, request);
  const release = planning.sources.has(source.id) ? undefined : planning.shares.take(source.organizationId);
  if (release === undefined) return setDue(sql, request, BUSY_SECONDS);
  planning.sources.add(source.id);
  try {
    await planAndPost(controller, source, request, () => planning.sources.delete(source.id));
  } finally {
    planning.sources.delete(source.id);
    release();
  }
}

/** @param planned is called once the source's mirror is free again */
async function planAndPost(controller: Controller, source: Source, request: MergeRequest, planned: () => void): Promise<void> {
  const { sql } = controller.store;
  if (!(await planHead(controller, source, request))) return;
  planned();
  const now = await mergeRequestById(sql, request.id);
  if (now?.posting === 'pending' && !(await post(controller, source, now))) return;
  await setDue(sql, request, isExpected(request, now) ? EXPECT_RETRY_SECONDS : null);
}

/** The source follows another branch by now. Which one `HEAD` stands for, the next hook tells. */
function goesElsewhere({ ref }: Source, { target }: MergeRequest): boolean {
  return ref !== 'HEAD' && target !== null && !followsRef(ref, `refs/heads/${target}`);
}

/** The hook named a commit that the host may not show yet. */
function isExpected({ hookedCommit, noticedAt }: MergeRequest, planned: MergeRequest | undefined): boolean {
  return hookedCommit !== null && hookedCommit !== planned?.headCommit && Date.now() - noticedAt.getTime() < EXPECT_HEAD_SECONDS * 1000;
}

/** @returns false when it is to be tried again */
async function planHead(controller: Controller, source: Source, request: MergeRequest): Promise<boolean> {
  const { store, log } = controller;
  try {
    const head = await headOf(controller, source, request);
    const isCurrent = head.oid === request.headCommit && source.preparedCommit === request.baseCommit;
    if (isCurrent && request.verdict !== 'error') return true;
    const plan = await computePlan(controller, source, head, { mirror: `${source.id}.merge`, now: new Date() });
    const { verdict, summary, base } = plan;
    const markdown = renderMarkdown(viewPlan(plan));
    const headline = headlineOf(plan);
    await keep(controller, request, {
      headCommit: head.oid,
      baseCommit: base,
      verdict,
      isRefused: isRefused(plan),
      summary,
      headline,
      markdown,
    });
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { code: errorCode, message: detail } = error;
    const retryInSeconds = readAgainSeconds(error, request.failures + 1, Math.random());
    log.warn({ mergeRequestId: request.id, code: errorCode, retryInSeconds }, `a merge request is not planned: ${detail}`);
    if (retryInSeconds !== null) {
      await noteTrouble(store.sql, request.id, { code: errorCode, detail }, retryInSeconds);
      return false;
    }
    const markdown = `### Bellwether plan: not computed\n\n${code(detail)}`;
    const headCommit = request.hookedCommit ?? request.headCommit;
    await keep(controller, request, {
      headCommit,
      baseCommit: null,
      verdict: 'error',
      isRefused: true,
      summary: null,
      headline: detail,
      markdown,
    });
    return true;
  }
}

/** What the repository itself shows; hooks may come in any order. Where it shows no such ref, what the last hook said. */
async function headOf(
  controller: Controller,
  source: Source,
  { headRef, hookedCommit }: MergeRequest,
): Promise<{ name: string; oid: string }> {
  try {
    return await resolveAtRemote(controller, source, headRef);
  } catch (error) {
    if (!isProblem(error, 'ref_missing') || hookedCommit === null) throw error;
    return { name: headRef, oid: hookedCommit };
  }
}

async function keep({ store }: Controller, request: MergeRequest, plan: Planned): Promise<void> {
  const { organizationId, sourceId, number } = request;
  const { headCommit: commit, verdict, headline: detail } = plan;
  await transact(store, async ({ tx, emit }) => {
    await notePlan(tx, request.id, plan);
    emit({ organizationId, type: 'merge_request.planned', subject: `source:${sourceId}`, data: { number, commit, verdict, detail } });
  });
}

/** @returns false when it is to be tried again */
async function post(controller: Controller, source: Source, request: MergeRequest): Promise<boolean> {
  const { store, log } = controller;
  const { organizationId, sourceId, number, id } = request;
  try {
    const forge = statusForge(controller, source);
    await notePosted(store.sql, id, forge === undefined ? null : await postTo(forge, request));
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const told = { code: error.code, detail: error.message };
    const retryInSeconds = tellAgainSeconds(error, request.failures + 1, Math.random());
    log.warn({ mergeRequestId: id, code: error.code, retryInSeconds }, `a plan is not posted: ${messageOf(error)}`);
    await transact(store, async ({ tx, emit }) => {
      await noteTrouble(tx, id, told, retryInSeconds);
      if (retryInSeconds !== null) return;
      emit({ organizationId, type: 'merge_request.not_posted', subject: `source:${sourceId}`, data: { number, ...told } });
    });
    return retryInSeconds === null;
  }
}

/** @returns where the comment stands */
async function postTo(forge: Forge, request: MergeRequest): Promise<string> {
  const { url } = await forge.upsertComment(request.number, request.markdown ?? '');
  if (request.headCommit === null) return url;
  await forge.setCommitStatus(request.headCommit, planStatus(request)).catch((error: unknown) => {
    // GitLab knows commits of a fork nowhere but there, where the token counts for nothing: the comment must do.
    if (!isProblem(error, 'forge_not_found')) throw error;
  });
  return url;
}
