import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { startDeadline } from '../async/deadline.ts';
import { closeOnce } from '../async/lifecycle.ts';
import { openTurns, type TurnOwner } from '../async/turns.ts';
import { Problem } from '../errors.ts';
import { type Queries, serveQueries } from './queries.ts';
import { startTaskLimit } from './task-limit.ts';
import type { CommitFile, Prepared, PrepareFailure, PrepareResult, PrepareTask, ReadFileTask } from './worker.ts';

/** Worker threads that read and validate commits. The API's event loop stays free, and a task without end can be stopped. */
export type Preparer = {
  /**
   * Waits for its owner's turn, as long as it takes. The deadline runs from the start on the thread. It is the one limit by the wall clock:
   * a commit that exceeds it gets no verdict, and is tried again.
   * @param begin called when the turn has come; an error of it ends the turn
   * @throws Problem as `openCommitAt`; `prepare_timeout` when the deadline passed and the thread was ended; what a query throws
   */
  prepare(owner: TurnOwner, task: Omit<PrepareTask, 'queries'>, queries?: Queries, begin?: () => Promise<void>): Promise<Prepared>;
  /** Reads one file of a commit that is on the disk. @throws Problem as `openCommitAt`; `prepare_timeout` after `deadlineMs` */
  readFile(owner: TurnOwner, task: ReadFileTask, deadlineMs: number): Promise<CommitFile>;
  close(): Promise<void>;
};

const BUILD_LIMIT_MS = 30_000;
/** Threads whose heap has grown to this are replaced: it would not shrink again for as long as they live. A new one has 40 MB. */
const LARGE_HEAP_BYTES = 64 * 1024 * 1024;

/** While others are present, an organization uses about a tenth of a processor for slow folders: after them it rests so many times as long. */
const REST_TIMES = 9;
const MAX_REST_MS = 30_000;

/** So long after its last commit a thread collects garbage. */
const REST_MS = 5_000;

/**
 * @param threads turns of one organization at once; one further thread serves organizations that have none running
 * @param buildLimitMs what a task may take beyond its `deadlineMs`, for building and validating
 */
export function openPreparer(threads: number, buildLimitMs = BUILD_LIMIT_MS): Preparer {
  const open = () =>
    new Piscina<PrepareTask, PrepareResult>({
      filename: new URL('worker.ts', import.meta.url).href,
      name: 'prepare',
      minThreads: 1,
      // The turns bound them: one more than `threads`.
      maxThreads: threads + 1,
      idleTimeout: 60_000,
      // A worker that outgrows this is ended alone; the service stays. What it makes lives long: a large young generation would only be copied.
      resourceLimits: { maxOldGenerationSizeMb: 2_048, maxYoungGenerationSizeMb: 24 },
    });
  const turns = openTurns(threads);
  let pool = open();
  const closing = new Set<Promise<void>>();
  const replaceThreads = () => {
    const closed: Promise<void> = pool.close().finally(() => closing.delete(closed));
    closing.add(closed);
    pool = open();
  };
  const runOnThread = async (task: PrepareTask): Promise<Prepared> => {
    const limitMs = task.deadlineMs + buildLimitMs;
    const isSlow = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const limit = startTaskLimit(limitMs, isSlow);
    const transferList = task.queries === undefined ? [] : [task.queries];
    const result = await pool
      .run({ ...task, limitMs, isSlow }, { signal: limit.signal, transferList })
      .catch((cause: unknown) => {
        if (!limit.isOver())
          throw new Problem('prepare_failed', `Cannot prepare ${task.commit.slice(0, 12)} of "${task.path}": the worker ended`, { cause });
        throw new Problem(
          'prepare_timeout',
          `Cannot prepare ${task.commit.slice(0, 12)} of "${task.path}": it took longer than ${limit.limitMs() / 1000} s`,
          { cause },
        );
      })
      .finally(limit.clear);
    if (result.heapBytes > LARGE_HEAP_BYTES || result.staysSlow) replaceThreads();
    if ('failed' in result) {
      const { code, message, retry, status } = result.failed;
      throw new Problem({ received: code }, message, { retry, status });
    }
    return result;
  };
  let running = 0;
  let resting: NodeJS.Timeout | undefined;
  const collectGarbage = () => {
    pool.run(undefined as never, { name: 'collectGarbage' }).catch(() => undefined);
  };
  const run = async (task: PrepareTask): Promise<Prepared> => {
    clearTimeout(resting);
    running += 1;
    try {
      return await runOnThread(task);
    } finally {
      running -= 1;
      if (running === 0) resting = setTimeout(collectGarbage, REST_MS).unref();
    }
  };
  return {
    prepare: (owner, task, queries, begin) =>
      turns.run(owner, async (rest) => {
        await begin?.();
        const result = await (queries === undefined ? run(task) : asked(queries, (port) => run({ ...task, queries: port })));
        rest(Math.min(MAX_REST_MS, REST_TIMES * result.slowMs));
        return result;
      }),
    readFile: (owner, task, deadlineMs) => turns.run(owner, () => readFileOn(pool, task, deadlineMs)),
    close: closeOnce(async () => {
      clearTimeout(resting);
      await Promise.all([pool.close({ force: true }), ...closing]);
    }),
  };
}

async function readFileOn(pool: Piscina<PrepareTask, PrepareResult>, task: ReadFileTask, deadlineMs: number): Promise<CommitFile> {
  const limit = startDeadline(deadlineMs);
  const result: CommitFile | PrepareFailure = await pool
    .run(task as never, { name: 'readCommitFile', signal: limit.signal })
    .then((found) => found as unknown as CommitFile | PrepareFailure)
    .catch((cause: unknown) => {
      if (!limit.isOver()) throw new Problem('prepare_failed', `Cannot read "${task.file}": the worker ended`, { cause });
      throw new Problem('prepare_timeout', `Cannot read "${task.file}": it took longer than ${deadlineMs / 1000} s`, { cause });
    })
    .finally(limit.clear);
  if (!('failed' in result)) return result;
  const { code, message, retry, status } = result.failed;
  throw new Problem({ received: code }, message, { retry, status });
}

/** Answers queries while `run` lasts. A failed query is the error of the whole task, because the thread only knows that no answer came. */
async function asked<T>(queries: Queries, run: (port: MessagePort) => Promise<T>): Promise<T> {
  const { port1, port2 } = new MessageChannel();
  const failures: unknown[] = [];
  serveQueries(port1, queries, (error) => failures.push(error));
  try {
    return await run(port2);
  } catch (error) {
    throw failures.length === 0 ? error : failures[0];
  } finally {
    port1.close();
  }
}
