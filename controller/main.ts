import { join } from 'node:path';
import { type Closable, closeOnce } from '../src/async/lifecycle.ts';
import { pause } from '../src/async/pause.ts';
import { openShares } from '../src/async/shares.ts';
import type { QueueName } from '../src/db/queue.ts';
import { followingDevices } from '../src/device/fleet-store.ts';
import { transact } from '../src/event/transact.ts';
import { createExternalCommands } from '../src/push/commands.ts';
import { recheckSourcesOf } from '../src/source/store.ts';
import type { Controller } from './context.ts';
import { createJobs } from './jobs.ts';
import { startNotifying } from './notify.ts';
import { createBulkhead } from './reconcile/bulkhead.ts';
import { reconcileDeliveries } from './reconcile/deployment.ts';
import { reconcileIntegration } from './reconcile/integration.ts';
import { type Planning, reconcileMergeRequest } from './reconcile/plan.ts';
import { reconcileRollout } from './reconcile/rollout.ts';
import { reconcileSource } from './reconcile/source.ts';
import { reconcileStatus } from './reconcile/status.ts';
import { reconcileWorkspaces } from './reconcile/workspace.ts';
import { dueRollouts, expire, findDiverged, forgetClones, offline, prune, resync, retry, timeOut } from './sweep/chores.ts';
import { evaluate } from './sweep/evaluate.ts';
import { dueDevices, dueIntegrations, pruneSyncs, staleIntegrations } from './sweep/integrations.ts';
import { createPoll } from './sweep/poll.ts';
import { duePushes } from './sweep/pushes.ts';
import { dueReports } from './sweep/reports.ts';
import { startChores } from './sweep/sweep.ts';
import { startWatching } from './watch.ts';

/** Source jobs in progress in this process. Most of their time they wait for a git host or a preparing thread. */
const SOURCES_AT_ONCE = 32;
/** Jobs in progress for merge requests, and as many for commit statuses: they wait for a git host as well. */
const POSTS_AT_ONCE = 8;
/** Organizations whose deliveries run in parallel. Most of the time they wait for a platform, and one that hangs must not delay the others. */
const DELIVERIES_AT_ONCE = 16;
/** Organizations whose workspaces are written in parallel. */
const WORKSPACES_AT_ONCE = 3;
/** Integrations synced in parallel: they mostly wait for their platforms, and one that hangs must not stop the others. */
const INTEGRATIONS_AT_ONCE = 16;

/** Starts the workers of the queues, the chores and the file watches. `close` announces the shutdown and takes no more work. */
export async function startController(controller: Controller): Promise<Closable> {
  const { queue } = controller.store;
  const ending = new AbortController();
  const bulkhead = createBulkhead({ workers: SOURCES_AT_ONCE });
  controller.hosts.onRecovered((organizationId, origin) => {
    recheckSourcesOf(controller.store.sql, organizationId, origin).catch((error: unknown) => {
      controller.log.warn({ err: error, origin }, 'failed to recheck the sources of a recovered git host; their own back-off checks them');
    });
  });
  const jobs = createJobs(controller);
  const work = (name: QueueName, atOnce: number, handler: (key: string) => Promise<void>) =>
    queue.work(name, atOnce, jobs.counted(name, handler));
  await work('source', SOURCES_AT_ONCE, (id) => reconcileSource(controller, bulkhead, id));
  await work('rollout', 4, (id) => pauseAfter(() => reconcileRollout(controller, id)));
  await work('deployment', DELIVERIES_AT_ONCE, (organizationId) => reconcileDeliveries(controller, organizationId, ending.signal));
  const planning: Planning = { sources: new Set(), shares: openShares(POSTS_AT_ONCE) };
  const statusShares = openShares(POSTS_AT_ONCE);
  await work('merge_request', POSTS_AT_ONCE, (id) => reconcileMergeRequest(controller, planning, id));
  await work('commit_status', POSTS_AT_ONCE, (id) => reconcileStatus(controller, statusShares, id));
  await work('workspace', WORKSPACES_AT_ONCE, (organizationId) => reconcileWorkspaces(controller, organizationId, ending.signal));
  await work('integration', INTEGRATIONS_AT_ONCE, (id) => reconcileIntegration(controller, id, ending.signal));
  const poll = createPoll();
  const commands = createExternalCommands(controller);
  const notifying = await startNotifying(controller);
  const chores = startChores(controller, [
    jobs.chore,
    ...notifying.chores,
    poll,
    resync,
    findDiverged,
    evaluate,
    dueRollouts,
    duePushes,
    { name: 'external-commands', everySeconds: 1, run: commands.runOnce },
    dueReports,
    offline,
    forgetClones,
    expire,
    timeOut,
    retry,
    prune,
    dueIntegrations,
    dueDevices,
    staleIntegrations,
    pruneSyncs,
  ]);
  const watching = await startWatching(controller, join(controller.config.DATA_DIR, 'workspaces'));
  await announce(controller, 'service.watching');
  return {
    close: closeOnce(async () => {
      ending.abort();
      await announceShutdown(controller).catch((error: unknown) =>
        controller.log.warn({ err: error }, 'failed to announce shutdown to live connections; shutdown continues'),
      );
      await Promise.all([chores.close(), notifying.close(), commands.close()]);
      await watching.close();
    }),
  };
}

const LARGE_ROLLOUT = 2_000;
/** Pause after a reconcile, as a multiple of its duration: reconciling takes at most half of the worker, for large rollouts a sixth. */
const PAUSE_FACTOR = 1;
const LARGE_PAUSE_FACTOR = 5;
const MAX_PAUSE_MS = 3_000;

/**
 * Pauses after the work. The cost of a reconcile grows with the rollout's devices, and each batch of their reports enqueues another one.
 * @param work returns the number of devices
 */
async function pauseAfter(work: () => Promise<number>): Promise<void> {
  const started = performance.now();
  const devices = await work();
  const factor = devices < LARGE_ROLLOUT ? PAUSE_FACTOR : LARGE_PAUSE_FACTOR;
  await pause(Math.min(MAX_PAUSE_MS, factor * (performance.now() - started)));
}

/** Devices stay watched as long as another instance runs: only the last one announces the end. */
async function announceShutdown(controller: Controller): Promise<void> {
  if (!(await controller.store.queue.announceShutdown())) await announce(controller, 'service.not_watching');
}

/** Devices per event, to limit its size. */
const CHUNK = 1_000;

/** Emits which devices the service begins or ceases to watch. */
async function announce({ store }: Controller, type: 'service.watching' | 'service.not_watching'): Promise<void> {
  const groups = await followingDevices(store.sql, CHUNK);
  await transact(store, async ({ emit }) => {
    for (const { organizationId, ids } of groups) emit({ organizationId, type, subject: 'service:controller', data: { deviceIds: ids } });
  });
}
