import { resolve } from 'node:path';
import { createSerial } from '../../async/serial.ts';
import { startCall } from '../http/client.ts';
import type { ObjectSource } from '../pack/object-source.ts';
import { isProblem } from '../problems.ts';
import { type FetchOptions, requireOid, withRefName } from '../protocol/fetch-options.ts';
import { fetchPack } from '../protocol/fetch-pack.ts';
import type { HttpRemote, Remote } from '../remote.ts';
import { advance } from './advance.ts';
import { MAX_PACKS, type MirrorFiles, readMirror, resetMirror, wantAfter } from './files.ts';
import { openCommitAt } from './local-source.ts';

export type MirrorOptions = FetchOptions & { maxPacks?: number };

/**
 * Opens the commit from the mirror in `dir` and fetches it first if it is missing: the first time without history, later only new objects. It discards
 * a mirror that is damaged, lacks objects, has too many packs or exceeds a limit, and fetches it again. One caller per `dir` among all processes;
 * calls from one thread wait for each other.
 * @throws Problem as `fetchSnapshot`
 */
export async function fetchIntoMirror(dir: string, remote: Remote, options: MirrorOptions): Promise<ObjectSource> {
  requireOid(options);
  if (remote.kind === 'local') return await openCommitAt(remote.path, options);
  const path = resolve(dir);
  return await withRefName(
    options,
    writers.run(path, () => fetchOrReplace(path, remote, options)),
  );
}

async function fetchOrReplace(dir: string, remote: HttpRemote, options: MirrorOptions): Promise<ObjectSource> {
  const call = startCall(options);
  const from = (files: MirrorFiles): Promise<ObjectSource> =>
    advance(dir, files, options, () => fetchPack(remote, wantAfter(files, options.oid), options.limits, call));
  try {
    const files = await readMirror(dir);
    if (files.head && files.packs.length < (options.maxPacks ?? MAX_PACKS)) return await from(files);
  } catch (error) {
    if (!isProblem(error, 'git_object_missing', 'git_object_invalid', 'git_too_large', 'mirror_damaged')) throw error;
  }
  return await from(await resetMirror(dir));
}

/** Serializes by directory, since a mirror has one writer. */
const writers = createSerial();
