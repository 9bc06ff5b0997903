import { setImmediate } from 'node:timers/promises';
import { bundlesWithSecrets, readBlobs } from '../bundle/store.ts';
import type { Db } from '../db/connect.ts';
import { type BundleSide, compareBundles, type PreviewChange, selectFiles } from '../preview/compare-bundles.ts';
import type { ConfigError, PreparedRevision } from '../revision/revision.ts';
import type { PlanFolder } from './plan.ts';

/** A difference that several devices share. */
export type PlanDiff = {
  /** Number of devices. */
  devices: number;
  files: PreviewChange[];
  /** Hooks, health check or confirm timeout differ. */
  applyChanged: boolean;
  /** Not all files are shown. */
  truncated: boolean;
};

/** A device whose bundle changes, or several with the same change. */
export type BundleMove = { id: string; from: string | null; to: string | null; devices?: number };

export type Diffs = {
  shown: PlanDiff[];
  /** Index in `shown` by device. Missing: the device changes, but its difference is not shown. */
  byDevice: Map<string, number>;
  /** Number of distinct differences that are not shown. */
  more: number;
};

const MAX_DIFFS = 30;
/** Limit of all patches in one plan. */
const MAX_PATCH_CHARACTERS = 400_000;

/** Bundles to compare: stored ones, and those of the planned commit. */
export type Sides = {
  side(digest: string): BundleSide | undefined;
  contents(digests: readonly string[]): Promise<Map<string, Uint8Array>>;
};

/** Loads these bundles, a few hundred at a time. */
export async function loadSides(sql: Db, organizationId: string, digests: readonly string[], prepared?: PreparedRevision): Promise<Sides> {
  const sides = new Map<string, BundleSide>();
  for (const { bundle, secretPointers = {} } of prepared?.paths ?? [])
    if (bundle !== null) sides.set(bundle.digest, { manifest: bundle.manifest, secretPointers });
  const missing = [...new Set(digests)].filter((digest) => !sides.has(digest));
  for (let at = 0; at < missing.length; at += 500) {
    const stored = await bundlesWithSecrets(sql, organizationId, missing.slice(at, at + 500));
    for (const { digest, manifest, secretPointers } of stored) sides.set(digest, { manifest, secretPointers });
  }
  return {
    side: (digest) => sides.get(digest),
    contents: async (wanted) => {
      const coming = wanted.flatMap((digest) => entryOf(digest, prepared?.blobs.get(digest)));
      const known = new Set(coming.map(([digest]) => digest));
      const stored = await readBlobs(
        sql,
        organizationId,
        wanted.filter((digest) => !known.has(digest)),
      );
      return new Map([...coming, ...stored]);
    },
  };
}

function entryOf(digest: string, bytes: Uint8Array | undefined): [string, Uint8Array][] {
  return bytes === undefined ? [] : [[digest, bytes]];
}

/** Returns each distinct difference once, with its devices and without any secret. Those of most devices come first. */
export async function diffsOf(devices: readonly BundleMove[], sides: Sides): Promise<Diffs> {
  const changing = devices.filter(({ from, to }) => from !== to);
  const groups = [...Map.groupBy(changing, (device) => signatureOf(device, sides)).values()].sort((a, b) => sizeOf(b) - sizeOf(a));
  const diffs: Diffs = { shown: [], byDevice: new Map(), more: 0 };
  let characters = 0;
  for (const group of groups) {
    const [first] = group;
    if (first === undefined || diffs.shown.length >= MAX_DIFFS || characters > MAX_PATCH_CHARACTERS) {
      diffs.more += 1;
      continue;
    }
    const diff = await compare(first, sides, MAX_PATCH_CHARACTERS - characters);
    characters += diff.files.reduce((sum, { patch }) => sum + (patch?.length ?? 0), 0);
    for (const { id } of group) diffs.byDevice.set(id, diffs.shown.length);
    diffs.shown.push({ ...diff, devices: sizeOf(group) });
  }
  return diffs;
}

function sizeOf(group: readonly BundleMove[]): number {
  return group.reduce((sum, { devices = 1 }) => sum + devices, 0);
}

/** A key that is equal if the same files change from the same contents to the same contents, whatever else the bundles contain. */
function signatureOf({ from, to }: BundleMove, sides: Sides): string {
  const [before, after] = [sideOf(sides, from), sideOf(sides, to)];
  if (before === null || after === null) return `${from} ${to}`;
  const old = new Map(before.manifest.files.map((file) => [file.path, file]));
  const now = new Map(after.manifest.files.map((file) => [file.path, file]));
  const changes = [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((path) => {
    const [a, b] = [old.get(path), now.get(path)];
    return a?.sha256 === b?.sha256 && a?.mode === b?.mode ? [] : [[path, a?.sha256, a?.mode, b?.sha256, b?.mode]];
  });
  return JSON.stringify([changes, applyDiffers(before, after) ? [before.manifest.apply, after.manifest.apply] : null]);
}

function sideOf(sides: Sides, digest: string | null): BundleSide | null {
  return digest === null ? null : (sides.side(digest) ?? null);
}

function applyDiffers(before: BundleSide, after: BundleSide): boolean {
  return JSON.stringify(before.manifest.apply) !== JSON.stringify(after.manifest.apply);
}

async function compare({ from, to }: BundleMove, sides: Sides, room: number): Promise<PlanDiff> {
  const [running, next] = [sideOf(sides, from), sideOf(sides, to)];
  const selection = selectFiles(next, running);
  const contents = await sides.contents(selection.contents);
  const { diff } = await compareBundles({ next, running, errors: [] }, selection, contents, () => setImmediate());
  let left = room;
  const files = diff.map((change) => {
    left -= change.patch?.length ?? 0;
    return left < 0 && change.patch !== null ? { ...change, patch: null, note: 'too much to show here' } : change;
  });
  return {
    devices: 1,
    files,
    applyChanged: running !== null && next !== null && applyDiffers(running, next),
    truncated: selection.truncated,
  };
}

/** Returns a folder's errors without any secret of its devices or of the commit. */
export async function errorsToShow(folder: PlanFolder, sides: Sides): Promise<ConfigError[]> {
  const running = sideOf(sides, folder.released);
  const selection = selectFiles(null, running);
  const contents = await sides.contents(selection.contents);
  const { errors } = await compareBundles({ next: null, running, errors: folder.after.errors }, selection, contents, () => setImmediate());
  return errors;
}
