import { isGlob, matchesName } from '../document/glob.ts';
import { foldName } from '../git/pack/tree-check.ts';

/** Where devices of a fleet find their folders. Pure. */

/** A device whose folder the head no longer has, or has not yet. */
export type Stranded = { id: string; path: string };
/** A folder of the head. `isNew`: it came with this commit; `isTaken`: another device is bound to it. */
export type Candidate = { path: string; isNew: boolean; isTaken: boolean };
export type FolderMove = { id: string; from: string; to: string };

/**
 * The folders to which devices move along: by the name of the folder, which is its last part, never by content. A name in another case is the same. A folder of the device's own name is the
 * device's wherever it stands; one that an operator chose is followed only into a folder that comes with the same commit and is nobody's. Of several, the one
 * whose path has most parts in common with the old one; where two have as many, or two folders would become one, nobody moves.
 */
export function followFolders(stranded: readonly Stranded[], candidates: readonly Candidate[]): FolderMove[] {
  const byName = Map.groupBy(candidates, ({ path }) => foldedName(path));
  const moves = stranded.flatMap(({ id, path: from }): FolderMove[] => {
    const name = foldedName(from);
    const found = (byName.get(name) ?? []).filter(({ isNew, isTaken }) => name === id || (isNew && !isTaken)).map(({ path }) => path);
    const exact = found.filter((path) => nameOf(path) === nameOf(from));
    const to = closest(from, exact.length > 0 ? exact : found);
    return to === null ? [] : [{ id, from, to }];
  });
  const origins = Map.groupBy(moves, ({ to }) => to);
  return moves.filter(({ id, to, from }) => {
    const isContested = (origins.get(to) ?? []).some((other) => other.from !== from);
    return !isContested || (nameOf(to) === id && nameOf(from) === id);
  });
}

/** The folder of a device that names none: the one of its own name, else where `fleet.yaml` puts new ones. */
export function usualFolder(id: string, namesakes: readonly string[], patterns: readonly string[]): string {
  const usual = placeOf(id, patterns) ?? `devices/${id}`;
  const [only] = namesakes;
  return namesakes.length === 1 && only !== undefined ? only : usual;
}

/** The place of a folder by the first pattern that leaves nothing but its name open; null: there is none. */
function placeOf(id: string, patterns: readonly string[]): string | null {
  for (const pattern of patterns) {
    const parts = pattern.split('/');
    const last = parts.pop() ?? '';
    if (!parts.some(isGlob) && matchesName(last, id)) return [...parts, id].join('/');
  }
  return null;
}

function closest(from: string, found: readonly string[]): string | null {
  const ranked = found.map((path) => ({ path, common: commonParts(from, path) })).sort((a, b) => b.common - a.common);
  const [first, second] = ranked;
  return first === undefined || first.common === second?.common ? null : first.path;
}

/** Length of the longest common subsequence of two paths' parts. */
function commonParts(one: string, other: string): number {
  const others = other.split('/');
  let before = new Array<number>(others.length + 1).fill(0);
  for (const part of one.split('/')) {
    const row = [0];
    for (const [index, otherPart] of others.entries())
      row.push(part === otherPart ? (before[index] ?? 0) + 1 : Math.max(row[index] ?? 0, before[index + 1] ?? 0));
    before = row;
  }
  return before.at(-1) ?? 0;
}

/** Of a name that is written anew in another case or Unicode form, which is the same name to people and to some file systems. */
export function foldedName(path: string): string {
  return foldName(nameOf(path));
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
