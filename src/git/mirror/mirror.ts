import { resolve } from 'node:path';
import { createSerial } from '../../async/serial.ts';
import { startCall } from '../http/client.ts';
import type { ObjectSource } from '../pack/object-source.ts';
import { isProblem } from '../problems.ts';
import { type FetchOptions, inNameOfRef, requireOid } from '../protocol/fetch-options.ts';
import { fetchPack } from '../protocol/fetch-pack.ts';
import type { HttpRemote, Remote } from '../remote.ts';
import { advance } from './advance.ts';
import { MAX_PACKS, type MirrorFiles, readMirror, resetMirror, wantAfter } from './files.ts';
import { openCommitAt } from './local-source.ts';

export type MirrorOptions = FetchOptions & { maxPacks?: number };

/**
 * The commit out of the mirror in `dir`, fetched first if it is not there: the first time without history, later only what is new. A mirror
 * that is damaged, lacks objects, has too many packs or would need too much is thrown away and fetched once more. One caller per `dir`
 * among all processes; calls from one thread wait for each other.
 * @throws Problem as `fetchSnapshot`
 */
export async function fetchIntoMirror(dir: string, remote: Remote, options: MirrorOptions): Promise<ObjectSource> {
  requireOid(options);
  if (remote.kind === 'local') return await openCommitAt(remote.path, options);
  const path = resolve(dir);
  return await inNameOfRef(
    options,
    writers.run(path, () => fetchHealing(path, remote, options)),
  );
}

async function fetchHealing(dir: string, remote: HttpRemote, options: MirrorOptions): Promise<ObjectSource> {
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

/** By directory: a mirror has one writer. */
const writers = createSerial();
