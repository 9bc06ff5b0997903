import type { CommitInfo } from '../git/pack/object-source.ts';
import type { BundleManifest } from '../wire/bundle.ts';

export type Layout = 'repo' | 'fleet';

/** One error of a configuration, with all that its author needs to fix it. */
export type ConfigError = {
  /** One of `CONFIG_ERRORS`, or of an earlier version's. */
  code: string;
  /** Path in the repository of the file to fix. */
  file: string;
  /** 1-based, where known. */
  line?: number;
  /**
   * The file that is wrong, where layers or a template made it: its path if it stood in the device's folder, with its line where that of `file`
   * is not known. What is wrong with it came from `file`.
   */
  rendered?: string;
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

/** A file of the repository that something came from, and the layer that it is of. */
export type RepositoryFile = { layer: string; file: string };

/** The origin of a file of the bundle, without values. Only the preview shows values, since it hides secrets. */
export type FileProvenance = {
  /** On the device. */
  path: string;
  /** The files that made it, in the order of the layers: several only where they were merged. */
  from: (RepositoryFile & { template: boolean })[];
  /** Only for a merged file: the origin of each value, without a line where a template gave it. */
  values: (RepositoryFile & { pointer: string; line?: number })[];
  /** The variables that its templates read, except `device` and `source`. */
  variables: (RepositoryFile & { name: string; line: number })[];
};

export type FolderProvenance = {
  /** The layers that count for the device, in their order. */
  layers: { name: string; path: string }[];
  files: FileProvenance[];
  /** Files that a layer removed from the device's folder. */
  removed: (RepositoryFile & { path: string })[];
  /** There are more values and variables than these. */
  truncated: boolean;
};

/** The outcome of one device folder of a commit. */
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
  /** It is invalid as long as no device is bound to the folder, on which it depends. The commit does not count as wrong. */
  tentative?: true;
  /** Only when asked for. */
  provenance?: FolderProvenance;
};

/** Whether the folder's verdict counts against the commit. */
export function isBlamed({ verdict, tentative }: PreparedPath): boolean {
  return verdict === 'invalid' && tentative !== true;
}

/** Lines of the waves of a `rollout` in its file, and of the devices that they name. */
export type RolloutPlace = { file: string; waves: { line: number; devices: number[] }[] };
export type WrittenRollout = { policy: unknown; place: RolloutPlace };

/** A commit, read, built and validated: everything that the database stores about it. */
export type PreparedRevision = {
  commit: CommitInfo;
  /** Errors of the revision as a whole (an unreadable fleet.yaml, …). With any, `paths` is empty. */
  errors: ConfigError[];
  /** `full`: `paths` are all folders that exist, any other is gone. `incremental`: only the folders touched since the previous commit. */
  extent: 'full' | 'incremental';
  paths: PreparedPath[];
  /** Folders that the previous commit had and this one has not; only with extent `incremental`. */
  removed: string[];
  /** Bytes of every file of every bundle in `paths`, by SHA-256. */
  blobs: Map<string, Uint8Array>;
  /**
   * `rollout` of fleet.yaml or, with layout `repo`, of bellwether.yaml, as it is written there (without defaults); `RolloutPolicy` accepts it.
   * null when there is none, and when the revision or, with layout `repo`, its folder is invalid.
   */
  rolloutPolicy: unknown;
  rolloutPlace: RolloutPlace | null;
  /** Bundles may depend on the devices that are bound to their folders. A change of a device evaluates its folder again. */
  perDevice: boolean;
  /** The patterns of device folders in fleet.yaml; null with layout `repo`, and when the revision is invalid. */
  devicePatterns: string[] | null;
};

/** The commit that was prepared before, so that only changes are read. null: everything is read. */
export type PreviousRevision = {
  commit: string;
  /** Distinct dependencies of all its paths: when one of them changed, every folder is evaluated again. */
  dependencies: string[];
} | null;
