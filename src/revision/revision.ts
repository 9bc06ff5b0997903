import type { CommitInfo } from '../git/object-source.ts';
import type { BundleManifest } from '../wire/bundle.ts';

export type Layout = 'repo' | 'fleet';

/** One thing that is wrong with a configuration, told so that its author can mend it. */
export type ConfigError = {
  /** Stable word, for example `schema`, `syntax`, `manifest`, `path`, `too_large`, `schema_missing`. */
  code: string;
  /** Path in the repository. */
  file: string;
  /** 1-based, where known. */
  line?: number;
  /** JSON pointer into the file ('' is the whole document). */
  pointer: string;
  /** JSON Schema keyword or our own rule's name. */
  rule: string;
  limit?: unknown;
  /** Absent when the value is a secret (`writeOnly`, `x-secret`). */
  actual?: unknown;
  /** For people: `config/terminal.json:12 /vlan/id is 5000, must be <= 4094` */
  message: string;
};

export type Bundle = { digest: string; manifest: BundleManifest; size: number };

/** What one device folder of a commit gives. */
export type PreparedPath = {
  /** Folder in the repository, '' for layout `repo`. */
  path: string;
  treeOid: string;
  /** Files outside the folder that the outcome depends on (schemas, layers), as repository paths; also those that were looked for in vain. */
  dependencies: string[];
  verdict: 'valid' | 'invalid';
  /** Present exactly when valid. */
  bundle: Bundle | null;
  /** JSON pointers of values that a schema marks as secret, by path on the device; for previews and diffs. */
  secretPointers?: Record<string, string[]>;
  errors: ConfigError[];
};

/** A commit, read, built and validated: everything that the database is told about it. */
export type PreparedRevision = {
  commit: CommitInfo;
  /** What is wrong with the revision as a whole (an unreadable fleet.yaml, …); then `paths` is empty. */
  errors: ConfigError[];
  /** `full`: `paths` are all folders that exist, any other is gone. `incremental`: only the folders touched since the previous commit. */
  extent: 'full' | 'incremental';
  paths: PreparedPath[];
  /** Folders that the previous commit had and this one has not; only with extent `incremental`. */
  removed: string[];
  /** Bytes of every file of every bundle in `paths`, by SHA-256. */
  blobs: Map<string, Uint8Array>;
};

/** What was prepared before, so that only what changed is read again. null: everything is read. */
export type PreviousRevision = {
  commit: string;
  /** Distinct dependencies of all its paths: when one of them changed, every folder is evaluated again. */
  dependencies: string[];
} | null;
