import { lstat, mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { expecting, notFound, Problem } from '../errors.ts';

/**
 * ```
 * <root>/<name>/                     mode 0700; the name is 128 random bits
 *   workspace.json                   whose it is
 *   current -> releases/<release>/files
 *   releases/<release>/              bundle.json and files/; the release is named by its bundle's digest, with .2, .3 … behind it
 *                                    when the directory of that name is still in use (a drifted release is healed beside itself)
 *   backups/<n>-<digest>/            backup.json and files/
 * ```
 * Whatever ends in `.tmp` is unfinished, and removed at the workspace's next use.
 */
export type WorkspacePaths = { directory: string; releases: string; backups: string; current: string; info: string };

export const WORKSPACE_NAME = /^[0-9a-f]{32}$/;
export const UNFINISHED = '.tmp';
export const FILES = 'files';
export const RELEASE_NAME = /^([0-9a-f]{64})(?:\.\d+)?$/;
export const BACKUP_ID = /^(\d{1,15})-([0-9a-f]{64}|unknown)$/;

export function pathsOf(directory: string): WorkspacePaths {
  return {
    directory,
    releases: join(directory, 'releases'),
    backups: join(directory, 'backups'),
    current: join(directory, 'current'),
    info: join(directory, 'workspace.json'),
  };
}

/**
 * The workspace's own folders, once it is certain that none of them leads elsewhere.
 *
 * @throws Problem `not_found`, `workspace_unsafe`
 */
export async function existingWorkspace(root: string, name: string): Promise<WorkspacePaths> {
  if (!WORKSPACE_NAME.test(name)) throw notFound('workspace', name.slice(0, 64));
  const paths = pathsOf(join(root, name));
  const folders = [paths.directory, paths.releases, paths.backups];
  const found = await Promise.all(folders.map(isRealDirectory));
  if (found.every(Boolean)) return paths;
  if ((await lstat(paths.directory).catch(expecting(null, 'ENOENT'))) === null) throw notFound('workspace', name);
  await checkRealDirectory(paths.directory);
  for (const folder of [paths.releases, paths.backups]) {
    await mkdir(folder, { mode: 0o700 }).catch(toleratesExisting);
    await checkRealDirectory(folder);
  }
  return paths;
}

/** @throws Problem `workspace_unsafe` unless the path, symlinks resolved, is itself and a directory */
export async function checkRealDirectory(path: string): Promise<void> {
  if (await isRealDirectory(path)) return;
  throw new Problem('workspace_unsafe', `Cannot use "${path}": it is a link or no directory, must be a directory made by this service`);
}

/** `path` must be absolute and normalised. */
export async function isRealDirectory(path: string): Promise<boolean> {
  const [real, stats] = await Promise.all([realpath(path), lstat(path)]).catch(() => [null, null] as const);
  return real === path && stats?.isDirectory() === true;
}

/**
 * The last gate before a name from outside becomes a path on this disk; bundles were checked when they were built.
 *
 * @throws Problem `workspace_path_refused`
 */
export function checkRelativePath(path: string): void {
  const bad = path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..' || Buffer.byteLength(segment) > 255);
  if (!bad && !/[\\\p{Cc}]/u.test(path)) return;
  throw new Problem(
    'workspace_path_refused',
    `Cannot write "${path.slice(0, 200)}": it must be a relative, normalised path without control characters`,
  );
}

function toleratesExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
