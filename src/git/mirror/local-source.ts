import type { ObjectSource } from '../pack/object-source.ts';
import { packSource } from '../pack/source.ts';
import { gitProblem, isProblem } from '../problems.ts';
import { type FetchOptions, requireOid, withRefName } from '../protocol/fetch-options.ts';
import { parseFetched } from '../protocol/fetched.ts';
import { type Incoming, takeIncoming } from '../protocol/incoming.ts';
import { openLocal } from '../protocol/local.ts';
import { advance } from './advance.ts';
import { readMirror, resetMirror } from './files.ts';

type Wanted = Pick<FetchOptions, 'oid' | 'limits'>;

/** Works like `openLocalAt`; an error about an object that is no commit names the ref. @throws Problem as `openLocalAt`, `invalid_ref` */
export async function openCommitAt(path: string, options: Wanted & Pick<FetchOptions, 'ref'>): Promise<ObjectSource> {
  requireOid(options);
  return await withRefName(options, openLocalAt(path, options));
}

/**
 * Opens a commit of a repository on this machine: of Bellwether's own mirror, which first stores the answer of `download`, or of another repository,
 * which needs no fetch.
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

/** The second half of a fetch: every step after the host's answer. */
async function openIncoming(dir: string, incoming: Incoming, options: Wanted): Promise<ObjectSource> {
  const { oid, from, base, body } = incoming;
  if (oid !== options.oid)
    throw gitProblem('git_object_missing', `Cannot read the commit "${options.oid}" of "${from}": "${oid}" was fetched`);
  const fetched = async () => {
    if (incoming.nothing) throw gitProblem('git_object_missing', `Cannot find the commit "${oid}": the mirror no longer has it`);
    return parseFetched(body, options.limits, from);
  };
  if (!incoming.keep) return await packSource((await fetched()).pack, oid, options.limits, incoming.isPartial);
  if (base === null) return await advance(dir, await resetMirror(dir), options, fetched);
  try {
    const files = await readMirror(dir);
    if (files.head !== base) throw gitProblem('git_object_missing', `Cannot build on the commit "${base}": the mirror no longer has it`);
    return await advance(dir, files, options, fetched);
  } catch (error) {
    if (!isProblem(error, 'git_object_missing', 'git_object_invalid', 'git_too_large', 'mirror_damaged')) throw error;
    await resetMirror(dir);
    if (error.code === 'mirror_damaged') throw error;
    throw gitProblem('mirror_damaged', `Cannot use the mirror of "${from}": ${error.message}; Bellwether fetches it again`, {
      cause: error,
    });
  }
}
