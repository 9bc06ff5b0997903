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
 * Checks a source: lists the refs of its remote. If the head changed, fetches, prepares and stores the commit and wakes the rollout. Every outcome is
 * recorded on the source with the time of the next check.
 */
export async function reconcileSource(controller: Controller, bulkhead: Bulkhead, id: string): Promise<void> {
  const source = await sourceById(controller.store.sql, id);
  // The host asked for a pause, which applies to every wake-up.
  if (source === undefined || source.isQuiet) return;
  const started = performance.now();
  const log = controller.log.child({ sourceId: id });
  try {
    const through = await bulkhead.run(source, source.failures > 0, (signal) => sync(controller, source, started, signal));
    if (!through) return await putOffCheck(controller.store.sql, source.id, putOffSeconds(Math.random()));
    log.debug({ durationMs: Math.round(performance.now() - started) }, 'source checked');
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if ((await sourceById(controller.store.sql, id)) === undefined) return log.debug('the source was removed during its check');
    await recordFailure(controller, source, error);
    log.warn(
      { code: error.code, durationMs: Math.round(performance.now() - started) },
      `failed to check source; the next check is scheduled: ${messageOf(error)}`,
    );
  }
}

/** @param signal ends the wait for the host, not the work after it */
async function sync(controller: Controller, source: Source, started: number, signal: AbortSignal | undefined): Promise<void> {
  const { config } = controller;
  const queued = queueTime(source);
  const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  const head = await resolveHead(controller, source, remote, signal);
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

/** Time between the hook that woke the source and this check; empty if no hook did. */
function queueTime(source: Source): { queueMs?: number } {
  const { hookReceivedAt, lastCheckedAt } = source;
  if (hookReceivedAt === null || (lastCheckedAt !== null && lastCheckedAt > hookReceivedAt)) return {};
  return { queueMs: Math.max(0, Date.now() - hookReceivedAt.getTime()) };
}

/** Resolves the source's ref at the remote. */
export async function resolveHead(
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
  const isLate = !arrived && (await isHookOutdated(controller, source, head));
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
  // Most checks find no change: they cost one statement.
  if (status === source.status) return recordCheck(sql, source, outcome);
  await transact(controller.store, async ({ tx, emit }) => {
    await recordCheck(tx, source, outcome);
    if (isSteady(status)) await retryMergeRequests(tx, { organizationId: source.organizationId, sourceId: source.id });
    emit({ organizationId: source.organizationId, type: 'source.synced', subject: `source:${source.id}`, data: { status, commit: head } });
  });
}

/** After an outdated hook the source is checked once more after this time, in case the host showed an old state. */
const LATE_CHECK_SECONDS = 5;

/**
 * Whether the hook's commit is outdated: the remote has moved past it, as after a force-push, and will not show it any more. Either another hook replaced
 * that commit, or the remote shows neither that commit nor the previous head, which is known here.
 */
async function isHookOutdated({ store: { sql } }: Controller, source: Source, head: string): Promise<boolean> {
  if (await expectedIsReplaced(sql, source)) return true;
  const { expectedBefore } = source;
  return expectedBefore !== null && expectedBefore !== head && (await commitIsKnown(sql, source, expectedBefore));
}

/** A missing ref is no failure of the host: the next check is at the usual interval. Any other failure backs off. */
function outcomeOf(source: Source, error: Problem): CheckOutcome {
  const reported = { code: error.code, detail: error.message };
  if (error.code === 'ref_missing' || error.code === 'repository_empty') {
    const status = error.code === 'ref_missing' ? 'ref_missing' : 'empty';
    const waiting = source.expectedUntil !== null && source.expectedUntil > new Date();
    const nextCheckInSeconds = waiting ? EXPECT_RETRY_SECONDS : pollSeconds(source.pollIntervalSeconds, Math.random());
    // Without a stored head, the same commit under a recreated ref is checked again.
    return { status, headCommit: null, error: reported, failures: 0, nextCheckInSeconds, arrived: false };
  }
  const failures = source.failures + 1;
  // The host asked for a pause.
  const quietSeconds = error.retryAfterSeconds;
  const nextCheckInSeconds = Math.max(backoffSeconds(failures, Math.random()), atLeast(quietSeconds ?? 0));
  return { status: 'failing', error: reported, failures, nextCheckInSeconds, quietSeconds, arrived: false };
}

/** Records a failed check with the time of the next one, and emits an event if the failure is new. */
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
