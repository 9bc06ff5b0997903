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

/** A new file, mode 0600, on disk when this returns (its name only after `syncDirectory`). Never writes through a link. */
export async function writeNewFile(path: string, bytes: Uint8Array | string): Promise<void> {
  const file = await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Readers see the old file or the whole new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const aside = path + UNFINISHED;
  await rm(aside, { force: true });
  await writeNewFile(aside, text);
  await rename(aside, path);
  await syncDirectory(dirname(path));
}

/** Gives what was written aside its name, on disk once `syncDirectory(parent)` returns. */
export async function unveil(parent: string, name: string): Promise<void> {
  await rename(join(parent, name + UNFINISHED), join(parent, name));
}

/** Removes without following links; makes directories writable that somebody closed. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (errnoOf(error) !== 'EACCES' && errnoOf(error) !== 'EPERM') throw error;
    await openDirectories(path);
    await rm(path, { recursive: true, force: true });
  }
}

async function openDirectories(path: string): Promise<void> {
  await chmod(path, 0o700);
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries) if (entry.isDirectory()) await openDirectories(join(path, entry.name));
}

/** Runs the task for all items, at most `limit` at a time. After a failure none is begun, and it throws only once none runs any more. */
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

/** Both results, or the first error, but not before neither runs any more. */
export async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}

/** Errors of the file system as Problems that say whether it is worth trying again; everything else as it is. */
export function diskProblem(action: string, error: unknown): unknown {
  const code = errnoOf(error);
  if (error instanceof Problem || code === undefined) return error;
  if (isNoSpace(error)) return new Problem('workspace_no_space', `Cannot ${action}: the disk is full`, { cause: error });
  return new Problem('workspace_io', `Cannot ${action}: ${code}`, { cause: error });
}

/** The system's own word, such as ENOENT; undefined for errors that are none of the system's. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'errno' in error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
