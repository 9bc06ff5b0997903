import { lstat, mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { expecting, notFound, Problem } from '../errors.ts';

/**
 * ```
 * <root>/<name>/                     mode 0700; the name is 128 random bits
 *   workspace.json                   its organization and device
 *   current -> releases/<release>/files
 *   releases/<release>/              bundle.json and files/; the name is the bundle's digest, with the suffix .2, .3 … while a directory
 *                                    of that name is in use (a drifted release is replaced by a second one)
 *   backups/<n>-<digest>/            backup.json and files/
 * ```
 * Every name that ends in `.tmp` is unfinished. The workspace's next use removes it.
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
 * Returns the workspace's own folders after verifying that none of them is a link.
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
    await mkdir(folder, { mode: 0o700 }).catch(ignoreExisting);
    await checkRealDirectory(folder);
  }
  return paths;
}

/** @throws Problem `workspace_unsafe` unless the path is a directory and contains no symlink */
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
 * The last check before an external name becomes a path on this disk; the build of the bundle has already checked it.
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

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
