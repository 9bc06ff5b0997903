import { isDatabaseAway, isDatabaseOutage } from '../src/db/away.ts';
import { clearJobFailure, FAILURES_TO_SHOW, type JobFailure, jobFailures, noteJobFailure } from '../src/db/job-failures-store.ts';
import type { QueueName } from '../src/db/queue.ts';
import { messageOf } from '../src/errors.ts';
import { transact } from '../src/event/transact.ts';
import type { Controller } from './context.ts';
import { DevicesFailed } from './devices-failed.ts';
import { showFailure, showRecovery } from './show-failure.ts';
import type { Chore } from './sweep/sweep.ts';

/** Failing jobs that a process knows at once. */
const MAX_KNOWN = 10_000;

type Handler = (key: string) => Promise<void>;

/**
 * Counts the failures of jobs. Reconcilers record what they expect to fail; this is for everything else, so that no error of this service is
 * retried without end and unseen. The third failure in a row is shown on the job's subject, and from then on the job rests between its tries.
 */
export type Jobs = {
  counted(queue: QueueName, handler: Handler): Handler;
  /** Enqueues the jobs whose rest is over. */
  chore: Chore;
};

export function createJobs(controller: Controller): Jobs {
  const known = new Map<string, JobFailure>();
  const handle = async (queue: QueueName, key: string, handler: Handler): Promise<void> => {
    const name = `${queue} ${key}`;
    const before = known.get(name);
    if (before !== undefined && before.failures >= FAILURES_TO_SHOW && !before.isDue) return;
    try {
      await handler(key);
    } catch (error) {
      const failures = await record(controller, queue, key, error);
      if (failures !== undefined) known.set(name, { queue, key, failures, isDue: false });
      // The queue tries a job again at once until it has failed often enough.
      if (failures === undefined || failures < FAILURES_TO_SHOW) throw error;
      return;
    }
    if (before === undefined) return;
    known.delete(name);
    if ((await clearJobFailure(controller.store.sql, queue, key)) >= FAILURES_TO_SHOW) await recover(controller, queue, key);
  };
  return {
    counted: (queue, handler) => (key) => handle(queue, key, handler),
    chore: {
      name: 'retry-jobs',
      everySeconds: 1,
      run: async ({ store }) => {
        const found = await jobFailures(store.sql, MAX_KNOWN);
        known.clear();
        for (const failure of found) known.set(`${failure.queue} ${failure.key}`, failure);
        const due = found.filter((failure) => failure.isDue);
        if (due.length === 0) return;
        await transact(store, async ({ enqueue }) => {
          for (const { queue, key } of due) enqueue(queue, key);
        });
      },
    },
  };
}

/** @returns how often the job has failed now; undefined where that could not be recorded */
async function record(controller: Controller, queue: QueueName, key: string, error: unknown): Promise<number | undefined> {
  const { store, metrics, log } = controller;
  metrics.jobFailed(queue);
  // The database's own outage is no failure of the job.
  if (isDatabaseOutage(error)) return undefined;
  try {
    const deviceIds = error instanceof DevicesFailed ? error.deviceIds : null;
    const noted = await noteJobFailure(store.sql, { queue, key }, { text: messageOf(error), deviceIds }, Math.random());
    if (noted.failures >= FAILURES_TO_SHOW) {
      log.error({ queue, key, err: error, ...noted }, `job failed ${noted.failures} times; the next try is in ${noted.retryInSeconds} s`);
      await showFailure(controller, queue, key, { error, ...noted });
    }
    return noted.failures;
  } catch (cause) {
    log[isDatabaseAway(cause) ? 'debug' : 'error']({ queue, key, err: cause }, 'failed to record that a job failed');
    return undefined;
  }
}

async function recover(controller: Controller, queue: QueueName, key: string): Promise<void> {
  controller.log.info({ queue, key }, 'job recovered');
  await showRecovery(controller, queue, key).catch((error: unknown) => {
    controller.log.warn({ queue, key, err: error }, 'failed to record that a job recovered');
  });
}
