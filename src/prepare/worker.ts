import { constants, getPriority, setPriority } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { isMainThread, type MessagePort } from 'node:worker_threads';
import { Problem, retryOf } from '../errors.ts';
import { DEFAULT_LIMITS } from '../git/limits.ts';
import { openCommitAt } from '../git/mirror/local-source.ts';
import type { TreeEntry } from '../git/pack/object-source.ts';
import { openHeap } from '../heap.ts';
import type { Layout, PreparedRevision, PreviousRevision } from '../revision/revision.ts';
import type { Retry } from '../wire/errors.ts';
import { prepareRevision } from './prepare.ts';
import { queriesThrough } from './queries.ts';

/** Runs on a worker thread: reads, builds and validates a commit that is on the disk. Everything in and out can be cloned between threads. */
export type PrepareTask = {
  /** The folder that `download` returned. */
  path: string;
  ref: string;
  commit: string;
  layout: Layout;
  previous: PreviousRevision;
  /** See `PrepareOptions`, as the next ones. */
  only?: string;
  stale?: readonly string[];
  provenance?: boolean;
  sourceName?: string;
  /** Answers `PrepareOptions.queries`. */
  queries?: MessagePort;
  /** For reading the commit from the disk; see `openPreparer`. */
  deadlineMs: number;
  /** After it the thread is ended. */
  limitMs?: number;
  /** Becomes 1 while the thread works with a low priority, so that its time by the wall clock says little. */
  isSlow?: Int32Array;
};

/** An error on its way between threads, where classes do not survive. */
export type PrepareFailure = { failed: { code: string; message: string; retry: Retry; status: number } };
export type PrepareResult = (Prepared | PrepareFailure) & {
  /** Size of the thread's heap after the task, used or not. */
  heapBytes: number;
  /** The thread may not raise its priority again. */
  staysSlow: boolean;
};
/** `slowMs`: processor time that slow folders and schemas used. */
export type Prepared = { prepared: PreparedRevision; fetchMs: number; buildMs: number; slowMs: number };

export async function prepare(task: PrepareTask): Promise<PrepareResult> {
  const outcome = await openAndPrepare(task).catch(describe);
  task.queries?.close();
  return { ...outcome, heapBytes: getHeapStatistics().total_heap_size, staysSlow: !regainPriority() };
}

/** A thread of normal priority gets nine times as much of a processor as one of this priority that wants it too. */
const SLOW_PRIORITY = 10;
/** Only Linux has priorities of single threads: elsewhere they concern the whole process (setpriority(2), "C library/kernel differences"). */
const HAS_PRIORITIES = !isMainThread && process.platform === 'linux';
const USUAL_PRIORITY = getPriority();

/**
 * Work that turns out to be slow goes on with a low priority. Requests, the database and the commits of others do not wait for it then. Nearly all
 * commits keep the usual priority.
 */
function losePriority(isSlow: Int32Array | undefined): void {
  if (!HAS_PRIORITIES || isSlow === undefined) return;
  setPriority(Math.min(constants.priority.PRIORITY_LOW, USUAL_PRIORITY + SLOW_PRIORITY));
  Atomics.store(isSlow, 0, 1);
}

/** @returns false where this process may only lower priorities */
function regainPriority(): boolean {
  if (!HAS_PRIORITIES || getPriority() === USUAL_PRIORITY) return true;
  try {
    setPriority(USUAL_PRIORITY);
    return true;
  } catch {
    return false;
  }
}

/** One file of a commit that is on the disk. */
export type ReadFileTask = { path: string; ref: string; commit: string; file: string; maxBytes: number };
/** `missing`: the commit has no such file; `too_large`: it has more bytes than are read. */
export type CommitFile = { is: 'found'; bytes: Uint8Array } | { is: 'missing' } | { is: 'too_large' };

/** Runs on a worker thread. */
export async function readCommitFile(task: ReadFileTask): Promise<CommitFile | PrepareFailure> {
  try {
    const source = await openCommitAt(task.path, { oid: task.commit, ref: task.ref, limits: DEFAULT_LIMITS });
    let entry: TreeEntry | undefined = { name: '', mode: '040000', oid: (await source.readCommit(task.commit)).tree };
    for (const name of task.file.split('/')) {
      const entries: TreeEntry[] = entry?.mode === '040000' ? await source.readTree(entry.oid) : [];
      entry = entries.find((each) => each.name === name);
    }
    if (entry === undefined || !entry.mode.startsWith('100')) return { is: 'missing' };
    return { is: 'found', bytes: await source.readBlob(entry.oid, task.maxBytes) };
  } catch (error) {
    if (error instanceof Problem && error.code === 'git_too_large') return { is: 'too_large' };
    return describe(error);
  }
}

/** An idle thread collects no garbage: what its last commit left would stay until the next one. */
export function collectGarbage(): void {
  openHeap().collect();
}

async function openAndPrepare(task: PrepareTask): Promise<Prepared> {
  const started = performance.now();
  let slowMs = 0;
  const source = await openCommitAt(task.path, { oid: task.commit, ref: task.ref, limits: DEFAULT_LIMITS });
  const fetched = performance.now();
  const prepared = await prepareRevision(source, {
    commit: task.commit,
    layout: task.layout,
    previous: task.previous,
    only: task.only,
    stale: task.stale,
    provenance: task.provenance,
    sourceName: task.sourceName,
    queries: task.queries && queriesThrough(task.queries),
    limitMs: task.limitMs,
    watch: {
      onSlow: () => losePriority(task.isSlow),
      onSpent: (ms) => {
        slowMs += ms;
      },
    },
  });
  return { prepared, fetchMs: Math.round(fetched - started), buildMs: Math.round(performance.now() - fetched), slowMs };
}

function describe(error: unknown): PrepareFailure {
  const cause = error instanceof Error ? error : new Error(String(error));
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : 'prepare_failed';
  return { failed: { code, message: cause.message, retry: retryOf(error), status: error instanceof Problem ? error.status : 500 } };
}
