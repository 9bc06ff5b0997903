import { getHeapStatistics } from 'node:v8';
import type { MessagePort } from 'node:worker_threads';
import { Problem, retryOf } from '../errors.ts';
import { addressGuard } from '../git/http/address-guard.ts';
import type { Credentials } from '../git/http/client.ts';
import { DEFAULT_LIMITS } from '../git/limits.ts';
import { fetchIntoMirror } from '../git/mirror/mirror.ts';
import { parseRemote } from '../git/remote.ts';
import { fetchSnapshot } from '../git/snapshot.ts';
import { openHeap } from '../heap.ts';
import type { Layout, PreparedRevision, PreviousRevision } from '../revision/revision.ts';
import type { Retry } from '../wire/errors.ts';
import { prepareRevision } from './prepare.ts';
import { askThrough } from './questions.ts';

/** Runs on a worker thread: fetches a commit, reads, builds and validates it. Everything in and out can be cloned between threads. */
export type PrepareTask = {
  url: string;
  allowHttp: boolean;
  allowLocal: boolean;
  allowPrivate: boolean;
  credentials: Credentials | undefined;
  ref: string;
  commit: string;
  layout: Layout;
  previous: PreviousRevision;
  /** See `PrepareOptions`, as the next ones. */
  only?: string;
  stale?: readonly string[];
  provenance?: boolean;
  sourceName?: string;
  /** Where `PrepareOptions.inquiries` are answered. */
  inquiries?: MessagePort;
  /** Where a fleet repository's mirror stands. */
  mirrorDir: string;
  deadlineMs: number;
  /** After it the thread is ended. */
  limitMs?: number;
};

/** An error on its way between threads, where classes do not survive. */
type PrepareFailure = { failed: { code: string; message: string; retry: Retry; status: number } };
export type PrepareResult = (Prepared | PrepareFailure) & {
  /** What the thread's heap holds, used or not, when it is done. */
  heapBytes: number;
};
export type Prepared = { prepared: PreparedRevision; fetchMs: number; buildMs: number };

const guards = { open: addressGuard({ allowPrivate: true }), strict: addressGuard({ allowPrivate: false }) };

export async function prepare(task: PrepareTask): Promise<PrepareResult> {
  try {
    const done = await fetchAndPrepare(task);
    return { ...done, heapBytes: getHeapStatistics().total_heap_size };
  } catch (error) {
    return { failed: describe(error), heapBytes: getHeapStatistics().total_heap_size };
  } finally {
    task.inquiries?.close();
  }
}

/** A thread that is asked for nothing collects nothing: what its last commit left would stay until the next one. */
export function giveBack(): void {
  openHeap().collect();
}

async function fetchAndPrepare(task: PrepareTask): Promise<Prepared> {
  const remote = parseRemote(task.url, { allowHttp: task.allowHttp, allowLocal: task.allowLocal });
  const options = {
    credentials: task.credentials,
    guard: task.allowPrivate ? guards.open : guards.strict,
    oid: task.commit,
    ref: task.ref,
    limits: DEFAULT_LIMITS,
    deadlineMs: task.deadlineMs,
  };
  const started = performance.now();
  const source = task.layout === 'fleet' ? await fetchIntoMirror(task.mirrorDir, remote, options) : await fetchSnapshot(remote, options);
  const fetched = performance.now();
  const prepared = await prepareRevision(source, {
    commit: task.commit,
    layout: task.layout,
    previous: task.previous,
    only: task.only,
    stale: task.stale,
    provenance: task.provenance,
    sourceName: task.sourceName,
    inquiries: task.inquiries && askThrough(task.inquiries),
    msLeft: task.limitMs === undefined ? undefined : task.limitMs - (performance.now() - started),
  });
  return { prepared, fetchMs: Math.round(fetched - started), buildMs: Math.round(performance.now() - fetched) };
}

function describe(error: unknown): PrepareFailure['failed'] {
  const told = error instanceof Error ? error : new Error(String(error));
  const code = 'code' in told && typeof told.code === 'string' ? told.code : 'prepare_failed';
  return { code, message: told.message, retry: retryOf(error), status: error instanceof Problem ? error.status : 500 };
}
