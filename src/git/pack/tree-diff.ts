import type { Limits } from '../limits.ts';
import { gitProblem, isProblem } from '../problems.ts';
import type { ObjectSource, TreeEntry } from './object-source.ts';
import { checkEntry, joinPath, type TreeFault } from './tree-check.ts';

export type TreeLimits = Pick<Limits, 'maxDepth' | 'maxEntries'>;

/** A file that differs. A removed file has its former mode and oid. */
export type TreeChange = { path: string; kind: 'added' | 'changed' | 'removed'; mode: string; oid: string };

export type TreeFile = { path: string; mode: string; oid: string };

/** Files by path in tree order, and all faults of the folders read. */
export type TreeListing = { files: TreeFile[]; faults: TreeFault[] };

const FOLDER = '040000';

/**
 * Lists the files that differ between two trees, as `git diff-tree -r`; never reads folders with equal ids. A folder that is unreadable, nested too
 * deeply or duplicated by name is listed itself (mode 040000, or 000000 for a duplicate). Reading that folder then reports the fault; other folders
 * are not affected.
 * @param oldTreeOid null: every file is added
 * @throws Problem `git_too_large` past `maxEntries` changes; `git_object_missing`, `git_object_invalid` for the two roots
 */
export async function diffTrees(
  source: ObjectSource,
  oldTreeOid: string | null,
  newTreeOid: string,
  limits: TreeLimits,
): Promise<TreeChange[]> {
  const changes: TreeChange[] = [];
  if (oldTreeOid === newTreeOid) return changes;
  const emit = (path: string, kind: TreeChange['kind'], entry: TreeEntry): void => {
    changes.push({ path, kind, mode: entry.mode, oid: entry.oid });
    if (changes.length > limits.maxEntries) throw tooMany('changes', newTreeOid, limits);
  };
  const walk = async (before: TreeEntry[], after: TreeEntry[], prefix: string, depth: number): Promise<void> => {
    for (const { name, old, now } of pairs(before, after)) {
      const path = joinPath(prefix, name);
      const kind = !old ? 'added' : !now ? 'removed' : 'changed';
      const entry = now ?? old;
      if (!entry) continue;
      const folders = entry.mode === FOLDER ? await readBoth(source, old, now, depth, limits) : undefined;
      if (folders) await walk(folders.before, folders.after, path, depth + 1);
      else emit(path, kind, entry);
    }
  };
  await walk(oldTreeOid === null ? [] : await source.readTree(oldTreeOid), await source.readTree(newTreeOid), '', 0);
  return changes;
}

/**
 * Lists all files below a tree. Unreadable or too deeply nested folders become faults.
 * @param prefix path of the tree in the repository, prepended to the returned paths
 * @throws Problem `git_too_large` past `maxEntries` files and folders; `git_object_missing`, `git_object_invalid` for the tree itself
 */
export async function listTree(source: ObjectSource, treeOid: string, limits: TreeLimits, prefix = ''): Promise<TreeListing> {
  const listing: TreeListing = { files: [], faults: [] };
  let count = 0;
  const walk = async (entries: TreeEntry[], folder: string, depth: number): Promise<void> => {
    listing.faults.push(...checkEntry(entries, folder));
    count += entries.length;
    if (count > limits.maxEntries) throw tooMany('files and folders', treeOid, limits);
    for (const { name, mode, oid } of entries) {
      const path = joinPath(folder, name);
      if (mode !== FOLDER) {
        listing.files.push({ path, mode, oid });
        continue;
      }
      const inner = await readFolder(source, path, oid, depth, limits);
      if (Array.isArray(inner)) await walk(inner, path, depth + 1);
      else listing.faults.push(inner);
    }
  };
  await walk(await source.readTree(treeOid), prefix, 0);
  return listing;
}

/**
 * Finds the file or folder at a path ('' is the tree itself), or null. A duplicate name also gives null.
 * @throws Problem `git_object_missing`, `git_object_invalid` for the folders along the path
 */
export async function findEntry(source: ObjectSource, treeOid: string, path: string): Promise<TreeEntry | null> {
  let found: TreeEntry = { name: '', mode: FOLDER, oid: treeOid };
  for (const name of path === '' ? [] : path.split('/')) {
    if (found.mode !== FOLDER) return null;
    const named = (await source.readTree(found.oid)).filter((entry) => entry.name === name);
    const only = named[0];
    if (!only || named.length > 1) return null;
    found = only;
  }
  return found;
}

type Pair = { name: string; old: TreeEntry | undefined; now: TreeEntry | undefined };

/** Pairs the entries that differ; a file and a folder of one name stay apart. A duplicate name becomes a file, so that neither entry is preferred. */
function pairs(before: TreeEntry[], after: TreeEntry[]): Pair[] {
  const old = grouped(before);
  const now = grouped(after);
  const result: Pair[] = [];
  for (const [key, entries] of now) {
    const others = old.get(key) ?? [];
    if (signature(entries) !== signature(others)) result.push(pair(others, entries));
  }
  for (const [key, entries] of old) if (!now.has(key)) result.push(pair(entries, []));
  return result;
}

function pair(old: TreeEntry[], now: TreeEntry[]): Pair {
  const name = (now[0] ?? old[0])?.name ?? '';
  const twice = old.length > 1 || now.length > 1;
  // Mode 000000 prevents the walk into a duplicate folder.
  const shown = (entry: TreeEntry | undefined) => (entry && twice && entry.mode === FOLDER ? { ...entry, mode: '000000' } : entry);
  return { name, old: shown(old[0]), now: shown(now[0]) };
}

function grouped(entries: TreeEntry[]): Map<string, TreeEntry[]> {
  const groups = new Map<string, TreeEntry[]>();
  for (const entry of entries) {
    // The raw bytes distinguish names that are not UTF-8 and have the same replacement characters.
    const name = entry.rawName ? `${Buffer.from(entry.rawName).toString('latin1')}\0` : entry.name;
    const key = (entry.mode === FOLDER ? 'd' : 'f') + name;
    const group = groups.get(key);
    if (group) group.push(entry);
    else groups.set(key, [entry]);
  }
  return groups;
}

function signature(entries: TreeEntry[]): string {
  return entries.map((entry) => entry.mode + entry.oid).join();
}

async function readBoth(source: ObjectSource, old: TreeEntry | undefined, now: TreeEntry | undefined, depth: number, limits: TreeLimits) {
  if (depth >= limits.maxDepth) return undefined;
  try {
    return { before: old ? await source.readTree(old.oid) : [], after: now ? await source.readTree(now.oid) : [] };
  } catch (error) {
    if (isProblem(error, 'git_object_invalid', 'git_too_large')) return undefined;
    throw error;
  }
}

async function readFolder(
  source: ObjectSource,
  path: string,
  oid: string,
  depth: number,
  limits: TreeLimits,
): Promise<TreeEntry[] | TreeFault> {
  if (depth >= limits.maxDepth)
    return { path, rule: 'too_deep', detail: `Cannot accept ${JSON.stringify(path)}: it is nested deeper than ${limits.maxDepth} folders` };
  try {
    return await source.readTree(oid);
  } catch (error) {
    if (!isProblem(error, 'git_object_invalid', 'git_too_large')) throw error;
    return { path, rule: 'unreadable', detail: `Cannot accept ${JSON.stringify(path)}: ${error.message}` };
  }
}

function tooMany(what: string, treeOid: string, limits: TreeLimits) {
  return gitProblem('git_too_large', `Cannot read the tree "${treeOid}": it has more than ${limits.maxEntries} ${what}`);
}
