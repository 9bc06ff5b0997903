import { createHash } from 'node:crypto';
import { constants, type FileHandle, lstat, mkdir, open, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BundleFile } from '../wire/bundle.ts';
import { errnoOf, inParallel, syncDirectory } from './durable.ts';
import { checkRealDirectory, checkRelativePath, isRealDirectory } from './layout.ts';

/** Files of one tree read or written simultaneously; more brought no gain on two cores. */
const PARALLEL_FILES = 8;
const CHUNK_BYTES = 256 * 1024;

/** One entry of a tree. `path` is relative with `/`; '' is the tree itself if it is no directory. `mode` has the twelve permission bits. */
export type TreeEntry =
  | { kind: 'file'; path: string; mode: number }
  | { kind: 'directory'; path: string; empty: boolean }
  | { kind: 'link'; path: string; target: string }
  | { kind: 'other'; path: string };

export type Change = { path: string; kind: 'changed' | 'missing' | 'added' };

/** Passes a file's bytes to `write` in order. @returns false when the file is unreadable and must not be written */
export type Content<F> = (file: F, write: (chunk: Uint8Array) => Promise<void>) => Promise<boolean>;

/** Lists all entries below a directory; never follows links. An entry that vanishes meanwhile or has an undecodable name is `other`. */
export async function listTree(directory: string): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [];
  await listInto(entries, directory, '');
  return entries;
}

async function listInto(entries: TreeEntry[], directory: string, path: string): Promise<void> {
  const here = join(directory, path);
  const names = (await isRealDirectory(here)) ? await readdir(here).catch(() => null) : null;
  if (names === null) {
    entries.push({ kind: 'other', path });
    return;
  }
  if (path !== '') entries.push({ kind: 'directory', path, empty: names.length === 0 });
  const found: TreeEntry[] = [];
  await inParallel(names, PARALLEL_FILES, async (name) => {
    found.push(await entryAt(directory, path === '' ? name : `${path}/${name}`));
  });
  for (const entry of found.sort(byPath)) {
    if (entry.kind === 'directory') await listInto(entries, directory, entry.path);
    else entries.push(entry);
  }
}

async function entryAt(directory: string, path: string): Promise<TreeEntry> {
  const full = join(directory, path);
  const stats = await lstat(full).catch(() => null);
  if (stats?.isFile()) return { kind: 'file', path, mode: stats.mode & 0o7777 };
  if (stats?.isDirectory()) return { kind: 'directory', path, empty: false };
  if (stats?.isSymbolicLink()) return { kind: 'link', path, target: await readlink(full).catch(() => '') };
  return { kind: 'other', path };
}

/** Returns the differences between a tree and its expected files, in the order of paths. Reads every file with the right type and permissions. */
export async function compareTree(directory: string, entries: readonly TreeEntry[], files: readonly BundleFile[]): Promise<Change[]> {
  const changes: Change[] = [];
  const entryByPath = new Map(entries.map((entry) => [entry.path, entry]));
  await inParallel(files, PARALLEL_FILES, async (file) => {
    const entry = entryByPath.get(file.path);
    entryByPath.delete(file.path);
    if (entry === undefined) changes.push({ path: file.path, kind: 'missing' });
    else if (!(await isUnchanged(directory, entry, file))) changes.push({ path: file.path, kind: 'changed' });
  });
  for (const entry of entryByPath.values()) {
    // The entries of a directory already show it; an empty directory has none.
    if (entry.kind !== 'directory' || entry.empty) changes.push({ path: entry.path, kind: 'added' });
  }
  return changes.sort(byPath);
}

async function isUnchanged(directory: string, entry: TreeEntry, file: BundleFile): Promise<boolean> {
  if (entry.kind !== 'file' || entry.mode !== diskMode(file.mode)) return false;
  const hash = createHash('sha256');
  let size = 0;
  const readable = await readTreeFile(join(directory, file.path), async (chunk) => {
    hash.update(chunk);
    size += chunk.length;
  });
  return readable && size === file.size && hash.digest('hex') === file.sha256;
}

/**
 * Creates a directory, writes files into it and syncs everything to disk.
 *
 * @returns the written files, with the digests of the written bytes
 * @throws Problem `workspace_path_refused`, `workspace_unsafe`
 */
export async function writeTree<F extends { path: string; mode: string }>(
  directory: string,
  files: readonly F[],
  options: { content: Content<F>; onFile?: () => void; signal?: AbortSignal },
): Promise<BundleFile[]> {
  for (const file of files) checkRelativePath(file.path);
  const directories = [directory, ...parentsOf(files).map((path) => join(directory, path))];
  for (const path of directories) {
    await mkdir(path, { mode: 0o700 });
    await checkRealDirectory(path);
  }
  const written: BundleFile[] = [];
  await inParallel(files, PARALLEL_FILES, async (file) => {
    options.signal?.throwIfAborted();
    const result = await writeTreeFile(join(directory, file.path), file, options.content);
    if (result !== null) written.push({ path: file.path, mode: file.mode, ...result });
    options.onFile?.();
  });
  await inParallel(directories.reverse(), PARALLEL_FILES, syncDirectory);
  return written.sort(byPath);
}

/** Returns every folder of the files, outer ones first. */
function parentsOf(files: readonly { path: string }[]): string[] {
  const parents = new Set<string>();
  for (const { path } of files) {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) parents.add(path.slice(0, end));
  }
  return [...parents].sort();
}

async function writeTreeFile<F extends { mode: string }>(
  path: string,
  file: F,
  content: Content<F>,
): Promise<{ size: number; sha256: string } | null> {
  const handle = await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  try {
    const hash = createHash('sha256');
    let size = 0;
    const readable = await content(file, async (chunk) => {
      hash.update(chunk);
      size += chunk.length;
      await handle.writeFile(chunk);
    });
    await handle.chmod(diskMode(file.mode));
    await handle.sync();
    if (!readable) await rm(path);
    return readable ? { size, sha256: hash.digest('hex') } : null;
  } finally {
    await handle.close();
  }
}

/** Reads a regular file; returns false for any other or unreadable entry. Never follows a link and never waits for a pipe. */
export async function readTreeFile(path: string, write: (chunk: Uint8Array) => Promise<void>): Promise<boolean> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
    if (['ELOOP', 'ENOENT', 'ENOTDIR', 'EACCES', 'ENXIO'].includes(errnoOf(error) ?? '')) return null;
    throw error;
  });
  if (handle === null) return false;
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) return false;
    await pump(handle, Math.min(CHUNK_BYTES, stats.size + 1), write);
    return true;
  } finally {
    await handle.close();
  }
}

async function pump(handle: FileHandle, chunkBytes: number, write: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length);
    if (bytesRead === 0) return;
    await write(buffer.subarray(0, bytesRead));
  }
}

/** The controller owns the copy and must be able to read it, even if the mode denies that to the owner on the device. */
function diskMode(mode: string): number {
  return Number.parseInt(mode, 8) | 0o400;
}

function byPath(a: { path: string }, b: { path: string }): number {
  return a.path < b.path ? -1 : 1;
}
