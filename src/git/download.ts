import { pathToFileURL } from 'node:url';
import { type FetchOptions, requireOid } from './fetch-options.ts';
import { askForPack } from './fetch-pack.ts';
import { gitStream, startCall } from './http-client.ts';
import { writeIncoming } from './incoming.ts';
import { MAX_PACKS, readMirrorTip, wantAfter } from './mirror-files.ts';
import { mirrorProblem } from './problems.ts';
import type { Remote } from './remote.ts';

export type DownloadOptions = FetchOptions & {
  /** `mirror`: what is fetched stays in `dir`, and the next time only what is new is asked for. `once`: the commit alone, for one reading. */
  keep: 'mirror' | 'once';
};

/**
 * The half of a fetch that waits for the host: its answer goes to `dir` as it comes, unread, so that any number may wait at once and none holds
 * a worker thread. The other half, which needs no host and no credentials, is `fetchIntoMirror` or `fetchSnapshot` of the address that this
 * returns; it takes what lies there, so that each download serves one. One caller per `dir` at a time, until the other half is through.
 * @returns the address to prepare the commit from: of a repository on this machine, its own
 * @throws Problem as `gitRequest`, `mirror_no_space`. The other half: `mirror_damaged` when what `dir` held is of no use; download again
 */
export async function download(dir: string, remote: Remote, options: DownloadOptions): Promise<string> {
  requireOid(options);
  if (remote.kind === 'local') return pathToFileURL(remote.path).href;
  const { oid, limits } = options;
  const keep = options.keep === 'mirror';
  const tip = keep ? await readMirrorTip(dir) : undefined;
  const known = tip !== undefined && tip.packCount < MAX_PACKS ? tip : { head: null, shallow: [] };
  const head = { oid, from: remote.url.href, base: known.head, keep, nothing: known.head === oid };
  const call = startCall(options);
  try {
    await writeIncoming(dir, head, async (file) => {
      if (head.nothing) return;
      await askForPack(remote, wantAfter(known, oid), limits, call, (request) =>
        gitStream(remote, request, call, async (chunk) => {
          await file.writeFile(chunk).catch((error: unknown) => {
            throw mirrorProblem(error);
          });
        }),
      );
    });
  } catch (error) {
    throw mirrorProblem(error);
  }
  return pathToFileURL(dir).href;
}
