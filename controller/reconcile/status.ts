import type { Shares } from '../../src/async/shares.ts';
import { isProblem, Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import type { CommitStatus, Forge } from '../../src/forge/forge.ts';
import { forgeFor } from '../../src/forge/registry.ts';
import { postRetrySeconds } from '../../src/plan/post/retry.ts';
import { isMoving, postPauseSeconds, progressPauseSeconds, rolloutStatus } from '../../src/plan/post/rollout-status.ts';
import {
  failedBefore,
  isSuperseded,
  type PostedStatus,
  postedStatus,
  postsOfCommit,
  recordPostedStatus,
  recordStatusFailure,
  setStatusDue,
} from '../../src/plan/post/store.ts';
import { revisionOf } from '../../src/revision/store.ts';
import type { Rollout } from '../../src/rollout/rollout.ts';
import { loadSnapshot } from '../../src/rollout/store/load.ts';
import { rolloutById } from '../../src/rollout/store/store.ts';
import type { Source } from '../../src/source/source.ts';
import { sourceById } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';

/** Delay of a post while the organization's share of the workers is in use. */
const BUSY_SECONDS = 1;

/** Posts the rollout's progress to the git host as the status of its commit, as often as `postPauseSeconds` allows. Does nothing without a host. */
export async function reconcileStatus(controller: Controller, shares: Shares, id: string): Promise<void> {
  const { sql } = controller.store;
  const rollout = await rolloutById(sql, id);
  const source = rollout && (await sourceById(sql, rollout.sourceId));
  if (rollout === undefined || source === undefined) return;
  const forge = statusForge(controller, source);
  if (forge === undefined || (await isSuperseded(sql, rollout))) return clearDue(controller, rollout);
  const posted = await postedStatus(sql, rollout);
  const now = Date.now();
  const retryInSeconds = ((posted?.retryAt?.getTime() ?? 0) - now) / 1000;
  if (retryInSeconds > 0) return setStatusDue(sql, rollout, retryInSeconds);
  const status = rolloutStatus(rollout, await loadSnapshot(sql, rollout));
  const posts = await postsOfCommit(sql, rollout);
  // Devices' reports do not wake this job: it reads the counts of a moving rollout again when the next post is allowed.
  const checkInSeconds = isMoving(rollout) ? progressPauseSeconds(posts) : null;
  if (posted?.state === status.state && posted.description === status.description && posted.failures === 0)
    return setStatusDue(sql, rollout, checkInSeconds);
  const sinceSeconds = (now - (posted?.postedAt?.getTime() ?? 0)) / 1000;
  const waitSeconds = postPauseSeconds(rollout, status, posted, posts) - sinceSeconds;
  if (waitSeconds > 0) return setStatusDue(sql, rollout, waitSeconds);
  const release = shares.take(rollout.organizationId);
  if (release === undefined) return setStatusDue(sql, rollout, BUSY_SECONDS);
  await postStatus(controller, rollout, { forge, status, posted, checkInSeconds }).finally(release);
}

/** undefined: the source's host accepts no statuses, or its settings disable them. */
export function statusForge(controller: Controller, source: Source): Forge | undefined {
  if (!source.reportStatus) return undefined;
  try {
    return forgeFor(source, controller);
  } catch (error) {
    if (isProblem(error, 'forge_unsupported', 'forge_token_missing')) return undefined;
    throw error;
  }
}

/** Stops further posts for the rollout. */
async function clearDue(controller: Controller, rollout: Rollout): Promise<void> {
  if ((await postedStatus(controller.store.sql, rollout)) !== undefined) await setStatusDue(controller.store.sql, rollout, null);
}

type StatusPost = { forge: Forge; status: CommitStatus; posted: PostedStatus | undefined; checkInSeconds: number | null };

async function postStatus(controller: Controller, rollout: Rollout, { forge, status, posted, checkInSeconds }: StatusPost): Promise<void> {
  const { store, log } = controller;
  const revision = await revisionOf(store.sql, rollout.organizationId, rollout.revisionId);
  if (revision === undefined) return;
  try {
    await forge.setCommitStatus(revision.commit, status);
    await recordPostedStatus(store.sql, rollout, status, checkInSeconds);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { code, message: detail } = error;
    const failures = (posted?.failures ?? 0) + 1;
    const retryInSeconds = postRetrySeconds(error, failures, Math.random());
    log.warn(
      { rolloutId: rollout.id, code, failures, retryInSeconds },
      `failed to post commit status; ${retryInSeconds === null ? 'it is not retried' : 'it is retried'}: ${detail}`,
    );
    await transact(store, async ({ tx, emit }) => {
      const isNew = retryInSeconds === null && posted?.errorCode !== code && !(await failedBefore(tx, rollout, code));
      const gaveUp = retryInSeconds === null && (isNew || (posted?.retryAt ?? null) !== null);
      await recordStatusFailure(tx, rollout, { code, detail }, retryInSeconds);
      const { organizationId, id, sourceId, revisionId } = rollout;
      const data = { sourceId, revisionId, commit: revision.commit, code, detail };
      if (gaveUp) emit({ organizationId, type: 'rollout.not_reported', subject: `rollout:${id}`, data });
    });
  }
}
