import type { Shares } from '../../src/async/shares.ts';
import { isProblem, Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import type { CommitStatus, Forge } from '../../src/forge/forge.ts';
import { forgeFor } from '../../src/forge/registry.ts';
import { tellAgainSeconds } from '../../src/plan/post/retry.ts';
import { isMoving, postPauseSeconds, progressPauseSeconds, rolloutStatus } from '../../src/plan/post/rollout-status.ts';
import {
  failedBefore,
  isOutdone,
  noteTold,
  noteUntold,
  postsOfCommit,
  setStatusDue,
  type ToldStatus,
  toldStatus,
} from '../../src/plan/post/store.ts';
import { revisionOf } from '../../src/revision/store.ts';
import type { Rollout } from '../../src/rollout/rollout.ts';
import { loadSnapshot } from '../../src/rollout/store/load.ts';
import { rolloutById } from '../../src/rollout/store/store.ts';
import type { Source } from '../../src/source/source.ts';
import { sourceById } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';

/** A status whose organization has no worker free is posted after this. */
const BUSY_SECONDS = 1;

/** Posts at the git host how the rollout stands, as the status of its commit, as often as `postPauseSeconds` allows. Where no host can be told, nothing is done. */
export async function reconcileStatus(controller: Controller, shares: Shares, id: string): Promise<void> {
  const { sql } = controller.store;
  const rollout = await rolloutById(sql, id);
  const source = rollout && (await sourceById(sql, rollout.sourceId));
  if (rollout === undefined || source === undefined) return;
  const forge = statusForge(controller, source);
  if (forge === undefined || (await isOutdone(sql, rollout))) return forget(controller, rollout);
  const told = await toldStatus(sql, rollout);
  const now = Date.now();
  const retryInSeconds = ((told?.retryAt?.getTime() ?? 0) - now) / 1000;
  if (retryInSeconds > 0) return setStatusDue(sql, rollout, retryInSeconds);
  const status = rolloutStatus(rollout, await loadSnapshot(sql, rollout));
  const posts = await postsOfCommit(sql, rollout);
  // Devices' reports wake nobody here: the numbers of a rollout that moves are read again when they may be posted.
  const lookInSeconds = isMoving(rollout) ? progressPauseSeconds(posts) : null;
  if (told?.state === status.state && told.description === status.description && told.failures === 0)
    return setStatusDue(sql, rollout, lookInSeconds);
  const sinceSeconds = (now - (told?.postedAt?.getTime() ?? 0)) / 1000;
  const waitSeconds = postPauseSeconds(rollout, status, told, posts) - sinceSeconds;
  if (waitSeconds > 0) return setStatusDue(sql, rollout, waitSeconds);
  const release = shares.take(rollout.organizationId);
  if (release === undefined) return setStatusDue(sql, rollout, BUSY_SECONDS);
  await tell(controller, rollout, { forge, status, told, lookInSeconds }).finally(release);
}

/** undefined: the source has no host that could be told, or wants none told. */
export function statusForge(controller: Controller, source: Source): Forge | undefined {
  if (!source.reportStatus) return undefined;
  try {
    return forgeFor(source, controller);
  } catch (error) {
    if (isProblem(error, 'forge_unsupported', 'forge_token_missing')) return undefined;
    throw error;
  }
}

/** Nobody is told any more. */
async function forget(controller: Controller, rollout: Rollout): Promise<void> {
  if ((await toldStatus(controller.store.sql, rollout)) !== undefined) await setStatusDue(controller.store.sql, rollout, null);
}

type Telling = { forge: Forge; status: CommitStatus; told: ToldStatus | undefined; lookInSeconds: number | null };

async function tell(controller: Controller, rollout: Rollout, { forge, status, told, lookInSeconds }: Telling): Promise<void> {
  const { store, log } = controller;
  const revision = await revisionOf(store.sql, rollout.organizationId, rollout.revisionId);
  if (revision === undefined) return;
  try {
    await forge.setCommitStatus(revision.commit, status);
    await noteTold(store.sql, rollout, status, lookInSeconds);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { code, message: detail } = error;
    const failures = (told?.failures ?? 0) + 1;
    const retryInSeconds = tellAgainSeconds(error, failures, Math.random());
    log.warn({ rolloutId: rollout.id, code, failures, retryInSeconds }, `a rollout is not told to its git host: ${detail}`);
    await transact(store, async ({ tx, emit }) => {
      const isNew = retryInSeconds === null && told?.errorCode !== code && !(await failedBefore(tx, rollout, code));
      const gaveUp = retryInSeconds === null && (isNew || (told?.retryAt ?? null) !== null);
      await noteUntold(tx, rollout, { code, detail }, retryInSeconds);
      const { organizationId, id, sourceId, revisionId } = rollout;
      const data = { sourceId, revisionId, commit: revision.commit, code, detail };
      if (gaveUp) emit({ organizationId, type: 'rollout.not_reported', subject: `rollout:${id}`, data });
    });
  }
}
