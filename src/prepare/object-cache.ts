import { LRUCache } from 'lru-cache';
import { Problem } from '../errors.ts';
import type { ObjectSource, TreeEntry } from '../git/pack/object-source.ts';
import { gitProblem } from '../git/problems.ts';
import type { RevisionLimits } from '../revision/limits.ts';
import { sha256Hex } from '../wire/bundle.ts';

export type StoredFile = { bytes: Uint8Array; sha256: string };

/** Objects of one repository, each read once; aborts between reads. */
export type ObjectCache = ObjectSource & {
  /** @throws Problem `git_too_large` above `maxBytes`, `revision_too_large` when all distinct files together have too many bytes */
  readFile(oid: string, maxBytes: number): Promise<StoredFile>;
  /** Adds a file that no object holds. @returns its id for `readFile` @throws Problem `revision_too_large`, as `readFile` */
  keep(bytes: Uint8Array): string;
  /** The entry at a path below a tree; null without one, and when a name on the way exists twice. @throws Problem as `readTree` */
  find(treeOid: string, path: string): Promise<TreeEntry | null>;
};

/** Number of folders in the cache. Folders on the way to device folders are read often, a device's own folder once. */
const MAX_TREES = 4_000;

export function objectCache(source: ObjectSource, limits: RevisionLimits, signal: AbortSignal): ObjectCache {
  const trees = new LRUCache<string, Promise<TreeEntry[]>>({ max: MAX_TREES });
  const files = new Map<string, Promise<StoredFile>>();
  const indexes = new LRUCache<string, Promise<Map<string, TreeEntry | null>>>({ max: MAX_TREES });
  let totalBytes = 0;

  const count = (bytes: number): void => {
    totalBytes += bytes;
    if (totalBytes > limits.maxRevisionBytes) {
      throw new Problem('revision_too_large', `Cannot prepare revision: its files have more than ${limits.maxRevisionBytes} bytes`);
    }
  };
  const load = async (oid: string): Promise<StoredFile> => {
    signal.throwIfAborted();
    const bytes = await source.readBlob(oid, Math.max(limits.maxFileBytes, limits.maxDocumentBytes, limits.maxSchemaBytes));
    count(bytes.length);
    return { bytes, sha256: sha256Hex(bytes) };
  };
  const readFile = async (oid: string, maxBytes: number): Promise<StoredFile> => {
    const file = await remembered(files, oid, () => load(oid));
    if (file.bytes.length > maxBytes) {
      throw gitProblem('git_too_large', `Cannot read "${oid}": it has ${file.bytes.length} bytes, must have <= ${maxBytes}`);
    }
    return file;
  };
  const readTree = async (oid: string): Promise<TreeEntry[]> => {
    signal.throwIfAborted();
    return await remembered(trees, oid, () => source.readTree(oid));
  };
  const readIndex = async (oid: string) => indexOf(await readTree(oid));
  return {
    readCommit: (oid) => source.readCommit(oid),
    readTree,
    readBlob: async (oid, maxBytes) => (await readFile(oid, maxBytes)).bytes,
    readFile,
    keep: (bytes) => {
      signal.throwIfAborted();
      const sha256 = sha256Hex(bytes);
      const oid = `made:${sha256}`;
      if (files.has(oid)) return oid;
      count(bytes.length);
      files.set(oid, Promise.resolve({ bytes, sha256 }));
      return oid;
    },
    find: async (treeOid, path) => {
      let found: TreeEntry | null = { name: '', mode: '040000', oid: treeOid };
      for (const name of path.split('/')) {
        if (found?.mode !== '040000') return null;
        const { oid }: TreeEntry = found;
        const index: Map<string, TreeEntry | null> = await remembered(indexes, oid, () => readIndex(oid));
        found = index.get(name) ?? null;
      }
      return found;
    },
  };
}

/** Entries by name; null for a name that is there twice. Thousands of lookups pass the folder that holds all devices. */
function indexOf(entries: TreeEntry[]): Map<string, TreeEntry | null> {
  const index = new Map<string, TreeEntry | null>();
  for (const entry of entries) index.set(entry.name, index.has(entry.name) ? null : entry);
  return index;
}

type Memory<T> = { get(key: string): Promise<T> | undefined; set(key: string, value: Promise<T>): unknown; delete(key: string): unknown };

/** The promise is kept, so that reads at the same time are one; a failed one is forgotten. */
function remembered<T>(memory: Memory<T>, key: string, read: () => Promise<T>): Promise<T> {
  const known = memory.get(key);
  if (known !== undefined) return known;
  const reading = read();
  memory.set(key, reading);
  reading.catch(() => memory.delete(key));
  return reading;
}
