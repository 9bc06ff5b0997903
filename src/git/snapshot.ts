import { startCall } from './http/client.ts';
import { openCommitAt } from './mirror/local-source.ts';
import type { ObjectSource } from './pack/object-source.ts';
import { packSource } from './pack/source.ts';
import { type FetchOptions, inNameOfRef, requireOid } from './protocol/fetch-options.ts';
import { fetchPack } from './protocol/fetch-pack.ts';
import type { Remote } from './remote.ts';

/**
 * One commit without its history, fetched into memory, whole or not at all: nothing to lock, to corrupt or to clean up.
 * @throws Problem as `fetchPack`, `git_too_large`, `git_object_missing`, `git_object_invalid`
 */
export async function fetchSnapshot(remote: Remote, options: FetchOptions): Promise<ObjectSource> {
  requireOid(options);
  if (remote.kind === 'local') return await openCommitAt(remote.path, options);
  const want = { oid: options.oid, haves: [], shallow: [], depth: 1 as const };
  const { pack } = await fetchPack(remote, want, options.limits, startCall(options));
  return await inNameOfRef(options, packSource(pack, options.oid, options.limits));
}
