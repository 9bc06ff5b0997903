import { resolve } from 'node:path';
import { gitStream, type RunningCall, startCall } from '../http/client.ts';
import { isProblem, mirrorProblem } from '../problems.ts';
import { type FetchOptions, requireOid } from '../protocol/fetch-options.ts';
import { requestPack } from '../protocol/fetch-pack.ts';
import { writeIncoming } from '../protocol/incoming.ts';
import type { HttpRemote, Remote } from '../remote.ts';
import { MAX_PACKS, readMirrorTip, wantAfter } from './files.ts';

export type DownloadOptions = FetchOptions & {
  /** `mirror`: the objects stay in `dir`, so that the next fetch requests only new ones. `once`: the commit alone, for one reading. */
  keep: 'mirror' | 'once';
  /** Omits files of more than `limits.maxObjectBytes`. Only with `once`: a host assumes that a mirror has every file of its commits. */
  withoutLargeFiles?: boolean;
};

/**
 * The first half of a fetch, which waits for the host. It streams the raw answer to `dir`, so that any number of downloads can wait at once without
 * a worker thread. The second half is `openCommitAt` with the returned folder; it needs neither host nor credentials. It consumes the answer, so each
 * download serves one call. One caller per `dir` at a time, until the second half has finished.
 * @returns the folder for `openCommitAt`; for a repository on this machine, that repository's own folder
 * @throws Problem as `gitRequest`, `mirror_no_space`. The second half throws `mirror_damaged` when `dir` is unusable; then download again
 */
export async function download(dir: string, remote: Remote, options: DownloadOptions): Promise<string> {
  requireOid(options);
  if (remote.kind === 'local') return remote.path;
  const tip = options.keep === 'mirror' ? await readMirrorTip(dir) : undefined;
  const known = tip !== undefined && tip.packCount < MAX_PACKS ? tip : { head: null };
  const call = startCall(options);
  const fetchAfter = (base: string | null) => fetchBody(dir, remote, options, call, base);
  try {
    await fetchAfter(known.head).catch((error: unknown) => {
      if (known.head === null || !isProblem(error, 'git_too_large')) throw error;
      // The commit alone may cost less than the objects that the mirror lacks.
      return fetchAfter(null);
    });
  } catch (error) {
    throw mirrorProblem(error);
  }
  return resolve(dir);
}

async function fetchBody(
  dir: string,
  remote: HttpRemote,
  { oid, limits, keep, withoutLargeFiles = false }: DownloadOptions,
  call: RunningCall,
  base: string | null,
): Promise<void> {
  const head = { oid, from: remote.url.href, base, keep: keep === 'mirror', nothing: base === oid, isPartial: withoutLargeFiles };
  const filter = withoutLargeFiles ? { blobLimit: limits.maxObjectBytes + 1 } : {};
  await writeIncoming(dir, head, async (file) => {
    if (head.nothing) return;
    await requestPack(remote, { ...wantAfter({ head: base }, oid), ...filter }, limits, call, (at, request) =>
      gitStream(at, request, call, async (chunk) => {
        await file.writeFile(chunk).catch((error: unknown) => {
          throw mirrorProblem(error);
        });
      }),
    );
  });
}
