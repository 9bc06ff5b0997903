import type { Limits } from '../limits.ts';
import { gitProblem, isProblem } from '../problems.ts';
import type { ObjectSource, TreeEntry } from './object-source.ts';

/** Files and symbolic links. A host does not send a submodule's commit. */
const IS_BLOB = /^1[02]/;

/**
 * Verifies that a commit, its trees and its blobs are all present before Bellwether uses it: a successful fetch can still lack objects.
 * @param knownTree a root tree that is known to be complete; equal subtrees are not walked again
 * @throws Problem `git_object_missing`, `git_object_invalid` (the commit or its root), `git_too_large`
 */
export async function verifyClosure(
  source: ObjectSource,
  has: (oid: string) => boolean,
  commitOid: string,
  knownTree: string | null,
  limits: Limits,
): Promise<void> {
  const { tree } = await source.readCommit(commitOid);
  const seen = new Set<string>(knownTree === null ? [] : [knownTree]);
  let entries = 0;
  const queue: { oid: string; knownOid: string | null; depth: number }[] = [{ oid: tree, knownOid: knownTree, depth: 0 }];
  for (let next = queue.pop(); next; next = queue.pop()) {
    // Visit each tree once, however often other trees contain it: a few trees can form billions of paths.
    if (seen.has(next.oid)) continue;
    seen.add(next.oid);
    const known = new Map((next.knownOid ? await entriesOf(source, next.knownOid, 1) : []).map((entry) => [entry.name, entry]));
    for (const entry of await entriesOf(source, next.oid, next.depth)) {
      if (++entries > limits.maxEntries)
        throw gitProblem(
          'git_too_large',
          `Cannot accept the commit "${commitOid}": it has more than ${limits.maxEntries} files and folders`,
        );
      const before = known.get(entry.name);
      if (before?.oid === entry.oid) continue;
      if (IS_BLOB.test(entry.mode)) requireBlob(has, entry, commitOid);
      // Deeper folders are never read: `listTree` and `diffTrees` report them as too deep.
      else if (entry.mode === '040000' && next.depth < limits.maxDepth)
        queue.push({ oid: entry.oid, knownOid: before?.mode === '040000' ? before.oid : null, depth: next.depth + 1 });
    }
  }
}

/** A damaged tree below the root affects one folder, and reading that folder reports it. A missing tree fails the whole commit. */
async function entriesOf(source: ObjectSource, oid: string, depth: number): Promise<TreeEntry[]> {
  try {
    return await source.readTree(oid);
  } catch (error) {
    if (depth > 0 && isProblem(error, 'git_object_invalid')) return [];
    throw error;
  }
}

function requireBlob(has: (oid: string) => boolean, entry: TreeEntry, commitOid: string): void {
  if (!has(entry.oid))
    throw gitProblem(
      'git_object_missing',
      `Cannot find the blob "${entry.oid}" of the commit "${commitOid}": the host did not send it; run "git fsck" there`,
    );
}
