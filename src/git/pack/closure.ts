import type { Limits } from '../limits.ts';
import { gitProblem, isProblem } from '../problems.ts';
import type { ObjectSource, TreeEntry } from './object-source.ts';

/** Files and symbolic links. A submodule's commit is not sent. */
const IS_BLOB = /^1[02]/;

/**
 * Makes sure that a commit, its trees and its blobs are all there before anybody relies on it: a fetch can end well and lack objects.
 * @param knownTree a root tree that is complete already; what equals it is not walked again
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
    // Each tree once, however often it stands in the others: a few trees can spell out billions of paths.
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
      // Deeper is never read: the folder is refused where it is checked.
      else if (entry.mode === '040000' && next.depth < limits.maxDepth)
        queue.push({ oid: entry.oid, knownOid: before?.mode === '040000' ? before.oid : null, depth: next.depth + 1 });
    }
  }
}

/** A damaged tree below the root is one folder's misfortune and is told where the folder is read; a missing one is not. */
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
