import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { notFound, Problem } from '../errors.ts';
import { BundleFile, BundleManifest, Digest } from '../wire/bundle.ts';
import { giveFinalName, removeTree, syncDirectory, writeNewFile } from './durable.ts';
import { BACKUP_ID, FILES, isRealDirectory, UNFINISHED, type WorkspacePaths } from './layout.ts';
import { type Current, readManifest } from './release.ts';
import { compareTree, listTree, readTreeFile, writeTree } from './tree.ts';

/** Limit per workspace. `pruneBackups` removes the oldest beyond it. */
const BACKUPS_KEPT = 5;

const RECORD_NAME = 'backup.json';

const BackupRecord = z.object({
  /** The bundle that `current` held; null for a `foreign` state. */
  digest: Digest.nullable(),
  createdAt: z.iso.datetime(),
  reason: z.string(),
  /** `foreign`: something else than a release stood in the place of `current` and was moved into the backup unchanged. */
  state: z.enum(['clean', 'drifted', 'foreign']),
  manifest: BundleManifest.nullable(),
  /** The files copied to `files/`. */
  files: z.array(BundleFile.extend({ path: z.string() })),
  /** Recorded but not copied: a restore never recreates a link. */
  links: z.array(z.object({ path: z.string(), target: z.string() })),
  /** Pipes, sockets, devices and unreadable entries. */
  skipped: z.array(z.string()),
});
export type BackupRecord = z.infer<typeof BackupRecord>;

export type BackupInfo = {
  id: string;
  /** Increases with every backup of the workspace. */
  number: number;
  digest: string | null;
  createdAt: string | null;
  reason: string | null;
  /** `damaged`: the record is unreadable, so the backup cannot be restored. */
  state: BackupRecord['state'] | 'damaged';
};

/** Returns the newest backup first. */
export async function listBackups(paths: WorkspacePaths): Promise<BackupInfo[]> {
  const infos: BackupInfo[] = [];
  for (const id of await backupIds(paths)) {
    const record = await readRecord(paths, id);
    const { digest, createdAt, reason, state } = record ?? { digest: null, createdAt: null, reason: null, state: 'damaged' as const };
    infos.push({ id, number: numberOf(id), digest, createdAt, reason, state });
  }
  return infos;
}

/** @throws Problem `not_found`, `backup_not_restorable` */
export async function loadBackup(paths: WorkspacePaths, id: string): Promise<BackupRecord & { digest: string }> {
  if (!(await backupIds(paths)).includes(id)) throw notFound('backup', id.slice(0, 100));
  const record = await readRecord(paths, id);
  const { digest } = record ?? {};
  if (record && digest) return { ...record, digest };
  const why = record === null ? 'its record is damaged' : 'it has no release, but something that was placed at "current" by hand';
  throw new Problem('backup_not_restorable', `Cannot restore backup "${id}": ${why}`);
}

export type BackupOptions = { reason: string; at: Date; onFile?: () => void; signal?: AbortSignal };

/**
 * Copies the content of `current`, drift included, under a temporary name and syncs it to disk.
 *
 * @returns the backup's id for `keepBackup`; null when there is nothing to back up
 */
export async function writeBackup(paths: WorkspacePaths, current: Current, options: BackupOptions): Promise<string | null> {
  if (current.kind === 'none') return null;
  const [newest] = await backupIds(paths);
  const number = newest === undefined ? 1 : numberOf(newest) + 1;
  const id = `${number}-${current.kind === 'release' ? current.digest : 'unknown'}`;
  const aside = join(paths.backups, id + UNFINISHED);
  await mkdir(aside, { mode: 0o700 });
  const record = current.kind === 'release' ? await copyRelease(paths, current, aside, options) : await recordForeign(aside, options);
  await writeNewFile(join(aside, RECORD_NAME), JSON.stringify(record));
  await syncDirectory(aside);
  return id;
}

export async function keepBackup(paths: WorkspacePaths, current: Current, id: string): Promise<void> {
  await giveFinalName(paths.backups, id);
  // The move follows the rename of the backup, so that a crash in between leaves `current` in place.
  if (current.kind === 'foreign') await rename(paths.current, join(paths.backups, id, FILES, 'current'));
}

/** Reads a file of a backup for `writeRelease`, which checks the bytes against the record. It never follows a planted link. */
export function backupContent(paths: WorkspacePaths, id: string) {
  return async (file: { path: string }, write: (chunk: Uint8Array) => Promise<void>) => {
    const path = join(paths.backups, id, FILES, file.path);
    return (await isRealDirectory(dirname(path))) && readTreeFile(path, write);
  };
}

/** Keeps the newest `BACKUPS_KEPT` backups and removes the rest. */
export async function pruneBackups(paths: WorkspacePaths): Promise<void> {
  for (const id of (await backupIds(paths)).slice(BACKUPS_KEPT)) await removeTree(join(paths.backups, id));
}

async function copyRelease(
  paths: WorkspacePaths,
  current: { release: string; digest: string },
  aside: string,
  options: BackupOptions,
): Promise<BackupRecord> {
  const source = join(paths.releases, current.release, FILES);
  const entries = await listTree(source);
  const found = entries.flatMap((entry) => (entry.kind === 'file' ? [{ path: entry.path, mode: modeText(entry.mode) }] : []));
  // Releases never have such names. The backup lists them under `skipped`, like every other entry that a restore cannot recreate.
  const [regular, odd] = [found.filter(({ path }) => isPortable(path)), found.filter(({ path }) => !isPortable(path))];
  const directory = join(aside, FILES);
  const files = await writeTree(directory, regular, {
    content: (file, write) => readTreeFile(join(source, file.path), write),
    onFile: options.onFile,
    signal: options.signal,
  });
  const manifest = await readManifest(paths, current.release, current.digest);
  const copied = new Set(files.map(({ path }) => path));
  const skipped = [...regular.filter(({ path }) => !copied.has(path)), ...odd, ...entries.filter(({ kind }) => kind === 'other')].map(
    ({ path }) => path,
  );
  const links = entries.flatMap((entry) => (entry.kind === 'link' ? [{ path: entry.path, target: entry.target }] : []));
  const clean = manifest !== null && (await compareTree(source, entries, manifest.files)).length === 0;
  return { ...common(options), digest: current.digest, state: clean ? 'clean' : 'drifted', manifest, files, links, skipped };
}

async function recordForeign(aside: string, options: BackupOptions): Promise<BackupRecord> {
  await mkdir(join(aside, FILES), { mode: 0o700 });
  return { ...common(options), digest: null, state: 'foreign', manifest: null, files: [], links: [], skipped: [] };
}

function common(options: BackupOptions) {
  return { createdAt: options.at.toISOString(), reason: options.reason };
}

async function readRecord(paths: WorkspacePaths, id: string): Promise<BackupRecord | null> {
  if (!(await isRealDirectory(join(paths.backups, id)))) return null;
  const chunks: Buffer[] = [];
  const readable = await readTreeFile(join(paths.backups, id, RECORD_NAME), async (chunk) => {
    chunks.push(Buffer.from(chunk));
  });
  if (!readable) return null;
  try {
    return BackupRecord.parse(JSON.parse(Buffer.concat(chunks).toString()));
  } catch {
    return null;
  }
}

/** Returns the newest id first. */
async function backupIds(paths: WorkspacePaths): Promise<string[]> {
  const names = await readdir(paths.backups);
  return names.filter((name) => BACKUP_ID.test(name)).sort((a, b) => numberOf(b) - numberOf(a));
}

function numberOf(id: string): number {
  return Number(BACKUP_ID.exec(id)?.[1] ?? 0);
}

/** Omits the set-id and sticky bits, which a restore does not set. */
function modeText(mode: number): string {
  return `0${(mode & 0o777).toString(8).padStart(3, '0')}`;
}

function isPortable(path: string): boolean {
  return !/[\\\p{Cc}]/u.test(path);
}
