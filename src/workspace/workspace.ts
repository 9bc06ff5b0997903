import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createSerial, type Serial } from '../async/serial.ts';
import { expecting } from '../errors.ts';
import { faultPoint } from '../faults.ts';
import { type BundleManifest, bundleDigest } from '../wire/bundle.ts';
import { type BackupInfo, backupContent, keepBackup, listBackups, loadBackup, pruneBackups, writeBackup } from './backups.ts';
import { both, diskProblem, errnoOf, removeTree, replaceFile, syncDirectory, unveil } from './durable.ts';
import { existingWorkspace, FILES, pathsOf, UNFINISHED, WORKSPACE_NAME, type WorkspacePaths } from './layout.ts';
import { type Current, compareRelease, type ReleasePlan, readCurrent, removeLeftovers, swapCurrent, writeRelease } from './release.ts';
import { type Change, compareTree, listTree } from './tree.ts';

/**
 * The isolated directories of devices on this controller. Operations on one workspace run one after the other within this process; that
 * no other process works on the same one is the caller's to see to. How many run at once is the caller's, too.
 *
 * A crash at any instant leaves `current` on the old or the new state, whole; what it left behind is removed at the next use.
 * All throw Problem `not_found` for a workspace that is not there, `workspace_unsafe` when links were planted in its own folders,
 * `workspace_no_space` and `workspace_io` when the disk refuses.
 */
export type Workspaces = {
  /** @returns the name: 128 random bits, so that nobody can guess the directory of another tenant */
  create(owner: WorkspaceOwner): Promise<string>;
  /**
   * Brings `current` to the bundle: the release is written aside and read back while what is there is backed up; then `current` is swapped.
   * When `current` holds exactly that already, nothing is done. Also throws Problem `workspace_content_mismatch`, `workspace_path_refused`.
   */
  applyRelease(name: string, release: Release, options: ChangeOptions): Promise<Applied>;
  /**
   * Brings back what a backup holds to the byte, drift included (links excepted); what is current is backed up first. Throws as
   * `applyRelease`, and Problem `backup_not_restorable`.
   */
  restore(name: string, backupId: string, options: ChangeOptions): Promise<Applied>;
  verify(name: string): Promise<Verification>;
  /** Newest first, at most five. */
  listBackups(name: string): Promise<BackupInfo[]>;
  /** Whether it was there. */
  remove(name: string): Promise<boolean>;
  /** Removes the workspaces that nobody keeps and that were last changed before `untouchedSince`. @returns their names */
  prune(options: { keep: ReadonlySet<string>; untouchedSince: Date }): Promise<string[]>;
};

export type WorkspaceOwner = { organizationId: string; deviceId: string };
export type Release = { manifest: BundleManifest; readFile(sha256: string): Promise<Uint8Array> };
export type ChangeOptions = {
  /** Why, for people who look through the backups. */
  reason: string;
  signal?: AbortSignal;
  /** Called at each point between which a crash could come; for tests that make it come. */
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
/** `changed` false: it was so already. `backup`: null when there was nothing to back up. */
export type Applied = { digest: string; changed: boolean; backup: string | null };
/** `digest` names the bundle that `current` is meant to hold. In `changed`, the path '' stands for `current` as a whole. */
export type Verification = { state: 'empty' | 'clean' | 'drifted'; digest: string | null; changed: Change[] };

/** `root` is made when it is missing. */
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

/** Made aside and renamed: a workspace that has its name is whole. */
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
    await removeTree(aside.directory).catch(leaveForLater);
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
 * Release and backup are written aside at the same time, and get their names only when both are whole: a release that cannot be written
 * costs none of the few backups, and there is no swap without a backup.
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
    await unveil(paths.releases, release);
    step('release_kept');
    if (backup !== null) await keepBackup(paths, current, backup);
    step('backup_kept');
    await both(syncDirectory(paths.releases), syncDirectory(paths.backups));
    await swapCurrent(paths, release, () => step('link_written'));
    swapped = true;
    step('swapped');
    return { digest: plan.digest, changed: true, backup };
  } finally {
    // After the swap the change has happened, before it the error is what counts: what cannot be removed now is, at the next use.
    await removeLeftovers(paths).catch(leaveForLater);
    await pruneBackups(paths).catch(leaveForLater);
    if (swapped) step('cleaned');
  }
}

/** The file system refuses to remove something now; a defect of ours must not hide behind that. */
function leaveForLater(error: unknown): void {
  if (errnoOf(error) === undefined) throw error;
}

async function verify(paths: WorkspacePaths): Promise<Verification> {
  const current = await readCurrent(paths);
  if (current.kind === 'none') return { state: 'empty', digest: null, changed: [] };
  if (current.kind === 'foreign') return { state: 'drifted', digest: null, changed: [{ path: '', kind: 'changed' }] };
  const changed = await compareRelease(paths, current);
  return { state: changed.length === 0 ? 'clean' : 'drifted', digest: current.digest, changed };
}

/** Renamed first, so that a crash leaves no half workspace under its name. */
async function remove(base: string, name: string): Promise<boolean> {
  if (!WORKSPACE_NAME.test(name)) return false;
  const doomed = join(base, name + UNFINISHED);
  try {
    await rename(join(base, name), doomed);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw diskProblem(`remove workspace "${name}"`, error);
  }
  await removeTree(doomed);
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
