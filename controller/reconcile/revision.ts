import { audit } from '../../src/audit/store.ts';
import { storeBundles } from '../../src/bundle/store.ts';
import type { Db } from '../../src/db/connect.ts';
import { transact, type Unit } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { replanMergeRequests } from '../../src/plan/store.ts';
import { isBlamed, type PreparedRevision } from '../../src/revision/revision.ts';
import { clearStale, type StalePath } from '../../src/revision/stale-paths-store.ts';
import {
  countInvalidPaths,
  isCommitKnown,
  type RevisionVerdict,
  setVerdict,
  storePaths,
  upsertRevision,
  verdictOfRevision,
} from '../../src/revision/store.ts';
import { convergeDevices } from '../../src/rollout/converge.ts';
import { isWithheld, policyFor, releaseSource } from '../../src/rollout/release.ts';
import { pollSeconds, type Source, type SourceStatus } from '../../src/source/source.ts';
import { lockSource, noteFleet, recordCheck } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import { followMoves } from './moves.ts';
import { convergeBound, forgetOldBundles } from './stale.ts';

/** Stores a prepared commit in one transaction: its verdict, bundles and folders, and the rollout that deploys it. */
export async function storeRevision(
  controller: Controller,
  source: Source,
  ref: string,
  prepared: PreparedRevision,
  timings: Record<string, number>,
  stale: readonly StalePath[],
): Promise<void> {
  const started = performance.now();
  const verdict = await transact(controller.store, async (unit) => {
    const present = await lockSource(unit.tx, source.id);
    // The settings changed during preparation, so that its result is outdated. The change has woken the source again.
    if (present === undefined || present.version !== source.version) return 'outdated';
    return writeRevision(unit, present, ref, prepared, timings, stale);
  });
  const storedMs = Math.round(performance.now() - started);
  controller.metrics.stages({ ...timings, storeMs: storedMs });
  controller.log.info(
    { sourceId: source.id, commit: prepared.commit.oid, verdict, paths: prepared.paths.length, ...timings, storeMs: storedMs },
    'revision prepared',
  );
}

async function writeRevision(
  unit: Unit,
  source: Source,
  ref: string,
  prepared: PreparedRevision,
  timings: Record<string, number>,
  stale: readonly StalePath[],
): Promise<RevisionVerdict> {
  const { tx } = unit;
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  const hasErrors = prepared.errors.length > 0;
  let moved: string[] = [];
  const revisionId = await upsertRevision(tx, owner, { id: newId(), ref, prepared, verdict: 'invalid', timings });
  if (!hasErrors) {
    await storeBundles(tx, source.organizationId, prepared);
    if (source.heldAt === null) await forgetOldBundles(unit, source, prepared, stale);
    const changed = await storePaths(tx, owner, revisionId, prepared);
    moved = await followMoves(unit, source, prepared.commit.oid, changed);
    await noteFleet(tx, source.id, prepared);
  }
  const invalidPaths = hasErrors ? 0 : await countInvalidPaths(tx, owner);
  const verdict = verdictOf(source, prepared, hasErrors, invalidPaths);
  await setVerdict(tx, owner, revisionId, verdict);
  await recordVerdict(unit, source, revisionId, verdict, prepared);
  // While the source is held the revision is only recorded; the end of the hold releases it. A second preparation of the same head, as after a change of
  // settings, does not restart an aborted rollout.
  const isAgain = source.revisionId === revisionId && (await isWithheld(unit, source));
  if (verdict !== 'invalid' && source.heldAt === null && !isAgain) {
    const policy = policyFor(source, prepared.rolloutPolicy);
    const rollout = await releaseSource(unit, source, { revisionId, commit: prepared.commit.oid, policy });
    if (rollout === null && prepared.perDevice) await convergeBound(unit, source, stale);
    if (rollout === null && moved.length > 0) await convergeDevices(unit, source.organizationId, source.id, moved);
  }
  await recordCheck(tx, source, {
    status: statusOfVerdict(verdict),
    headCommit: prepared.commit.oid,
    error: null,
    failures: 0,
    nextCheckInSeconds:
      source.expectedCommit === null || source.expectedCommit === prepared.commit.oid
        ? pollSeconds(source.pollIntervalSeconds, Math.random())
        : 0.5,
    synced: { commit: hasErrors ? source.preparedCommit : prepared.commit.oid, revisionId },
    arrived: source.expectedCommit === prepared.commit.oid,
  });
  await replanMergeRequests(tx, owner, hasErrors ? source.preparedCommit : prepared.commit.oid);
  // A held source releases nothing, so that its folders stay marked for an evaluation after the hold.
  if (!hasErrors && source.heldAt === null) await clearStale(tx, owner, stale);
  return verdict;
}

/** A repository of one device is valid or invalid. A fleet may be partly valid, unless the source requires all or nothing. */
export function verdictOf(source: Source, prepared: PreparedRevision, hasErrors: boolean, invalidPaths: number): RevisionVerdict {
  if (hasErrors) return 'invalid';
  if (invalidPaths === 0) return 'valid';
  if (source.allOrNothing) return 'invalid';
  return prepared.paths.length > 0 && prepared.paths.every((path) => path.verdict === 'invalid') && prepared.extent === 'full'
    ? 'invalid'
    : 'partial';
}

/** Emits the verdict for the commit's author. */
export function emitVerdict(unit: Unit, source: Source, revisionId: string, verdict: RevisionVerdict, prepared: PreparedRevision): void {
  const invalid = prepared.paths.filter(isBlamed);
  const errors = [...prepared.errors, ...invalid.flatMap((path) => path.errors)];
  unit.emit({
    organizationId: source.organizationId,
    type: verdict === 'valid' ? 'revision.prepared' : 'revision.rejected',
    subject: `source:${source.id}`,
    data: {
      revisionId,
      commit: prepared.commit.oid,
      author: prepared.commit.author.name,
      verdict,
      pathsChanged: prepared.paths.length + prepared.removed.length,
      pathsInvalid: invalid.length,
      errors: errors.slice(0, 5).map((error) => error.message),
    },
  });
}

async function recordVerdict(
  unit: Unit,
  source: Source,
  revisionId: string,
  verdict: RevisionVerdict,
  prepared: PreparedRevision,
): Promise<void> {
  emitVerdict(unit, source, revisionId, verdict, prepared);
  await audit(unit.tx, {
    organizationId: source.organizationId,
    actor: 'controller',
    action: 'revision.prepare',
    subject: `source:${source.id}`,
    outcome: verdict === 'invalid' ? 'refused' : 'ok',
    commitOid: prepared.commit.oid,
    detail: {
      revisionId,
      verdict,
      author: prepared.commit.author.email,
      pathsChanged: prepared.paths.length,
      pathsInvalid: prepared.paths.filter(isBlamed).length,
    },
  });
}

export function commitIsKnown(tx: Db, { organizationId, id }: Source, commit: string): Promise<boolean> {
  return isCommitKnown(tx, { organizationId, sourceId: id }, commit);
}

/** Status of a source by the verdict of its prepared head. */
export async function statusOfRevision(tx: Db, { organizationId, revisionId }: Source): Promise<SourceStatus> {
  const verdict = revisionId === null ? undefined : await verdictOfRevision(tx, organizationId, revisionId);
  return verdict === undefined ? 'new' : statusOfVerdict(verdict);
}

export function statusOfVerdict(verdict: RevisionVerdict): SourceStatus {
  return verdict === 'valid' ? 'ok' : verdict;
}
