import { isProblem } from '../git/problems.ts';
import { configError } from './config-error.ts';
import type { Folder } from './folders.ts';
import type { RevisionLimits } from './limits.ts';
import type { ObjectCache, StoredFile } from './object-cache.ts';
import type { ConfigError } from './revision.ts';
import type { SchemaLoader } from './schema/loader.ts';

export type FolderContext = {
  objects: ObjectCache;
  limits: RevisionLimits;
  schemas: SchemaLoader;
  /** Where the fleet keeps its schemas. */
  schemaFolder: string | null;
};

/** What is gathered while one folder is prepared. */
export type Work = {
  context: FolderContext;
  folder: Folder;
  errors: ConfigError[];
  dependencies: Set<string>;
  /** JSON pointers of secrets by path on the device. */
  secrets: Map<string, string[]>;
  /** The bundle's files by path on the device. */
  files: Map<string, StoredFile>;
  /** Spent on parsing and schemas. */
  validationMs: number;
  /** Of all files read; one that is selected and validated counts twice. */
  readBytes: number;
};

/** null after an error was recorded. */
export async function readFile(work: Work, oid: string, file: string, maxBytes: number, rule: string): Promise<StoredFile | null> {
  try {
    const stored = await work.context.objects.readFile(oid, maxBytes);
    work.readBytes += stored.bytes.length;
    return stored;
  } catch (error) {
    if (isProblem(error, 'git_too_large')) {
      work.errors.push(configError({ code: 'too_large', file, rule, limit: maxBytes, detail: `has more than ${maxBytes} bytes` }));
    } else if (isProblem(error, 'git_object_invalid')) {
      work.errors.push(configError({ code: 'path', file, rule: 'unreadable', detail: 'cannot be read: its object is damaged' }));
    } else throw error;
    return null;
  }
}

const LFS_VERSION = 'version https://git-lfs.github.com/spec/v1\n';
/** The specification of Git LFS: a pointer has less than 1024 bytes. */
const MAX_LFS_POINTER_BYTES = 1024;

export function isLfsPointer(bytes: Uint8Array): boolean {
  return bytes.length < MAX_LFS_POINTER_BYTES && Buffer.from(bytes.subarray(0, LFS_VERSION.length)).toString('latin1') === LFS_VERSION;
}

export function inRepository(folder: Folder, path: string): string {
  return folder.path === '' ? path : `${folder.path}/${path}`;
}

export function isInside(folder: Folder, path: string): boolean {
  return folder.path === '' || path.startsWith(`${folder.path}/`);
}
