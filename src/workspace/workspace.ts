import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createSerial, type Serial } from '../async/serial.ts';
import { expecting } from '../errors.ts';
import { faultPoint } from '../faults.ts';
import { type BundleManifest, bundleDigest } from '../wire/bundle.ts';
import { type BackupInfo, backupContent, keepBackup, listBackups, loadBackup, pruneBackups, writeBackup } from './backups.ts';
import { both, diskProblem, errnoOf, giveFinalName, removeTree, replaceFile, syncDirectory } from './durable.ts';
import { existingWorkspace, FILES, pathsOf, UNFINISHED, WORKSPACE_NAME, type WorkspacePaths } from './layout.ts';
import { type Current, compareRelease, type ReleasePlan, readCurrent, removeLeftovers, swapCurrent, writeRelease } from './release.ts';
import { type Change, compareTree, listTree } from './tree.ts';

/**
 * The isolated directories of devices on this controller. This process runs the operations on one workspace one after the other. The caller must
 * exclude other processes from the same workspace, and must limit the number of simultaneous operations.
 *
 * A crash at any instant leaves `current` on the complete old or new state; the next use removes the leftovers.
 * All operations throw Problem `not_found` for a missing workspace, `workspace_unsafe` for links planted in its own folders, and
 * `workspace_no_space` and `workspace_io` for disk errors.
 */
export type Workspaces = {
  /** @returns the name: 128 random bits, so that nobody can guess the directory of another tenant */
  create(owner: WorkspaceOwner): Promise<string>;
  /**
   * Switches `current` to the bundle: writes the release and reads it back while it backs up the old state, then swaps `current`.
   * Does nothing if `current` already equals the bundle. Also throws Problem `workspace_content_mismatch`, `workspace_path_refused`.
   */
  applyRelease(name: string, release: Release, options: ChangeOptions): Promise<Applied>;
  /**
   * Restores the exact bytes of a backup, drift included, except links; backs up the current state first. Throws as `applyRelease`, and Problem
   * `backup_not_restorable`.
   */
  restore(name: string, backupId: string, options: ChangeOptions): Promise<Applied>;
  verify(name: string): Promise<Verification>;
  /** Returns at most five backups, the newest first. */
  listBackups(name: string): Promise<BackupInfo[]>;
  /** @returns whether the workspace existed */
  remove(name: string): Promise<boolean>;
  /** Removes the workspaces that are not in `keep` and that last changed before `untouchedSince`. @returns their names */
  prune(options: { keep: ReadonlySet<string>; untouchedSince: Date }): Promise<string[]>;
};

export type WorkspaceOwner = { organizationId: string; deviceId: string };
export type Release = { manifest: BundleManifest; readFile(sha256: string): Promise<Uint8Array> };
export type ChangeOptions = {
  /** The reason of the change, for readers of the list of backups. */
  reason: string;
  signal?: AbortSignal;
  /** For tests that simulate a crash: called after each step. */
  onStep?: (step: WorkspaceStep) => void;
};
export type WorkspaceStep =
  | 'release_file_written'
  | 'backup_file_written'
  | 'written'
  | 'release_kept'
  | 'backup_kept'
  | 'link_written'
  | 'swapped'
  | 'cleaned';
/** `changed` is false if `current` already had the wanted state. `backup` is null if there was nothing to back up. */
export type Applied = { digest: string; changed: boolean; backup: string | null };
/** `digest` names the expected bundle of `current`. In `changed`, the path '' means `current` as a whole. */
export type Verification = { state: 'empty' | 'clean' | 'drifted'; digest: string | null; changed: Change[] };

/** Creates `root` if it is missing. */
export async function openWorkspaces(root: string, now: () => Date = () => new Date()): Promise<Workspaces> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  const base = await realpath(root);
  const { run: exclusive } = createSerial();
  const within = <T>(action: string, name: string, task: (paths: WorkspacePaths) => Promise<T>): Promise<T> =>
    exclusive(name, async () => {
      const paths = await existingWorkspace(base, name);
      await removeLeftovers(paths);
      return task(paths);
    }).catch((error: unknown) => {
      throw diskProblem(`${action} workspace "${name}"`, error);
    });
  return {
    create: (owner) => create(base, owner),
    applyRelease: (name, release, options) => within('apply a release to', name, (paths) => applyRelease(paths, release, options, now())),
    restore: (name, backupId, options) => within('restore a backup in', name, (paths) => restore(paths, backupId, options, now())),
    verify: (name) => within('verify', name, verify),
    listBackups: (name) => within('list the backups of', name, listBackups),
    remove: (name) => exclusive(name, () => remove(base, name)),
    prune: (options) => prune(base, options, exclusive),
  };
}

/** Creates the workspace under a temporary name and renames it, so that a workspace with its final name is complete. */
async function create(base: string, owner: WorkspaceOwner): Promise<string> {
  const name = randomBytes(16).toString('hex');
  const aside = pathsOf(join(base, name + UNFINISHED));
  try {
    for (const path of [aside.directory, aside.releases, aside.backups]) await mkdir(path, { mode: 0o700 });
    await replaceFile(aside.info, `${JSON.stringify({ organizationId: owner.organizationId, deviceId: owner.deviceId }, null, 2)}\n`);
    await rename(aside.directory, join(base, name));
    await syncDirectory(base);
    return name;
  } catch (error) {
    await removeTree(aside.directory).catch(ignoreDiskError);
    throw diskProblem(`create a workspace for "${owner.deviceId}"`, error);
  }
}

async function applyRelease(paths: WorkspacePaths, { manifest, readFile }: Release, options: ChangeOptions, now: Date): Promise<Applied> {
  const digest = bundleDigest(manifest);
  const current = await readCurrent(paths);
  const same = current.kind === 'release' && current.digest === digest;
  if (same && (await compareRelease(paths, current)).length === 0) return { digest, changed: false, backup: null };
  const plan: ReleasePlan<BundleManifest['files'][number]> = {
    digest,
    manifest,
    files: manifest.files,
    content: async (file, write) => {
      await write(await readFile(file.sha256));
      return true;
    },
  };
  return change(paths, current, plan, options, now);
}

async function restore(paths: WorkspacePaths, backupId: string, options: ChangeOptions, now: Date): Promise<Applied> {
  const { digest, manifest, files } = await loadBackup(paths, backupId);
  const current = await readCurrent(paths);
  if (current.kind === 'release' && current.digest === digest) {
    const directory = join(paths.releases, current.release, FILES);
    const changes = await compareTree(directory, await listTree(directory), files);
    if (changes.length === 0) return { digest, changed: false, backup: null };
  }
  return change(paths, current, { digest, manifest, files, content: backupContent(paths, backupId) }, options, now);
}

/**
 * Writes release and backup simultaneously under temporary names and renames them only when both are complete. A failed release therefore displaces
 * none of the few backups, and no swap happens without a backup.
 */
async function change<F extends BundleManifest['files'][number]>(
  paths: WorkspacePaths,
  current: Current,
  plan: ReleasePlan<F>,
  { reason, signal, onStep }: ChangeOptions,
  now: Date,
): Promise<Applied> {
  const step = (taken: WorkspaceStep) => {
    faultPoint(`workspace_${taken}`);
    onStep?.(taken);
  };
  let swapped = false;
  try {
    const [release, backup] = await both(
      writeRelease(paths, { ...plan, signal, onFile: () => step('release_file_written') }),
      writeBackup(paths, current, { reason, at: now, signal, onFile: () => step('backup_file_written') }),
    );
    step('written');
    signal?.throwIfAborted();
    await giveFinalName(paths.releases, release);
    step('release_kept');
    if (backup !== null) await keepBackup(paths, current, backup);
    step('backup_kept');
    await both(syncDirectory(paths.releases), syncDirectory(paths.backups));
    await swapCurrent(paths, release, () => step('link_written'));
    swapped = true;
    step('swapped');
    return { digest: plan.digest, changed: true, backup };
  } finally {
    // A failed cleanup must neither undo a completed swap nor hide the error before it. The next use removes the leftovers.
    await removeLeftovers(paths).catch(ignoreDiskError);
    await pruneBackups(paths).catch(ignoreDiskError);
    if (swapped) step('cleaned');
  }
}

/** Ignores errors of the file system only, so that programming errors stay visible. */
function ignoreDiskError(error: unknown): void {
  if (errnoOf(error) === undefined) throw error;
}

async function verify(paths: WorkspacePaths): Promise<Verification> {
  const current = await readCurrent(paths);
  if (current.kind === 'none') return { state: 'empty', digest: null, changed: [] };
  if (current.kind === 'foreign') return { state: 'drifted', digest: null, changed: [{ path: '', kind: 'changed' }] };
  const changed = await compareRelease(paths, current);
  return { state: changed.length === 0 ? 'clean' : 'drifted', digest: current.digest, changed };
}

/** Renames the workspace first, so that a crash leaves no partial workspace under its name. */
async function remove(base: string, name: string): Promise<boolean> {
  if (!WORKSPACE_NAME.test(name)) return false;
  const removing = join(base, name + UNFINISHED);
  try {
    await rename(join(base, name), removing);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw diskProblem(`remove workspace "${name}"`, error);
  }
  await removeTree(removing);
  return true;
}

async function prune(base: string, options: { keep: ReadonlySet<string>; untouchedSince: Date }, exclusive: Exclusive): Promise<string[]> {
  const removed: string[] = [];
  for (const entry of await readdir(base)) {
    const name = entry.endsWith(UNFINISHED) ? entry.slice(0, -UNFINISHED.length) : entry;
    if (!WORKSPACE_NAME.test(name) || options.keep.has(entry)) continue;
    const stats = await lstat(join(base, entry)).catch(expecting(null, 'ENOENT'));
    if (stats === null || stats.mtime >= options.untouchedSince) continue;
    if (entry !== name) await removeTree(join(base, entry));
    else if (await exclusive(name, () => remove(base, name))) removed.push(name);
  }
  return removed;
}

type Exclusive = Serial['run'];
