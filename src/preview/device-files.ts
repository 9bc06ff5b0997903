import { setImmediate } from 'node:timers/promises';
import { bundlesWithSecrets, readBlobs } from '../bundle/store.ts';
import type { Sql } from '../db/connect.ts';
import type { Device } from '../device/device.ts';
import { type FolderVersion, versionsOfFolder } from '../revision/history-store.ts';
import { blameLines, type Version } from './blame.ts';
import { type BundleSide, compareBundles, type PreviewChange, type PreviewFile, selectFiles } from './compare-bundles.ts';

/** The files that a device is to run and those that it runs, without any secret. */
export type DeviceFiles = {
  desired: { bundle: string | null; revisionId: string | null; files: PreviewFile[] };
  running: { bundle: string | null; files: PreviewFile[] };
  diff: PreviewChange[];
  /** Not all files are shown. */
  truncated: boolean;
};

export async function deviceFiles(sql: Sql, device: Device): Promise<DeviceFiles> {
  const { organizationId, desiredBundle, desiredRevisionId } = device;
  const running = device.reportedBundle ?? device.goodBundle;
  const sides = await sidesOf(sql, organizationId, [desiredBundle, running]);
  const [next, present] = [sideIn(sides, desiredBundle), sideIn(sides, running)];
  const selection = selectFiles(next, present);
  const contents = await readBlobs(sql, organizationId, selection.contents);
  const breathe = () => setImmediate();
  const forward = await compareBundles({ next, running: present, errors: [] }, selection, contents, breathe);
  // Compared the other way round for the text of the running files, with the secrets of both sides hidden.
  const back = await compareBundles({ next: present, running: next, errors: [] }, selection, contents, breathe);
  return {
    desired: { bundle: desiredBundle, revisionId: desiredRevisionId, files: forward.files },
    running: { bundle: running, files: back.files },
    diff: forward.diff,
    truncated: selection.truncated,
  };
}

async function sidesOf(sql: Sql, organizationId: string, digests: readonly (string | null)[]): Promise<Map<string, BundleSide>> {
  const wanted = [...new Set(digests.filter((digest) => digest !== null))];
  const stored = await bundlesWithSecrets(sql, organizationId, wanted);
  return new Map(stored.map(({ digest, manifest, secretPointers }) => [digest, { manifest, secretPointers }]));
}

function sideIn(sides: ReadonlyMap<string, BundleSide>, digest: string | null): BundleSide | null {
  return digest === null ? null : (sides.get(digest) ?? null);
}

export type BlamedLine = { text: string; by: FolderVersion | null };
export type Blame = {
  path: string;
  bundle: string;
  lines: BlamedLine[];
  /** Lines without a commit are older than this one, the oldest that is known of the folder. */
  olderThan: Date | null;
  /** Not all known versions were compared. */
  truncated: boolean;
};

/** Limits of the versions that one answer compares. */
const MAX_VERSIONS = 50;
const MAX_TEXT_BYTES = 256 * 1024;

/**
 * Names the commit that last changed each line of a desired file, among the commits that this service followed. It compares the device's own files, so
 * that a change in a layer or template counts as well. Commits between two checks count as the later one.
 * @returns undefined without such a file, or if it has no text that can be shown
 */
export async function blameFile(sql: Sql, device: Device, path: string): Promise<Blame | undefined> {
  const { organizationId, sourceId, path: folder, desiredBundle } = device;
  if (desiredBundle === null || sourceId === null || folder === null) return undefined;
  const all = await versionsOfFolder(sql, { organizationId, sourceId, path: folder }, MAX_VERSIONS + 1);
  const known = all.slice(0, MAX_VERSIONS);
  const start = known.findIndex(({ bundle }) => bundle === desiredBundle);
  const history = start < 0 ? [] : known.slice(start);
  const sides = await sidesOf(sql, organizationId, [desiredBundle, ...history.map(({ bundle }) => bundle)]);
  const side = sideIn(sides, desiredBundle);
  const shown = side === null ? undefined : await shownText(sql, organizationId, side, path);
  if (shown === undefined) return undefined;
  const versions = await versionsOf(sql, organizationId, sides, history, path);
  const isFirst = all.length <= MAX_VERSIONS && history.some(({ bundle }) => fileIn(sides.get(bundle), path) === undefined);
  const blamed = blameLines(versions, isFirst);
  // Redaction keeps the lines of a file, except where it hides the file as a whole.
  const isWhole = versions[0]?.lines.length === shown.length;
  return {
    path,
    bundle: desiredBundle,
    lines: shown.map((text, at) => ({ text, by: isWhole ? (blamed[at] ?? null) : null })),
    olderThan: history.at(-1)?.committedAt ?? null,
    truncated: all.length > MAX_VERSIONS,
  };
}

function fileIn(side: BundleSide | undefined, path: string) {
  return side?.manifest.files.find((file) => file.path === path);
}

async function shownText(sql: Sql, organizationId: string, side: BundleSide, path: string): Promise<string[] | undefined> {
  const file = fileIn(side, path);
  if (file === undefined || file.size > MAX_TEXT_BYTES) return undefined;
  const contents = await readBlobs(sql, organizationId, [file.sha256]);
  const selection = { paths: [path], contents: [file.sha256], truncated: false };
  const { files } = await compareBundles({ next: side, running: null, errors: [] }, selection, contents, () => setImmediate());
  const text = files[0]?.text ?? null;
  return text === null ? undefined : linesOf(text);
}

/** Each distinct version of the file, the newest first, with the revision that brought it: until the file did not exist. */
async function versionsOf(
  sql: Sql,
  organizationId: string,
  sides: ReadonlyMap<string, BundleSide>,
  history: readonly FolderVersion[],
  path: string,
): Promise<Version<FolderVersion>[]> {
  const found: { sha256: string; by: FolderVersion }[] = [];
  for (const by of history) {
    const file = fileIn(sides.get(by.bundle), path);
    if (file === undefined || file.size > MAX_TEXT_BYTES) break;
    const last = found.at(-1);
    // An older revision with the same content brought it.
    if (last?.sha256 === file.sha256) last.by = by;
    else found.push({ sha256: file.sha256, by });
  }
  const contents = await readBlobs(
    sql,
    organizationId,
    found.map(({ sha256 }) => sha256),
  );
  return found.map(({ sha256, by }) => ({ lines: linesOf(new TextDecoder().decode(contents.get(sha256))), by }));
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
