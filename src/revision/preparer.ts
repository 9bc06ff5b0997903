import { Piscina } from 'piscina';
import { Problem } from '../errors.ts';
import type { PreparedRevision } from './revision.ts';
import type { PrepareResult, PrepareTask } from './worker.ts';

/** Worker threads that fetch, read and validate commits, so that the API's event loop stays free and a task that runs wild can be ended. */
export type Preparer = {
  /** @throws Problem as the Git functions; `prepare_timeout` when it took longer than its deadline allows, and the thread was ended */
  prepare(task: PrepareTask): Promise<{ prepared: PreparedRevision; fetchMs: number; buildMs: number }>;
  close(): Promise<void>;
};

const BUILD_LIMIT_MS = 30_000;

/** @param buildLimitMs what a task may take beyond its fetch's own deadline, for reading and validating */
export function openPreparer(threads: number, buildLimitMs = BUILD_LIMIT_MS): Preparer {
  const pool = new Piscina<PrepareTask, PrepareResult>({
    filename: new URL('worker.ts', import.meta.url).href,
    name: 'prepare',
    minThreads: 1,
    maxThreads: threads,
    idleTimeout: 60_000,
    // A worker that outgrows this is ended alone; the service stays.
    resourceLimits: { maxOldGenerationSizeMb: 2_048 },
  });
  return {
    prepare: async (task) => {
      const limit = AbortSignal.timeout(task.deadlineMs + buildLimitMs);
      const result = await pool.run(task, { signal: limit }).catch((cause: unknown) => {
        if (!limit.aborted)
          throw new Problem('prepare_failed', `Cannot prepare ${task.commit.slice(0, 12)} of "${task.url}": the worker ended`, {
            retry: 'backoff',
            cause,
          });
        throw new Problem(
          'prepare_timeout',
          `Cannot prepare ${task.commit.slice(0, 12)} of "${task.url}": it took longer than ${(task.deadlineMs + buildLimitMs) / 1000} s`,
          { retry: 'backoff', cause },
        );
      });
      if ('failed' in result)
        throw new Problem(result.failed.code, result.failed.message, { retry: result.failed.retry, status: result.failed.status });
      return result;
    },
    close: () => pool.close({ force: true }),
  };
}
