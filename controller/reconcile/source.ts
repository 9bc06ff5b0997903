import { atLeast } from '../../src/async/backoff.ts';
import { messageOf, Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import { faultPoint } from '../../src/faults.ts';
import { redirectOf } from '../../src/git/protocol/protocol.ts';
import { listRefs, refPrefixes, resolveRef } from '../../src/git/protocol/refs.ts';
import { parseRemote, type Remote } from '../../src/git/remote.ts';
import { retryMergeRequests } from '../../src/plan/store.ts';
import { prepareCommit } from '../../src/prepare/prepare-commit.ts';
import { stalePaths } from '../../src/revision/stale-paths-store.ts';
import { dependenciesOf } from '../../src/revision/store.ts';
import { openCredentials } from '../../src/source/credentials.ts';
import { expectedIsReplaced } from '../../src/source/deliveries-store.ts';
import {
  backoffSeconds,
  EXPECT_RETRY_SECONDS,
  isSteady,
  pollSeconds,
  putOffSeconds,
  type Source,
  type SourceStatus,
} from '../../src/source/source.ts';
import { type CheckOutcome, noteMoved, putOffCheck, recordCheck, recordFailedCheck, sourceById } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import type { Bulkhead } from './bulkhead.ts';
import { evaluateAgain } from './evaluate.ts';
import { commitIsKnown, statusOfRevision, storeRevision } from './revision.ts';

/**
 * Brings what is known of a source up to its remote: lists its refs; when the head moved, fetches, prepares and stores the commit and wakes
 * the rollout. Every outcome, good or bad, is written on the source with the time of the next look.
 */
export async function reconcileSource(controller: Controller, bulkhead: Bulkhead, id: string): Promise<void> {
  const source = await sourceById(controller.store.sql, id);
  // A host that named a time is not asked before it, whoever woke the source.
  if (source === undefined || source.isQuiet) return;
  const started = performance.now();
  const log = controller.log.child({ sourceId: id });
  try {
    const through = await bulkhead.run(source, source.failures > 0, (signal) => sync(controller, source, started, signal));
    if (!through) return await putOffCheck(controller.store.sql, source.id, putOffSeconds(Math.random()));
    log.debug({ durationMs: Math.round(performance.now() - started) }, 'source checked');
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    await recordFailure(controller, source, error);
    log.warn({ code: error.code, durationMs: Math.round(performance.now() - started) }, `source check failed: ${messageOf(error)}`);
  }
}

/** @param signal ends waiting for the host, not the work that follows */
async function sync(controller: Controller, source: Source, started: number, signal: AbortSignal | undefined): Promise<void> {
  const { config } = controller;
  const queued = queueTime(source);
  const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  const head = await lookUpHead(controller, source, remote, signal);
  if (head.movedTo !== source.movedTo) await noteMoved(controller.store.sql, source.id, head.movedTo);
  const listedMs = Math.round(performance.now() - started);
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  const stale = await stalePaths(controller.store.sql, owner);
  if (head.oid === source.headCommit) {
    await recordUnchanged(controller, source, head.oid);
    const { preparedCommit } = source;
    if (stale.isDue && source.heldAt === null && head.oid === preparedCommit)
      await evaluateAgain(controller, { ...source, preparedCommit }, head.name, stale.paths, signal);
    return;
  }
  const previous =
    source.layout === 'repo' || source.preparedCommit === null
      ? null
      : { commit: source.preparedCommit, dependencies: await dependenciesOf(controller.store.sql, source.organizationId, source.id) };
  const result = await prepareCommit(
    controller,
    source,
    { ref: head.name, commit: head.oid, previous, stale: stale.paths.map(({ path }) => path) },
    { mirror: source.id, deadlineMs: config.GIT_TIMEOUT_SECONDS * 1000, signal },
  );
  const timings = { ...queued, refsMs: listedMs, fetchMs: result.fetchMs, buildMs: result.buildMs };
  faultPoint('before_revision_stored');
  await storeRevision(controller, source, head.name, result.prepared, timings, stale.paths);
  faultPoint('after_revision_stored');
}

/** How long the hook that woke the source waited for a worker; nothing when no hook did. */
function queueTime(source: Source): { queueMs?: number } {
  const { hookReceivedAt, lastCheckedAt } = source;
  if (hookReceivedAt === null || (lastCheckedAt !== null && lastCheckedAt > hookReceivedAt)) return {};
  return { queueMs: Math.max(0, Date.now() - hookReceivedAt.getTime()) };
}

/** What the source's ref stands for at the remote now. */
export async function lookUpHead(
  controller: Pick<Controller, 'hosts' | 'guard' | 'config' | 'box' | 'metrics'>,
  source: Source,
  remote: Remote,
  signal?: AbortSignal,
): Promise<{ name: string; oid: string; movedTo: string | null }> {
  const started = performance.now();
  const call = {
    prefixes: refPrefixes(source.ref),
    credentials: openCredentials(controller.box, source),
    guard: controller.guard,
    deadlineMs: Math.min(controller.config.GIT_TIMEOUT_SECONDS, 30) * 1000,
    signal,
  };
  try {
    const refs = await controller.hosts.run(remote, source, () => listRefs(remote, call), signal);
    controller.metrics.gitRequest('list_refs', 'ok', performance.now() - started);
    return { ...resolveRef(refs, source.ref), movedTo: remote.kind === 'http' ? redirectOf(remote) : null };
  } catch (error) {
    if (error instanceof Problem) controller.metrics.gitRequest('list_refs', error.code, performance.now() - started);
    throw error;
  }
}

async function recordUnchanged(controller: Controller, source: Source, head: string): Promise<void> {
  const { sql } = controller.store;
  const arrived =
    source.expectedCommit === null || source.expectedCommit === head || (await commitIsKnown(sql, source, source.expectedCommit));
  const isLate = !arrived && (await isLeftBehind(controller, source, head));
  const waiting = !arrived && !isLate && source.expectedUntil !== null && source.expectedUntil > new Date();
  const status: SourceStatus = waiting ? 'waiting' : isSteady(source.status) ? source.status : await statusOfRevision(sql, source);
  const regularSeconds = pollSeconds(source.pollIntervalSeconds, Math.random());
  const outcome: CheckOutcome = {
    status,
    error: null,
    failures: 0,
    nextCheckInSeconds: waiting ? EXPECT_RETRY_SECONDS : isLate ? Math.min(LATE_CHECK_SECONDS, regularSeconds) : regularSeconds,
    arrived: !waiting,
  };
  // Most looks find nothing new: they cost one statement.
  if (status === source.status) return recordCheck(sql, source, outcome);
  await transact(controller.store, async ({ tx, emit }) => {
    await recordCheck(tx, source, outcome);
    if (isSteady(status)) await retryMergeRequests(tx, { organizationId: source.organizationId, sourceId: source.id });
    emit({ organizationId: source.organizationId, type: 'source.synced', subject: `source:${source.id}`, data: { status, commit: head } });
  });
}

/** A late hook's source is checked once more after this, in case the host showed an old state. */
const LATE_CHECK_SECONDS = 5;

/**
 * Whether the hook came late: the remote has moved past the commit that it names, as after a force-push, and will not show it any more. Either another
 * hook replaced that commit, or the remote shows neither it nor what it replaced, which was the head here before.
 */
async function isLeftBehind({ store: { sql } }: Controller, source: Source, head: string): Promise<boolean> {
  if (await expectedIsReplaced(sql, source)) return true;
  const { expectedBefore } = source;
  return expectedBefore !== null && expectedBefore !== head && (await commitIsKnown(sql, source, expectedBefore));
}

/** A remote without the ref is no fault of the host: it is asked again at the usual pace. Anything else backs off. */
function outcomeOf(source: Source, error: Problem): CheckOutcome {
  const told = { code: error.code, detail: error.message };
  if (error.code === 'ref_missing' || error.code === 'repository_empty') {
    const status = error.code === 'ref_missing' ? 'ref_missing' : 'empty';
    const waiting = source.expectedUntil !== null && source.expectedUntil > new Date();
    const nextCheckInSeconds = waiting ? EXPECT_RETRY_SECONDS : pollSeconds(source.pollIntervalSeconds, Math.random());
    // The same commit under a recreated ref is looked at anew.
    return { status, headCommit: null, error: told, failures: 0, nextCheckInSeconds, arrived: false };
  }
  const failures = source.failures + 1;
  // A host that names a time is not asked before it.
  const quietSeconds = error.retryAfterSeconds;
  const nextCheckInSeconds = Math.max(backoffSeconds(failures, Math.random()), atLeast(quietSeconds ?? 0));
  return { status: 'failing', error: told, failures, nextCheckInSeconds, quietSeconds, arrived: false };
}

/** Writes what a look at the source came to, with the time of the next, and tells it when it is another than before. */
export async function recordFailure(controller: Controller, source: Source, error: Problem): Promise<void> {
  const outcome = outcomeOf(source, error);
  await transact(controller.store, async ({ tx, emit }) => {
    const counts = await recordFailedCheck(tx, source, outcome);
    if (!counts || (outcome.status === source.status && error.code === source.errorCode)) return;
    emit({
      organizationId: source.organizationId,
      type: 'source.failed',
      subject: `source:${source.id}`,
      data: { status: outcome.status, code: error.code, detail: error.message, nextCheckInSeconds: Math.round(outcome.nextCheckInSeconds) },
    });
  });
}
