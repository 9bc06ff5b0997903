import { verifyClosure } from './closure.ts';
import { fetchPack } from './fetch-pack.ts';
import { type RemoteCall, startCall } from './http-client.ts';
import type { Limits } from './limits.ts';
import { openLocal } from './local.ts';
import type { ObjectSource } from './object-source.ts';
import { objectSource } from './objects.ts';
import { indexPack } from './pack-index.ts';
import { packReader } from './pack-reader.ts';
import { gitProblem, isProblem } from './problems.ts';
import { isOid, type Remote } from './remote.ts';

export type FetchOptions = RemoteCall & {
  /** The commit, 40 hex digits: a ref's tip or any other that the host serves. */
  oid: string;
  /** The ref that led to it, for messages. */
  ref: string;
  limits: Limits;
};

/**
 * One commit without its history, fetched into memory, whole or not at all: nothing to lock, to corrupt or to clean up.
 * @throws Problem as `fetchPack`, `git_too_large`, `git_object_missing`, `git_object_invalid`
 */
export async function fetchSnapshot(remote: Remote, options: FetchOptions): Promise<ObjectSource> {
  requireOid(options);
  if (remote.kind === 'local') return await openLocalAt(remote.path, options);
  const want = { oid: options.oid, haves: [], shallow: [], depth: 1 as const };
  const { pack } = await fetchPack(remote, want, options.limits, startCall(options));
  const reader = packReader([indexPack(pack, options.limits)], options.limits);
  const source = objectSource(async (oid, maxBytes) => reader.read(oid, maxBytes));
  await verifyClosure(source, reader.has, options.oid, null, options.limits);
  return source;
}

/** A repository on this machine needs no fetch; that it has the commit is made sure of. */
export async function openLocalAt(path: string, options: FetchOptions): Promise<ObjectSource> {
  const source = await openLocal(path);
  try {
    await source.readCommit(options.oid);
  } catch (error) {
    if (!isProblem(error, 'git_object_missing')) throw error;
    throw gitProblem('commit_missing', `Cannot find the commit "${options.oid}" in "${path}"`, { cause: error });
  }
  return source;
}

export function requireOid(options: FetchOptions): void {
  if (!isOid(options.oid))
    throw gitProblem('invalid_ref', `Cannot fetch "${options.ref}" at "${options.oid}": a commit id has 40 hex digits`);
}
