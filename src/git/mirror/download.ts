import { resolve } from 'node:path';
import { gitStream, type RunningCall, startCall } from '../http/client.ts';
import { isProblem, mirrorProblem } from '../problems.ts';
import { type FetchOptions, requireOid } from '../protocol/fetch-options.ts';
import { askForPack } from '../protocol/fetch-pack.ts';
import { writeIncoming } from '../protocol/incoming.ts';
import type { HttpRemote, Remote } from '../remote.ts';
import { MAX_PACKS, readMirrorTip, wantAfter } from './files.ts';

export type DownloadOptions = FetchOptions & {
  /** `mirror`: what is fetched stays in `dir`, and the next time only what is new is asked for. `once`: the commit alone, for one reading. */
  keep: 'mirror' | 'once';
  /** Without the files that have more than `limits.maxObjectBytes`. Only with `once`: a host builds on all that a mirror should have. */
  withoutLargeFiles?: boolean;
};

/**
 * The half of a fetch that waits for the host: its answer goes to `dir` as it comes, unread, so that any number may wait at once and none holds
 * a worker thread. The other half, which needs no host and no credentials, is `openCommitAt` of the folder that this returns; it takes
 * what lies there, so that each download serves one. One caller per `dir` at a time, until the other half is through.
 * @returns the folder to open the commit from: of a repository on this machine, its own
 * @throws Problem as `gitRequest`, `mirror_no_space`. The other half: `mirror_damaged` when what `dir` held is of no use; download again
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
      // The commit alone may cost less than what the mirror lacks, whatever the reason.
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
  const filter = withoutLargeFiles ? { leaveOutFrom: limits.maxObjectBytes + 1 } : {};
  await writeIncoming(dir, head, async (file) => {
    if (head.nothing) return;
    await askForPack(remote, { ...wantAfter({ head: base }, oid), ...filter }, limits, call, (at, request) =>
      gitStream(at, request, call, async (chunk) => {
        await file.writeFile(chunk).catch((error: unknown) => {
          throw mirrorProblem(error);
        });
      }),
    );
  });
}
