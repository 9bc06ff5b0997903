import { getHeapStatistics } from 'node:v8';
import type { MessagePort } from 'node:worker_threads';
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
};

/** An error on its way between threads, where classes do not survive. */
export type PrepareFailure = { failed: { code: string; message: string; retry: Retry; status: number } };
export type PrepareResult = (Prepared | PrepareFailure) & {
  /** Size of the thread's heap after the task, used or not. */
  heapBytes: number;
};
export type Prepared = { prepared: PreparedRevision; fetchMs: number; buildMs: number };

export async function prepare(task: PrepareTask): Promise<PrepareResult> {
  try {
    const done = await openAndPrepare(task);
    return { ...done, heapBytes: getHeapStatistics().total_heap_size };
  } catch (error) {
    return { ...describe(error), heapBytes: getHeapStatistics().total_heap_size };
  } finally {
    task.queries?.close();
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
  });
  return { prepared, fetchMs: Math.round(fetched - started), buildMs: Math.round(performance.now() - fetched) };
}

function describe(error: unknown): PrepareFailure {
  const cause = error instanceof Error ? error : new Error(String(error));
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : 'prepare_failed';
  return { failed: { code, message: cause.message, retry: retryOf(error), status: error instanceof Problem ? error.status : 500 } };
}
