import { isDatabaseAway, isDatabaseOutage } from '../src/db/away.ts';
import { clearJobFailure, FAILURES_TO_SHOW, type JobFailure, jobFailures, noteJobFailure } from '../src/db/job-failures-store.ts';
import type { QueueName } from '../src/db/queue.ts';
import { messageOf } from '../src/errors.ts';
import { transact } from '../src/event/transact.ts';
import type { Controller } from './context.ts';
import { DevicesFailed } from './devices-failed.ts';
import { showFailure, showRecovery } from './show-failure.ts';
import type { Chore } from './sweep/sweep.ts';

/** Failing jobs that a process keeps in memory. */
const MAX_KNOWN = 10_000;

type Handler = (key: string) => Promise<void>;

/**
 * Counts the failures of jobs. Reconcilers record expected failures themselves. All other errors are counted here, so that no error of this service is
 * retried endlessly without a record. The third failure in a row is recorded on the job's subject; later tries back off.
 */
export type Jobs = {
  counted(queue: QueueName, handler: Handler): Handler;
  /** Enqueues failed jobs whose pause is over. */
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
      // The queue retries at once. After enough failures the job backs off instead.
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
  // An outage of the database does not count as a failure of the job.
  if (isDatabaseOutage(error)) return undefined;
  try {
    const deviceIds = error instanceof DevicesFailed ? error.deviceIds : null;
    const noted = await noteJobFailure(store.sql, { queue, key }, { text: messageOf(error), deviceIds }, Math.random());
    if (noted.failures >= FAILURES_TO_SHOW) {
      log.error(
        { queue, key, err: error, ...noted },
        `failed to run job ${noted.failures} times in a row; the next try is in ${noted.retryInSeconds} s`,
      );
      await showFailure(controller, queue, key, { error, ...noted });
    }
    return noted.failures;
  } catch (cause) {
    log[isDatabaseAway(cause) ? 'debug' : 'error'](
      { queue, key, err: cause },
      'failed to record a failed job; its next failure counts again',
    );
    return undefined;
  }
}

async function recover(controller: Controller, queue: QueueName, key: string): Promise<void> {
  controller.log.info({ queue, key }, 'job recovered');
  await showRecovery(controller, queue, key).catch((error: unknown) => {
    controller.log.warn({ queue, key, err: error }, 'failed to record that a job recovered; its failure stays visible');
  });
}
