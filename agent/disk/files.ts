import { constants, type Dirent } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setAside } from './set-aside.ts';

/** File operations that survive a power cut: each one returns after its changes are on the disk. */

/** Replaces a file atomically: a reader sees either the old or the new content. */
export async function writeDurably(path: string, bytes: string | Uint8Array, mode = 0o600): Promise<void> {
  const aside = `${path}.tmp`;
  for (const taken of [aside, path]) if (await isDirectory(taken)) await setAside(taken);
  const file = await open(aside, 'w', mode);
  try {
    await file.writeFile(bytes);
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await renameDurably(aside, path);
}

/** Copies the file first if it is on another file system (`staging` may be a link to one). */
export async function renameDurably(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!isCode(error, 'EXDEV')) throw error;
    const aside = `${to}.tmp`;
    await copyFile(from, aside);
    await syncPath(aside);
    await rename(aside, to);
    await rm(from);
  }
  await syncPath(dirname(to));
}

async function isDirectory(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isDirectory() ?? false;
}

/** Replaces a symbolic link atomically. It calls `between` after it wrote the new link aside and before the rename. */
export async function pointLink(link: string, target: string, between?: () => void): Promise<void> {
  const aside = `${link}.tmp`;
  if (await isDirectory(aside)) await setAside(aside);
  await rm(aside, { force: true });
  await symlink(target, aside);
  between?.();
  await renameDurably(aside, link);
}

/** Unresolved target of a symbolic link; null when there is no link. */
export async function linkTarget(link: string): Promise<string | null> {
  try {
    return await readlink(link);
  } catch (error) {
    if (isCode(error, 'ENOENT', 'EINVAL')) return null;
    throw error;
  }
}

export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true, recursive: true });
  await syncPath(dirname(path));
}

/** Flushes a file, or a folder's list of entries. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Flushes every folder of a tree, the deepest first. The caller flushed the files when it wrote them. */
export async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isDirectory()) await syncFolders(join(folder, entry.name));
  await syncPath(folder);
}

/** Copies a tree with its modes, links as links, and flushes it. `to` must not exist. */
export async function copyTree(from: string, to: string, onFile?: () => void): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    await copyEntry(entry, join(from, entry.name), join(to, entry.name), onFile);
  }
  await chmod(to, (await lstat(from)).mode & 0o777);
  await syncPath(to);
}

async function copyEntry(entry: Dirent, from: string, to: string, onFile?: () => void): Promise<void> {
  if (entry.isDirectory()) return copyTree(from, to, onFile);
  if (entry.isSymbolicLink()) return symlink(await readlink(from), to);
  if (!entry.isFile()) return;
  onFile?.();
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  await syncPath(to);
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}
