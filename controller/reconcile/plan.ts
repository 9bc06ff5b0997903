import type { Shares } from '../../src/async/shares.ts';
import { isProblem, messageOf, Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import type { Forge } from '../../src/forge/forge.ts';
import { computePlan } from '../../src/plan/compute.ts';
import { EXPECT_HEAD_SECONDS, EXPECT_RETRY_SECONDS, headlineOf, type MergeRequest, planStatus } from '../../src/plan/merge-request.ts';
import { isRefused } from '../../src/plan/plan.ts';
import { code } from '../../src/plan/post/markdown.ts';
import { renderMarkdown } from '../../src/plan/post/render.ts';
import { postRetrySeconds, readRetrySeconds } from '../../src/plan/post/retry.ts';
import { viewPlan } from '../../src/plan/post/view.ts';
import {
  closeMergeRequest,
  mergeRequestById,
  notePlan,
  notePosted,
  type Planned,
  recordRequestFailure,
  setDue,
} from '../../src/plan/store.ts';
import { resolveAtRemote } from '../../src/preview/preview.ts';
import { followsRef, type Source } from '../../src/source/source.ts';
import { sourceById } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import { statusForge } from './status.ts';

/** Plans in progress in this process. `sources`: at most one plan per source, since a mirror has one writer. `shares`: of the workers, by organization. */
export type Planning = { sources: Set<string>; shares: Shares };

/** Delay of a plan while its source, or the organization's share of the workers, is in use. */
const BUSY_SECONDS = 1;

/**
 * Plans the newest head of a merge request and posts the plan as one comment, which is edited in place, and as a status of the commit. An existing plan is
 * only posted, and a posted one is kept. Every failure is recorded with the time of the next try.
 */
export async function reconcileMergeRequest(controller: Controller, planning: Planning, id: string): Promise<void> {
  const { sql } = controller.store;
  const request = await mergeRequestById(sql, id);
  const source = request && (await sourceById(sql, request.sourceId));
  if (request === undefined || source === undefined || request.state === 'closed') return;
  if (targetsOtherBranch(source, request)) return closeMergeRequest(sql, request);
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

/** @param planned called when the source's mirror is free again */
async function planAndPost(controller: Controller, source: Source, request: MergeRequest, planned: () => void): Promise<void> {
  const { sql } = controller.store;
  if (!(await planHead(controller, source, request))) return;
  planned();
  const now = await mergeRequestById(sql, request.id);
  if (now?.posting === 'pending' && !(await post(controller, source, now))) return;
  await setDue(sql, request, isExpected(request, now) ? EXPECT_RETRY_SECONDS : null);
}

/** Whether the source follows another branch now. For `HEAD` the branch is unknown until the next hook. */
function targetsOtherBranch({ ref }: Source, { target }: MergeRequest): boolean {
  return ref !== 'HEAD' && target !== null && !followsRef(ref, `refs/heads/${target}`);
}

/** Whether the hook named a commit that the host may not show yet. */
function isExpected({ hookedCommit, noticedAt }: MergeRequest, planned: MergeRequest | undefined): boolean {
  return hookedCommit !== null && hookedCommit !== planned?.headCommit && Date.now() - noticedAt.getTime() < EXPECT_HEAD_SECONDS * 1000;
}

/** @returns false if a retry is scheduled */
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
    await storePlan(controller, request, {
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
    const retryInSeconds = readRetrySeconds(error, request.failures + 1, Math.random());
    log.warn(
      { mergeRequestId: request.id, code: errorCode, retryInSeconds },
      `failed to plan merge request; ${retryInSeconds === null ? 'the error is posted instead' : 'it is retried'}: ${detail}`,
    );
    if (retryInSeconds !== null) {
      await recordRequestFailure(store.sql, request.id, { code: errorCode, detail }, retryInSeconds);
      return false;
    }
    const markdown = `### Bellwether plan: not computed\n\n${code(detail)}`;
    const headCommit = request.hookedCommit ?? request.headCommit;
    await storePlan(controller, request, {
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

/** The head that the repository shows, since hooks may arrive in any order. If it shows no such ref, the last hook's commit. */
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

async function storePlan({ store }: Controller, request: MergeRequest, plan: Planned): Promise<void> {
  const { organizationId, sourceId, number } = request;
  const { headCommit: commit, verdict, headline: detail } = plan;
  await transact(store, async ({ tx, emit }) => {
    await notePlan(tx, request.id, plan);
    emit({ organizationId, type: 'merge_request.planned', subject: `source:${sourceId}`, data: { number, commit, verdict, detail } });
  });
}

/** @returns false if a retry is scheduled */
async function post(controller: Controller, source: Source, request: MergeRequest): Promise<boolean> {
  const { store, log } = controller;
  const { organizationId, sourceId, number, id } = request;
  try {
    const forge = statusForge(controller, source);
    await notePosted(store.sql, id, forge === undefined ? null : await postTo(forge, request));
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const failure = { code: error.code, detail: error.message };
    const retryInSeconds = postRetrySeconds(error, request.failures + 1, Math.random());
    log.warn(
      { mergeRequestId: id, code: error.code, retryInSeconds },
      `failed to post plan; ${retryInSeconds === null ? 'it is not retried' : 'it is retried'}: ${messageOf(error)}`,
    );
    await transact(store, async ({ tx, emit }) => {
      await recordRequestFailure(tx, id, failure, retryInSeconds);
      if (retryInSeconds !== null) return;
      emit({ organizationId, type: 'merge_request.not_posted', subject: `source:${sourceId}`, data: { number, ...failure } });
    });
    return retryInSeconds === null;
  }
}

/** @returns the URL of the comment */
async function postTo(forge: Forge, request: MergeRequest): Promise<string> {
  const { url } = await forge.upsertComment(request.number, request.markdown ?? '');
  if (request.headCommit === null) return url;
  await forge.setCommitStatus(request.headCommit, planStatus(request)).catch((error: unknown) => {
    // GitLab keeps the commits of a fork only in the fork, where the token has no rights. The comment alone must suffice.
    if (!isProblem(error, 'forge_not_found')) throw error;
  });
  return url;
}
