import { createReadStream } from 'node:fs';
import { lstat, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { extractArchive } from '../../src/wire/archive.ts';
import { type BundleFile, BundleManifest, Digest, manifestBytes, sha256Hex } from '../../src/wire/bundle.ts';
import type { Fault } from '../faults.ts';
import { copyTree, isCode, linkTarget, pointLink, removeDurably, renameDurably, syncFolders, writeDurably } from './files.ts';
import type { Root } from './root.ts';

/** The files of releases on this device: writes one aside, points `current` at it, keeps copies, removes old ones. */

/** Copies of earlier releases that the agent keeps. */
const BACKUPS = 5;

/**
 * Verifies an archive while it writes the release aside, then moves release, archive and manifest to their places. It replaces an existing
 * release unless that one runs.
 * @throws WireError; an error of the disk
 */
export async function installRelease(root: Root, archive: string, digest: string, maxBytes: number, fault: Fault): Promise<BundleManifest> {
  const aside = `${releaseFolder(root, digest)}.tmp`;
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { mode: 0o755 });
  const manifest = await extractArchive(createReadStream(archive), {
    digest,
    maxBytes,
    writeFile: async (file, content) => {
      fault('during_extract');
      await writeReleaseFile(join(aside, file.path), file, content);
    },
  });
  await syncFolders(aside);
  fault('before_release_rename');
  if ((await runningDigest(root)) === digest) await rm(aside, { recursive: true, force: true });
  else {
    await rm(releaseFolder(root, digest), { recursive: true, force: true });
    await renameDurably(aside, releaseFolder(root, digest));
  }
  await writeDurably(join(root.bundles, `${digest}.json`), manifestBytes(manifest));
  await renameDurably(archive, join(root.bundles, `${digest}.tar`));
  fault('after_release_rename');
  return manifest;
}

/** The manifest of an installed bundle; null when it is missing or does not match the digest in its name. */
export async function readManifest(root: Root, digest: string): Promise<BundleManifest | null> {
  try {
    const bytes = await readFile(join(root.bundles, `${digest}.json`));
    return sha256Hex(bytes) === digest ? BundleManifest.parse(JSON.parse(bytes.toString('utf8'))) : null;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null;
    throw error;
  }
}

export function releaseFolder(root: Root, digest: string): string {
  return join(root.releases, digest);
}

/** The bundle that `current` points at; null when `current` is missing, is not a link, or points elsewhere. */
export async function runningDigest(root: Root): Promise<string | null> {
  const target = await linkTarget(root.current);
  if (target === null) return null;
  const digest = basename(target);
  return resolve(root.folder, target) === releaseFolder(root, digest) && Digest.safeParse(digest).success ? digest : null;
}

/**
 * Swaps `current` atomically; null removes it. The link is relative, so that the root can be mounted elsewhere. The agent sets anything else
 * in its place aside and does not delete it.
 */
export async function pointCurrent(root: Root, digest: string | null, between?: () => void): Promise<void> {
  const running = await runningDigest(root);
  if (running === digest) return;
  if (digest === null) return removeDurably(root.current);
  if (running === null && (await lstat(root.current).catch(() => null)) !== null)
    await root.setAside(root.current, '"current" was not the link that the agent had made');
  await pointLink(root.current, join('releases', digest), between);
}

/** Copies the running files, changed or not, into `folder` as `<n>-<digest>`, and removes all but the last copies. */
export async function backUp(root: Root, folder: string, fault: Fault, keep = BACKUPS): Promise<void> {
  const digest = await runningDigest(root);
  if (digest === null || !(await isFolder(releaseFolder(root, digest)))) return;
  const names = await backupNames(folder);
  const next = Number(names.at(-1)?.split('-')[0] ?? 0) + 1;
  const aside = join(folder, 'new.tmp');
  await rm(aside, { recursive: true, force: true });
  await copyTree(releaseFolder(root, digest), aside, () => fault('during_backup'));
  fault('before_backup_rename');
  await renameDurably(aside, join(folder, `${String(next).padStart(6, '0')}-${digest}`));
  for (const name of names.slice(0, Math.max(0, names.length + 1 - keep))) await rm(join(folder, name), { recursive: true, force: true });
}

/** Whether the release's folder exists, so that `current` would not dangle. */
export async function hasRelease(root: Root, digest: string): Promise<boolean> {
  return isFolder(releaseFolder(root, digest));
}

async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isDirectory() ?? false;
}

async function backupNames(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^\d+-[0-9a-f]{64}$/.test(name)).sort();
}

/** Names that the agent gives to releases, archives, manifests and downloads, also while it writes them. */
const OWN_NAME = /^(?:[0-9a-f]{64}(?:\.[a-z.]+)?|restored\.tmp)$/;

/** Removes releases, half-written ones, archives and downloads that no attempt and no rollback needs. It leaves other names alone. */
export async function tidy(root: Root, keep: (string | null)[]): Promise<void> {
  const kept = new Set([...keep, await runningDigest(root)]);
  for (const folder of [root.releases, root.bundles, root.staging]) {
    for (const name of await readdir(folder)) {
      if (!OWN_NAME.test(name)) continue;
      const digest = name.split('.')[0] ?? '';
      const halfWritten = folder !== root.staging && name.endsWith('.tmp');
      if (halfWritten || !kept.has(digest)) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

/** Paths below a release that differ from the manifest: changed, missing, or added. Sorted. */
export async function findDrift(folder: string, manifest: BundleManifest): Promise<string[]> {
  const expected = new Set(manifest.files.map(({ path }) => path));
  const changed: string[] = [];
  for (const file of manifest.files) if (!(await isAsExpected(join(folder, file.path), file))) changed.push(file.path);
  for (const path of await filesBelow(folder, '')) if (!expected.has(path)) changed.push(path);
  return changed.sort();
}

async function isAsExpected(path: string, file: BundleFile): Promise<boolean> {
  try {
    const info = await lstat(path);
    if (!info.isFile() || info.size !== file.size || (info.mode & 0o777) !== Number.parseInt(file.mode, 8)) return false;
    return sha256Hex(await readFile(path)) === file.sha256;
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return false;
    throw error;
  }
}

async function filesBelow(folder: string, prefix: string): Promise<string[]> {
  const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  });
  const nested = entries.map((entry) => {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(folder, path) : [path];
  });
  return (await Promise.all(nested)).flat();
}

/**
 * Restores the `changed` paths of a release from its verified archive, each by a rename, and removes those that the bundle does not have.
 * @throws an error when the archive is missing or damaged; the caller then downloads it again
 */
export async function restoreFiles(root: Root, digest: string, changed: string[], maxBytes: number): Promise<void> {
  const folder = releaseFolder(root, digest);
  const wanted = new Set(changed);
  await mkdir(folder, { recursive: true });
  await extractArchive(createReadStream(join(root.bundles, `${digest}.tar`)), {
    digest,
    maxBytes,
    // Before the files, because a link in a folder's place must be gone before a file is written below it.
    onManifest: async (manifest) => {
      const inBundle = new Set(manifest.files.map(({ path }) => path));
      for (const path of changed) if (!inBundle.has(path)) await rm(join(folder, path), { recursive: true, force: true });
    },
    writeFile: async (file, content) => {
      if (wanted.has(file.path)) await replaceFile(root, folder, file, content);
    },
  });
  await syncFolders(folder);
}

async function replaceFile(root: Root, folder: string, file: BundleFile, content: AsyncIterable<Uint8Array>): Promise<void> {
  const aside = join(root.staging, 'restored.tmp');
  await writeReleaseFile(aside, file, content);
  await clearWay(folder, file.path);
  await renameDurably(aside, join(folder, file.path));
}

/** Makes the parents of `path` real folders, so that no write follows a link, and removes `path` itself if it is a folder. */
async function clearWay(folder: string, path: string): Promise<void> {
  const segments = path.split('/');
  for (let depth = 1; depth <= segments.length; depth += 1) {
    const at = join(folder, ...segments.slice(0, depth));
    const isLast = depth === segments.length;
    const info = await lstat(at).catch(() => null);
    if (info !== null && (isLast ? info.isDirectory() : !info.isDirectory())) await rm(at, { recursive: true, force: true });
    if (!isLast) await mkdir(at, { recursive: true });
  }
}

async function writeReleaseFile(path: string, file: BundleFile, content: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const mode = Number.parseInt(file.mode, 8);
  const handle = await open(path, 'w', mode);
  try {
    for await (const chunk of content) await handle.write(chunk);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
