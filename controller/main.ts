import { join } from 'node:path';
import { type Closable, closeOnce } from '../src/async/lifecycle.ts';
import { pause } from '../src/async/pause.ts';
import { openShares } from '../src/async/shares.ts';
import type { QueueName } from '../src/db/queue.ts';
import { followingDevices } from '../src/device/fleet-store.ts';
import { transact } from '../src/event/transact.ts';
import { recheckSourcesOf } from '../src/source/store.ts';
import type { Controller } from './context.ts';
import { createJobs } from './jobs.ts';
import { startNotifying } from './notify.ts';
import { createBulkhead } from './reconcile/bulkhead.ts';
import { reconcileDeliveries } from './reconcile/deployment.ts';
import { type Planning, reconcileMergeRequest } from './reconcile/plan.ts';
import { reconcileRollout } from './reconcile/rollout.ts';
import { reconcileSource } from './reconcile/source.ts';
import { reconcileStatus } from './reconcile/status.ts';
import { reconcileWorkspaces } from './reconcile/workspace.ts';
import { dueRollouts, expire, findDiverged, forgetClones, offline, prune, resync, retry, timeOut } from './sweep/chores.ts';
import { evaluate } from './sweep/evaluate.ts';
import { createPoll } from './sweep/poll.ts';
import { dueReports } from './sweep/reports.ts';
import { startChores } from './sweep/sweep.ts';
import { startWatching } from './watch.ts';

/** Source keys handled at once in this process: most of their time they wait for a git host or for a preparing thread. */
const SOURCES_AT_ONCE = 32;
/** Merge requests and commit statuses, each: they wait for a git host as well. */
const POSTS_AT_ONCE = 8;
/** Organizations whose workspaces are written at once. */
const WORKSPACES_AT_ONCE = 3;

/** Starts what happens over time: the workers of the queues, the chores, the watching. `close` takes no more work and announces it. */
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
  await work('rollout', 4, (id) => restAfter(() => reconcileRollout(controller, id)));
  await work('deployment', 2, (organizationId) => reconcileDeliveries(controller, organizationId));
  const planning: Planning = { sources: new Set(), shares: openShares(POSTS_AT_ONCE) };
  const statusShares = openShares(POSTS_AT_ONCE);
  await work('merge_request', POSTS_AT_ONCE, (id) => reconcileMergeRequest(controller, planning, id));
  await work('commit_status', POSTS_AT_ONCE, (id) => reconcileStatus(controller, statusShares, id));
  await work('workspace', WORKSPACES_AT_ONCE, (organizationId) => reconcileWorkspaces(controller, organizationId, ending.signal));
  const poll = createPoll();
  const notifying = await startNotifying(controller);
  const chores = startChores(controller, [
    jobs.chore,
    ...notifying.chores,
    poll,
    resync,
    findDiverged,
    evaluate,
    dueRollouts,
    dueReports,
    offline,
    forgetClones,
    expire,
    timeOut,
    retry,
    prune,
  ]);
  const watching = await startWatching(controller, join(controller.config.DATA_DIR, 'workspaces'));
  await announce(controller, 'service.watching');
  return {
    close: closeOnce(async () => {
      ending.abort();
      await sayGoodbye(controller).catch((error: unknown) =>
        controller.log.warn({ err: error }, 'failed to announce shutdown to live connections'),
      );
      await Promise.all([chores.close(), notifying.close()]);
      await watching.close();
    }),
  };
}

const LARGE_ROLLOUT = 2_000;
/** Times the work: of a small rollout, and of a large one, whose looks would otherwise take from its devices' work as much as they last. */
const REST = 1;
const LONG_REST = 5;
const MAX_REST_MS = 3_000;

/**
 * Does not end before it has rested: a look at a rollout costs as much as it has devices, and each batch of their reports asks for another one.
 * @param work tells of how many devices it was
 */
async function restAfter(work: () => Promise<number>): Promise<void> {
  const started = performance.now();
  const devices = await work();
  const times = devices < LARGE_ROLLOUT ? REST : LONG_REST;
  await pause(Math.min(MAX_REST_MS, times * (performance.now() - started)));
}

/** As long as another instance watches, its devices are watched. */
async function sayGoodbye(controller: Controller): Promise<void> {
  if (!(await controller.store.queue.announceShutdown())) await announce(controller, 'service.not_watching');
}

/** Devices named per event: bounds its size. */
const CHUNK = 1_000;

/** Tells listeners which devices begin or cease to be watched. */
async function announce({ store }: Controller, type: 'service.watching' | 'service.not_watching'): Promise<void> {
  const groups = await followingDevices(store.sql, CHUNK);
  await transact(store, async ({ emit }) => {
    for (const { organizationId, ids } of groups) emit({ organizationId, type, subject: 'service:controller', data: { deviceIds: ids } });
  });
}
