import { audit } from '../../src/audit/store.ts';
import { storeBundles } from '../../src/bundle/store.ts';
import { transact, type Unit } from '../../src/event/transact.ts';
import { prepareCommit } from '../../src/prepare/prepare-commit.ts';
import { isBlamed, type PreparedRevision } from '../../src/revision/revision.ts';
import { clearStale, type StalePath } from '../../src/revision/stale-paths-store.ts';
import { countInvalidPaths, releaseCandidates, setVerdict, storePaths } from '../../src/revision/store.ts';
import { acceptReverts, isWithheld, policyFor, startRollout } from '../../src/rollout/release.ts';
import { newestRollout } from '../../src/rollout/store/store.ts';
import type { Source } from '../../src/source/source.ts';
import { lockSource, setSteadyStatus } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import { emitVerdict, statusOfVerdict, verdictOf } from './revision.ts';
import { convergeBound, forgetOldBundles } from './stale.ts';

/**
 * Evaluates folders of the prepared head again after their devices changed: a label, a site or a name, or a device was added or removed. The commit and
 * all other folders stay the same.
 */
export async function evaluateAgain(
  controller: Controller,
  source: Source & { preparedCommit: string },
  ref: string,
  stale: readonly StalePath[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const started = performance.now();
  const commit = source.preparedCommit;
  const { prepared } = await prepareCommit(
    controller,
    source,
    { ref, commit, previous: { commit, dependencies: [] }, stale: stale.map(({ path }) => path) },
    { mirror: source.id, deadlineMs: controller.config.GIT_TIMEOUT_SECONDS * 1000, signal },
  );
  await transact(controller.store, async (unit) => {
    const present = await lockSource(unit.tx, source.id);
    // The change of the source has woken it again.
    if (present?.version !== source.version || present.preparedCommit !== commit || present.heldAt !== null) return;
    await storeEvaluation(unit, present, prepared, stale);
  });
  const durationMs = Math.round(performance.now() - started);
  controller.log.info({ sourceId: source.id, commit, paths: prepared.paths.length, durationMs }, 'folders evaluated again');
}

async function storeEvaluation(unit: Unit, source: Source, prepared: PreparedRevision, stale: readonly StalePath[]): Promise<void> {
  const { tx } = unit;
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  const { revisionId } = source;
  if (revisionId !== null && prepared.errors.length === 0) {
    const isHeldBack = await isWithheld(unit, source);
    await storeBundles(tx, source.organizationId, prepared);
    await forgetOldBundles(unit, source, prepared, stale);
    await storePaths(tx, owner, revisionId, prepared, true);
    const verdict = verdictOf(source, prepared, false, await countInvalidPaths(tx, owner));
    await setVerdict(tx, owner, revisionId, verdict);
    await setSteadyStatus(tx, source.id, statusOfVerdict(verdict));
    if (prepared.paths.some(isBlamed)) emitVerdict(unit, source, revisionId, verdict, prepared);
    if (verdict !== 'invalid' && !isHeldBack) await release(unit, source, revisionId, prepared, stale);
    const detail = { revisionId, verdict, paths: prepared.paths.length };
    const subject = `source:${source.id}`;
    await audit(tx, {
      organizationId: source.organizationId,
      actor: 'controller',
      action: 'revision.evaluate',
      subject,
      outcome: verdict === 'invalid' ? 'refused' : 'ok',
      commitOid: prepared.commit.oid,
      detail,
    });
  }
  await clearStale(tx, owner, stale);
}

/**
 * Deploys evaluated folders to their devices within the current rollout, like devices that are new to the source. Starts a rollout if other folders are
 * released, too, since the commit became valid only now, or if the source has had no rollout.
 */
async function release(
  unit: Unit,
  source: Source,
  revisionId: string,
  prepared: PreparedRevision,
  stale: readonly StalePath[],
): Promise<void> {
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  const marked = new Set(stale.map(({ path }) => path));
  const released = await releaseCandidates(unit.tx, owner);
  const isFirst = released.length > 0 && (await newestRollout(unit.tx, source.organizationId, source.id)) === undefined;
  if (isFirst || released.some((path) => !marked.has(path))) {
    const policy = policyFor(source, prepared.rolloutPolicy);
    await startRollout(unit, source, { revisionId, commit: prepared.commit.oid, policy }, released);
    return;
  }
  await convergeBound(unit, source, stale);
  await acceptReverts(unit, owner);
}
