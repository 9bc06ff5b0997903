import { chmod, constants, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Problem } from '../errors.ts';
import { isNoSpace } from '../wire/no-space.ts';
import { UNFINISHED } from './layout.ts';

/** Makes renames, links and new names in a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  await directory.sync().finally(() => directory.close());
}

/** Writes a new file, mode 0600, and syncs it to disk; only `syncDirectory` syncs its name. Never writes through a link. */
export async function writeNewFile(path: string, bytes: Uint8Array | string): Promise<void> {
  const file = await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Replaces a file atomically: readers see the old file or the complete new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const aside = path + UNFINISHED;
  await rm(aside, { force: true });
  await writeNewFile(aside, text);
  await rename(aside, path);
  await syncDirectory(dirname(path));
}

/** Renames a temporary entry to its final name; `syncDirectory(parent)` syncs the rename to disk. */
export async function giveFinalName(parent: string, name: string): Promise<void> {
  await rename(join(parent, name + UNFINISHED), join(parent, name));
}

/** Removes a tree without following links; makes unwritable directories writable first. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (errnoOf(error) !== 'EACCES' && errnoOf(error) !== 'EPERM') throw error;
    await makeWritable(path);
    await rm(path, { recursive: true, force: true });
  }
}

async function makeWritable(path: string): Promise<void> {
  await chmod(path, 0o700);
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries) if (entry.isDirectory()) await makeWritable(join(path, entry.name));
}

/** Runs the task for all items, at most `limit` at a time. After a failure it starts no further task and throws when all running ones have ended. */
export async function inParallel<T>(items: readonly T[], limit: number, task: (item: T) => Promise<void>): Promise<void> {
  const pending = items.values();
  let failed = false;
  const worker = async () => {
    for (const item of pending) {
      if (failed) return;
      await task(item).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, worker));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Returns both results or throws the first error, but only after both promises have settled. */
export async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}

/** Converts file system errors to Problems, whose codes decide about a retry; returns any other error unchanged. */
export function diskProblem(action: string, error: unknown): unknown {
  const code = errnoOf(error);
  if (error instanceof Problem || code === undefined) return error;
  if (isNoSpace(error)) return new Problem('workspace_no_space', `Cannot ${action}: the disk is full`, { cause: error });
  return new Problem('workspace_io', `Cannot ${action}: ${code}`, { cause: error });
}

/** Returns a system error's code, such as ENOENT; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'errno' in error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
