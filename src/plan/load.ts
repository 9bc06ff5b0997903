import { followFolders } from '../device/folders.ts';
import { isBlamed, type PreparedPath, type PreparedRevision } from '../revision/revision.ts';
import type { KnownFolder } from './fleet-store.ts';
import type { PlanDevice, PlanFolder } from './plan.ts';

/** Returns all folders that exist before or after the commit. Untouched folders keep their current result. */
export function foldersAfter(known: readonly KnownFolder[], prepared: PreparedRevision): PlanFolder[] {
  const isBroken = prepared.errors.length > 0;
  const found = new Map(prepared.paths.map((path) => [path.path, path]));
  const removed = new Set(prepared.removed);
  const isGone = (path: string) => removed.has(path) || (prepared.extent === 'full' && !found.has(path));
  const seen = new Set(known.map(({ path }) => path));
  const after = (folder: KnownFolder): PlanFolder['after'] => {
    if (isBroken) return { verdict: 'invalid', bundle: null, errors: [] };
    const now = found.get(folder.path);
    if (now !== undefined) return outcomeOf(now);
    if (isGone(folder.path)) return { verdict: 'missing', bundle: null, errors: [] };
    return { verdict: folder.verdict, bundle: folder.verdict === 'valid' ? folder.candidate : null, errors: [] };
  };
  return [
    ...known.map((folder) => {
      const { path, released, candidate, verdict, messages, isReleased } = folder;
      return { path, released, candidate, isReleased, before: { verdict, messages }, after: after(folder) };
    }),
    ...prepared.paths
      .filter(({ path }) => !seen.has(path))
      .map((path) => ({ path: path.path, released: null, candidate: null, isReleased: false, before: null, after: outcomeOf(path) })),
  ];
}

/** Returns the devices with the folders that they would be bound to. A device follows its folder if the commit moves it. */
export function bindAfter(devices: readonly PlanDevice[], folders: readonly PlanFolder[], prepared: PreparedRevision): PlanDevice[] {
  if (prepared.errors.length > 0) return [...devices];
  const read = new Set(prepared.paths.map(({ path }) => path));
  const present = folders.filter(({ path, after }) => after.verdict !== 'missing' || read.has(path));
  const known = new Set(present.map(({ path }) => path));
  const bound = new Set(devices.map(({ path }) => path));
  const isNew = ({ before }: PlanFolder) => before === null || before.verdict === 'missing';
  const moves = followFolders(
    devices.filter(({ path }) => !known.has(path)),
    present.map((folder) => ({ path: folder.path, isNew: isNew(folder), isTaken: bound.has(folder.path) })),
  );
  const targets = new Map(moves.map(({ id, to }) => [id, to]));
  return devices.map((device) => ({ ...device, path: targets.get(device.id) ?? device.path }));
}

/** A tentative error depends on a device that does not exist yet. Such a folder counts as missing, without errors. */
function outcomeOf(path: PreparedPath): PlanFolder['after'] {
  const { verdict, bundle, errors } = path;
  if (verdict === 'invalid' && !isBlamed(path)) return { verdict: 'missing', bundle: null, errors: [] };
  return { verdict, bundle: bundle?.digest ?? null, errors };
}
