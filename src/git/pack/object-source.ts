/**
 * Reads commits, trees and blobs by object id from a fetch into memory, a mirror on disk, or a local repository. Its users do not depend on which.
 * All reads are by id: refs are never stored, Bellwether lists them at the remote.
 */
export type ObjectSource = {
  /** @throws Problem `git_object_missing`, `git_object_invalid` */
  readCommit(oid: string): Promise<CommitInfo>;
  /** Returns entries in the tree's own order, exactly as stored, with unchecked names. @throws Problem as `readCommit` */
  readTree(oid: string): Promise<TreeEntry[]>;
  /** @throws Problem as `readCommit`, and `git_too_large` when the blob has more than `maxBytes` */
  readBlob(oid: string, maxBytes: number): Promise<Uint8Array>;
};

export type CommitInfo = {
  oid: string;
  tree: string;
  parents: string[];
  author: { name: string; email: string };
  /** At most the end of the year 9999; 1970 where the commit has no time. */
  committedAt: Date;
  /** At most 16,384 characters. */
  message: string;
};

export type TreeEntry = {
  name: string;
  /** Git's octal mode with six digits, as Git canonicalises it: 100644, 100755, 040000, 120000 (symlink), 160000 (gitlink). */
  mode: string;
  oid: string;
  /** The name's bytes, only if they are not UTF-8. `name` then has replacement characters, so two different names can be equal there. */
  rawName?: Uint8Array;
};
