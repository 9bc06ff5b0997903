import type { ObjectSource } from '../pack/object-source.ts';
import { packSource } from '../pack/source.ts';
import { gitProblem, isProblem } from '../problems.ts';
import { type FetchOptions, inNameOfRef, requireOid } from '../protocol/fetch-options.ts';
import { parseFetched } from '../protocol/fetch-pack.ts';
import { type Incoming, takeIncoming } from '../protocol/incoming.ts';
import { openLocal } from '../protocol/local.ts';
import { advance } from './advance.ts';
import { readMirror, resetMirror } from './files.ts';

type Wanted = Pick<FetchOptions, 'oid' | 'limits'>;

/** As `openLocalAt`, with the name of the ref in errors about an object that is no commit. @throws Problem as `openLocalAt`, `invalid_ref` */
export async function openCommitAt(path: string, options: Wanted & Pick<FetchOptions, 'ref'>): Promise<ObjectSource> {
  requireOid(options);
  return await inNameOfRef(options, openLocalAt(path, options));
}

/**
 * A commit of a repository on this machine: of a mirror of ours, which first takes in what `download` left there, or of somebody's own, which
 * needs no fetch.
 * @throws Problem `commit_missing`, `mirror_damaged`, as `openLocal`, and for a mirror as `fetchSnapshot`
 */
export async function openLocalAt(path: string, options: Wanted): Promise<ObjectSource> {
  const incoming = await takeIncoming(path);
  if (incoming !== undefined) return await openIncoming(path, incoming, options);
  const source = await openLocal(path);
  try {
    await source.readCommit(options.oid);
  } catch (error) {
    if (!isProblem(error, 'git_object_missing')) throw error;
    throw gitProblem('commit_missing', `Cannot find the commit "${options.oid}" in "${path}"`, { cause: error });
  }
  return source;
}

/** The second half of a fetch: everything but waiting for the host. */
async function openIncoming(dir: string, incoming: Incoming, options: Wanted): Promise<ObjectSource> {
  const { oid, from, base, body } = incoming;
  if (oid !== options.oid)
    throw gitProblem('git_object_missing', `Cannot read the commit "${options.oid}" of "${from}": "${oid}" was fetched`);
  const fetched = async () => {
    if (incoming.nothing) throw gitProblem('git_object_missing', `Cannot find the commit "${oid}": the mirror has it no more`);
    return parseFetched(body, options.limits, from);
  };
  if (!incoming.keep) return await packSource((await fetched()).pack, oid, options.limits, incoming.isPartial);
  if (base === null) return await advance(dir, await resetMirror(dir), options, fetched);
  try {
    const files = await readMirror(dir);
    if (files.head !== base) throw gitProblem('git_object_missing', `Cannot build on the commit "${base}": the mirror has it no more`);
    return await advance(dir, files, options, fetched);
  } catch (error) {
    if (!isProblem(error, 'git_object_missing', 'git_object_invalid', 'git_too_large', 'mirror_damaged')) throw error;
    await resetMirror(dir);
    if (error.code === 'mirror_damaged') throw error;
    throw gitProblem('mirror_damaged', `Cannot use what is kept of "${from}", which is fetched anew: ${error.message}`, { cause: error });
  }
}
