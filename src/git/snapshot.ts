import { startCall } from './http/client.ts';
import { openCommitAt } from './mirror/local-source.ts';
import type { ObjectSource } from './pack/object-source.ts';
import { packSource } from './pack/source.ts';
import { type FetchOptions, requireOid, withRefName } from './protocol/fetch-options.ts';
import { fetchPack } from './protocol/fetch-pack.ts';
import type { Remote } from './remote.ts';

/**
 * Fetches one commit without its history into memory, completely or not at all. No file needs locking or cleaning up.
 * @throws Problem as `fetchPack`, `git_too_large`, `git_object_missing`, `git_object_invalid`
 */
export async function fetchSnapshot(remote: Remote, options: FetchOptions): Promise<ObjectSource> {
  requireOid(options);
  if (remote.kind === 'local') return await openCommitAt(remote.path, options);
  const want = { oid: options.oid, haves: [], shallow: [], depth: 1 as const };
  const { pack } = await fetchPack(remote, want, options.limits, startCall(options));
  return await withRefName(options, packSource(pack, options.oid, options.limits));
}
