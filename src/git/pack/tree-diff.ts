import type { Limits } from '../limits.ts';
import { gitProblem, isProblem } from '../problems.ts';
import type { ObjectSource, TreeEntry } from './object-source.ts';
import { checkEntry, joinPath, type TreeFault } from './tree-check.ts';

export type TreeLimits = Pick<Limits, 'maxDepth' | 'maxEntries'>;

/** A file that differs. For a removed one, mode and oid are those that it had. */
export type TreeChange = { path: string; kind: 'added' | 'changed' | 'removed'; mode: string; oid: string };

export type TreeFile = { path: string; mode: string; oid: string };

/** Files by path in tree order, and everything wrong with the folders that were read. */
export type TreeListing = { files: TreeFile[]; faults: TreeFault[] };

const FOLDER = '040000';

/**
 * Files that differ between two trees, as `git diff-tree -r`; folders with equal ids are never read. A folder that cannot be read, is nested
 * too deeply or has a name twice is given itself (mode 040000, or 000000 when doubled): whoever reads that folder learns the fault, the rest
 * is not affected.
 * @param oldTreeOid null: everything is added
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
 * All files below a tree. Folders that cannot be read or are nested too deeply become faults.
 * @param prefix path of the tree in the repository, for the paths given back
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
 * The file or folder at a path ('' is the tree itself), or null. Of a name that is there twice, neither is found.
 * @throws Problem `git_object_missing`, `git_object_invalid` for the folders on the way
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

/** Entries that differ, a file and a folder of one name apart. What has a name twice is given as a file, so that nobody chooses between them. */
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
  // Mode 000000 keeps a doubled folder from being entered.
  const shown = (entry: TreeEntry | undefined) => (entry && twice && entry.mode === FOLDER ? { ...entry, mode: '000000' } : entry);
  return { name, old: shown(old[0]), now: shown(now[0]) };
}

function grouped(entries: TreeEntry[]): Map<string, TreeEntry[]> {
  const groups = new Map<string, TreeEntry[]>();
  for (const entry of entries) {
    // Bytes that are no UTF-8 keep two names apart that look alike.
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
