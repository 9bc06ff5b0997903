import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import type { SecretBox } from '../crypto/secret-box.ts';
import { adaptersByFolder, factsByFolder } from '../device/store.ts';
import { notFound, Problem, reworded } from '../errors.ts';
import type { Store } from '../event/transact.ts';
import type { GitHosts } from '../git/hosts.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { DEFAULT_LIMITS } from '../git/limits.ts';
import { download } from '../git/mirror/download.ts';
import { isProblem } from '../git/problems.ts';
import { parseRemote } from '../git/remote.ts';
import type { Log } from '../log.ts';
import { dependentPaths } from '../revision/store.ts';
import { openCredentials } from '../source/credentials.ts';
import type { Source } from '../source/source.ts';
import { sourceById } from '../source/store.ts';
import type { Preparer } from './preparer.ts';
import type { Queries } from './queries.ts';
import type { Prepared, PrepareTask } from './worker.ts';

/** The part of the task that is about the commit, not about its place on the disk. */
export type CommitTask = Omit<PrepareTask, 'path' | 'layout' | 'deadlineMs' | 'sourceName' | 'queries'>;

/** Dependencies of `prepareCommit`. */
export type PrepareDeps = {
  hosts: GitHosts;
  guard: AddressGuard;
  preparer: Preparer;
  box: SecretBox;
  config: Config;
  store: Store;
  log: Log;
};

export type PrepareCommitOptions = {
  /** Name below `DATA_DIR/mirrors`: one caller at a time. */
  mirror: string;
  deadlineMs: number;
  /** Ends waiting for the host, with its reason. */
  signal?: AbortSignal | undefined;
};

/** Mirrors of repositories that hold a file too large to fetch: the next commit is requested without such files at once. */
const partial = new LRUCache<string, true>({ max: 10_000, ttl: 3_600_000 });

/**
 * Fetches a commit of the source and prepares it. This thread waits for the host. A worker thread starts when the commit is on the disk, so that
 * a slow host does not delay the sources of others.
 * A damaged mirror is fetched anew once. Where a file is too large, the host is asked to leave such files out: only reading one is an error.
 * @throws Problem as `download` and `Preparer.prepare`, `git_host_unavailable`; `not_found` when the source was removed
 */
export async function prepareCommit(
  { hosts, guard, preparer, box, config, store, log }: PrepareDeps,
  source: Source,
  task: CommitTask,
  { mirror, deadlineMs, signal }: PrepareCommitOptions,
): Promise<Prepared> {
  const started = performance.now();
  const rules = { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES };
  const remote = parseRemote(source.url, rules);
  const mirrorDir = join(config.DATA_DIR, 'mirrors', mirror);
  const options = {
    oid: task.commit,
    ref: task.ref,
    limits: DEFAULT_LIMITS,
    credentials: openCredentials(box, source),
    guard,
    deadlineMs,
    signal,
  };
  const attempt = async (withoutLargeFiles: boolean): Promise<Prepared> => {
    const keep = source.layout === 'fleet' && !withoutLargeFiles ? ('mirror' as const) : ('once' as const);
    const path = await hosts.run(remote, source, () => download(mirrorDir, remote, { ...options, keep, withoutLargeFiles }), signal);
    const downloadedMs = Math.round(performance.now() - started);
    const whole = { ...task, path, layout: source.layout, sourceName: source.name, deadlineMs };
    const result = await preparer.prepare(source, whole, queriesOf(store, source), stillWanted(store, source)).catch((error: unknown) => {
      throw inNameOf(source, path, error);
    });
    return { ...result, fetchMs: downloadedMs + result.fetchMs };
  };
  const twice = (withoutLargeFiles: boolean) =>
    attempt(withoutLargeFiles).catch((error: unknown) => {
      if (!isProblem(error, 'mirror_damaged')) throw error;
      log.warn({ sourceId: source.id, why: error.message }, 'mirror damaged; fetching the repository anew');
      return attempt(withoutLargeFiles);
    });
  return await leavingOut(mirrorDir, twice);
}

async function leavingOut(mirrorDir: string, work: (withoutLargeFiles: boolean) => Promise<Prepared>): Promise<Prepared> {
  const isKnown = partial.has(mirrorDir);
  const first = await work(isKnown).catch((error: unknown) => {
    // If the host left files out before, the next attempt requests all files again.
    partial.delete(mirrorDir);
    if (isKnown || !isProblem(error, 'git_too_large')) throw error;
    return { tooLarge: error };
  });
  if (!('tooLarge' in first)) return first;
  const { tooLarge } = first;
  const result = await work(true).catch((error: unknown) => {
    if (!(error instanceof Problem) || isProblem(error, 'git_too_large')) throw error;
    throw reworded(tooLarge, { message: `${tooLarge.message}; the host does not leave large files out of a fetch either` });
  });
  partial.set(mirrorDir, true);
  return result;
}

/** A turn that came at once is for a source that was just read. */
const SOON_MS = 1_000;

/** Turns may be far away. A source that was removed in the meantime takes none from the others. */
function stillWanted({ sql }: Store, { id }: Source): () => Promise<void> {
  const asked = performance.now();
  return async () => {
    if (performance.now() - asked > SOON_MS && (await sourceById(sql, id)) === undefined) throw notFound('source', id);
  };
}

function queriesOf({ sql }: Store, { organizationId, id: sourceId }: Source): Queries {
  return {
    devicesOf: (paths) => factsByFolder(sql, organizationId, sourceId, paths),
    adaptersOf: (paths) => adaptersByFolder(sql, organizationId, sourceId, paths),
    dependents: (paths) => dependentPaths(sql, { organizationId, sourceId }, paths),
  };
}

/** Errors name the address of the source. Paths on the disk of the service are hidden. */
function inNameOf(source: Source, path: string, error: unknown): unknown {
  if (!(error instanceof Problem) || !error.message.includes(path)) return error;
  return reworded(error, { message: error.message.replaceAll(path, source.url) });
}
