import { lstat, mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expecting, Problem } from '../errors.ts';
import { BUNDLE_MANIFEST_NAME, BundleManifest, manifestBytes, sha256Hex } from '../wire/bundle.ts';
import { removeTree, syncDirectory, writeNewFile } from './durable.ts';
import { FILES, RELEASE_NAME, UNFINISHED, type WorkspacePaths } from './layout.ts';
import { type Change, type Content, compareTree, listTree, readTreeFile, writeTree } from './tree.ts';

/** Larger than any manifest of 100,000 files. */
const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;

/** The target of `current`. `foreign`: an entry that this service did not create. */
export type Current = { kind: 'none' } | { kind: 'foreign' } | { kind: 'release'; release: string; digest: string };

export async function readCurrent(paths: WorkspacePaths): Promise<Current> {
  const stats = await lstat(paths.current).catch(expecting(null, 'ENOENT'));
  if (stats === null) return { kind: 'none' };
  if (!stats.isSymbolicLink()) return { kind: 'foreign' };
  const [folder, release, last, ...rest] = (await readlink(paths.current)).split('/');
  const digest = RELEASE_NAME.exec(release ?? '')?.[1];
  if (folder !== 'releases' || release === undefined || digest === undefined || last !== FILES || rest.length > 0)
    return { kind: 'foreign' };
  return { kind: 'release', release, digest };
}

/** Returns null for a manifest that is missing, damaged or of another digest. */
export async function readManifest(paths: WorkspacePaths, release: string, digest: string): Promise<BundleManifest | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  const readable = await readTreeFile(join(paths.releases, release, BUNDLE_MANIFEST_NAME), async (chunk) => {
    size += chunk.length;
    if (size <= MAX_MANIFEST_BYTES) chunks.push(Buffer.from(chunk));
  });
  const bytes = Buffer.concat(chunks);
  // A correct digest shows that the bytes are a manifest, so parsing cannot fail.
  return readable && sha256Hex(bytes) === digest ? BundleManifest.parse(JSON.parse(bytes.toString())) : null;
}

/** Returns the differences between a release and its bundle. The path '' means the whole release: its manifest is damaged. */
export async function compareRelease(paths: WorkspacePaths, { release, digest }: { release: string; digest: string }): Promise<Change[]> {
  const manifest = await readManifest(paths, release, digest);
  if (manifest === null) return [{ path: '', kind: 'changed' }];
  const directory = join(paths.releases, release, FILES);
  return compareTree(directory, await listTree(directory), manifest.files);
}

export type ReleasePlan<F> = {
  digest: string;
  /** null: unknown, for a restore from the backup of a damaged release. */
  manifest: BundleManifest | null;
  files: readonly F[];
  content: Content<F>;
  onFile?: () => void;
  signal?: AbortSignal;
};

/**
 * Writes a release under a temporary name, reads it back and compares.
 *
 * @returns its name for `giveFinalName`
 * @throws Problem `workspace_content_mismatch` when the bytes of a file differ from its manifest
 */
export async function writeRelease<F extends { path: string; mode: string; size: number; sha256: string }>(
  paths: WorkspacePaths,
  plan: ReleasePlan<F>,
): Promise<string> {
  const release = await freeName(paths, plan.digest);
  const aside = join(paths.releases, release + UNFINISHED);
  await mkdir(aside, { mode: 0o700 });
  if (plan.manifest !== null) await writeNewFile(join(aside, BUNDLE_MANIFEST_NAME), manifestBytes(plan.manifest));
  const directory = join(aside, FILES);
  await writeTree(directory, plan.files, plan);
  const [change] = await compareTree(directory, await listTree(directory), plan.files);
  if (change !== undefined) {
    const message = `Cannot write release "${plan.digest}": "${change.path}" is ${change.kind}, must have the size and SHA-256 that its manifest names`;
    throw new Problem('workspace_content_mismatch', message);
  }
  await syncDirectory(aside);
  return release;
}

async function freeName(paths: WorkspacePaths, digest: string): Promise<string> {
  const taken = new Set(await readdir(paths.releases));
  for (let generation = 1; ; generation += 1) {
    const name = generation === 1 ? digest : `${digest}.${generation}`;
    if (!taken.has(name)) return name;
  }
}

/** Switches to the new release atomically: a rename over `current`, which never follows the old link. */
export async function swapCurrent(paths: WorkspacePaths, release: string, onLink: () => void): Promise<void> {
  const aside = paths.current + UNFINISHED;
  await rm(aside, { recursive: true, force: true });
  await symlink(`releases/${release}/${FILES}`, aside);
  onLink();
  await rename(aside, paths.current);
  await syncDirectory(paths.directory);
}

/** Removes the leftovers of a crash: every unfinished entry, and every release to which `current` does not point. */
export async function removeLeftovers(paths: WorkspacePaths): Promise<void> {
  const [current, own, releases, backups] = await Promise.all([
    readCurrent(paths),
    readdir(paths.directory),
    readdir(paths.releases),
    readdir(paths.backups),
  ]);
  for (const name of own) if (name.endsWith(UNFINISHED)) await removeTree(join(paths.directory, name));
  for (const name of backups) if (name.endsWith(UNFINISHED)) await removeTree(join(paths.backups, name));
  for (const name of releases) {
    // While `current` is missing or foreign, a release may be the only remaining copy of the last state.
    const unused = name.endsWith(UNFINISHED) || (current.kind === 'release' && name !== current.release);
    if (unused) await removeTree(join(paths.releases, name));
  }
}
