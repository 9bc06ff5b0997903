import { matchesName } from '../document/glob.ts';
import type { ObjectSource, TreeEntry } from '../git/pack/object-source.ts';
import type { TreeFault } from '../git/pack/tree-check.ts';
import { caseDuplicate, checkEntry, foldName, joinPath } from '../git/pack/tree-check.ts';
import { isProblem } from '../git/problems.ts';
import type { RevisionLimits } from '../revision/limits.ts';

/** A device's folder, or something in its place that cannot be one; then `faults` says why. */
export type Folder = { path: string; treeOid: string; faults: TreeFault[] };

/** A path of the folder, as a path of the repository. */
export function inRepository(folder: Folder, path: string): string {
  return folder.path === '' ? path : `${folder.path}/${path}`;
}

export function isInside(folder: Folder, path: string): boolean {
  return folder.path === '' || path.startsWith(`${folder.path}/`);
}

export type FolderChanges = {
  /** New or changed, in tree order. */
  touched: Folder[];
  /** Were there before and are no more. */
  removed: string[];
};

export type FolderLimits = Pick<RevisionLimits, 'maxDeviceFolders' | 'maxNamesOnTheWay'>;

/** All folders that the patterns find. Folders that no pattern can reach are not read. */
export async function findFolders(
  source: ObjectSource,
  treeOid: string,
  patterns: readonly string[],
  limits: FolderLimits,
): Promise<Folder[]> {
  const { touched } = await changedFolders(source, null, treeOid, patterns, limits);
  return touched;
}

/**
 * The device folders that changed between two trees. Reads only folders on the way to them that differ.
 * @param oldTreeOid null: everything is new
 * @throws PreviousUnreadable when the old tree cannot be read; TooManyFolders before more than the limits are read or kept
 */
export async function changedFolders(
  source: ObjectSource,
  oldTreeOid: string | null,
  newTreeOid: string,
  patterns: readonly string[],
  limits: FolderLimits,
): Promise<FolderChanges> {
  const changes: FolderChanges = { touched: [], removed: [] };
  let names = 0;
  const walk = async (old: Side, now: Side, prefix: string, open: string[][]): Promise<void> => {
    const before = await oldEntries(source, old);
    const after = grouped(now.kind === 'folder' ? await source.readTree(now.oid) : []);
    names += after.size;
    if (names > limits.maxNamesOnTheWay)
      throw new TooManyFolders('maxNamesOnTheWay', `looks at more than ${limits.maxNamesOnTheWay} names`);
    const twins = { before: caseTwins(before), after: caseTwins(after) };
    for (const name of new Set([...after.keys(), ...before.keys()])) {
      if (signature(before.get(name)) + (twins.before.get(name) ?? '') === signature(after.get(name)) + (twins.after.get(name) ?? ''))
        continue;
      const inner = open.filter((pattern) => matchesName(pattern[0] ?? '', name)).map((pattern) => pattern.slice(1));
      if (inner.length === 0) continue;
      const path = joinPath(prefix, name);
      const isDevice = inner.some((pattern) => pattern.length === 0);
      const oldSide = withoutTwin(sideOf(before.get(name), prefix), path, twins.before.get(name));
      const named = withoutTwin(sideOf(after.get(name), prefix), path, twins.after.get(name));
      const newSide = isDevice ? named : await readable(source, named, path);
      record(changes, path, oldSide, newSide, isDevice);
      const max = limits.maxDeviceFolders;
      if (changes.touched.length > max) throw new TooManyFolders('maxDeviceFolders', `finds more than ${max} folders`);
      if (!isDevice) await walk(oldSide, newSide, path, inner);
    }
  };
  const old: Side = oldTreeOid === null ? { kind: 'none' } : { kind: 'folder', oid: oldTreeOid };
  await walk(
    old,
    { kind: 'folder', oid: newTreeOid },
    '',
    patterns.map((pattern) => pattern.split('/')),
  );
  return changes;
}

/** The patterns find or read more names than the limits allow. */
export class TooManyFolders extends Error {
  readonly rule: keyof FolderLimits;

  constructor(rule: keyof FolderLimits, message: string) {
    super(message);
    this.rule = rule;
  }
}

/** The previous commit cannot be read, so everything has to be prepared again. */
export class PreviousUnreadable extends Error {}

/** Reads objects of the previous commit. @throws PreviousUnreadable when they are missing or damaged */
export async function readPrevious<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!isProblem(error, 'git_object_missing', 'git_object_invalid', 'git_too_large')) throw error;
    throw new PreviousUnreadable('Cannot read the previous commit', { cause: error });
  }
}

/** The entry of one name in a tree. A plain file is `none`, since only folders count here. */
type Side = { kind: 'none' } | { kind: 'folder'; oid: string } | { kind: 'fault'; oid: string; faults: TreeFault[] };

async function oldEntries(source: ObjectSource, old: Side): Promise<Map<string, TreeEntry[]>> {
  if (old.kind !== 'folder') return new Map();
  return grouped(await readPrevious(() => source.readTree(old.oid)));
}

function grouped(entries: TreeEntry[]): Map<string, TreeEntry[]> {
  const groups = new Map<string, TreeEntry[]>();
  for (const entry of entries) {
    const group = groups.get(entry.name);
    if (group === undefined) groups.set(entry.name, [entry]);
    else group.push(entry);
  }
  return groups;
}

function signature(entries: TreeEntry[] | undefined): string {
  return (entries ?? [])
    .map(({ mode, oid, rawName }) => `${mode} ${oid}${rawName ? ` ${Buffer.from(rawName).toString('hex')}` : ''}`)
    .join();
}

/** Names that differ from another of their folder only in case or Unicode form, each with that other one. */
function caseTwins(groups: ReadonlyMap<string, unknown>): Map<string, string> {
  const folded = new Map<string, string>();
  const twins = new Map<string, string>();
  for (const name of groups.keys()) {
    const key = foldName(name);
    const other = folded.get(key);
    if (other === undefined) folded.set(key, name);
    else twins.set(name, other).set(other, name);
  }
  return twins;
}

/** Two folders that many file systems cannot tell apart are both refused. */
function withoutTwin(side: Side, path: string, twin: string | undefined): Side {
  if (twin === undefined || side.kind !== 'folder') return side;
  return { kind: 'fault', oid: side.oid, faults: [{ path, rule: 'case_duplicate', detail: caseDuplicate(path, twin) }] };
}

function sideOf(entries: TreeEntry[] | undefined, prefix: string): Side {
  const [entry] = entries ?? [];
  if (entries === undefined || entry === undefined) return { kind: 'none' };
  if (entries.length === 1 && entry.mode.startsWith('100')) return { kind: 'none' };
  const faults = checkEntry(entries, prefix);
  return faults.length > 0 ? { kind: 'fault', oid: entry.oid, faults } : { kind: 'folder', oid: entry.oid };
}

/** A damaged folder on the way to device folders harms only what is below it. */
async function readable(source: ObjectSource, side: Side, path: string): Promise<Side> {
  if (side.kind !== 'folder') return side;
  try {
    await source.readTree(side.oid);
    return side;
  } catch (error) {
    if (!isProblem(error, 'git_object_invalid', 'git_too_large')) throw error;
    return { kind: 'fault', oid: side.oid, faults: [{ path, rule: 'unreadable', detail: error.message }] };
  }
}

function record(changes: FolderChanges, path: string, old: Side, now: Side, isDevice: boolean): void {
  const counts = (side: Side): boolean => side.kind === 'fault' || (isDevice && side.kind === 'folder');
  if (counts(now) && now.kind !== 'none') {
    changes.touched.push({ path, treeOid: now.oid, faults: now.kind === 'fault' ? now.faults : [] });
  } else if (counts(old)) {
    changes.removed.push(path);
  }
}
