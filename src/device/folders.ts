import { isGlob, matchesName } from '../document/glob.ts';
import { foldName } from '../git/pack/tree-check.ts';

/** Chooses the folders of devices in a fleet. Pure. */

/** A device whose folder does not exist in the head: it was removed or is not committed yet. */
export type Stranded = { id: string; path: string };
/** A folder of the head. `isNew`: this commit added it. `isTaken`: another device is bound to it. */
export type Candidate = { path: string; isNew: boolean; isTaken: boolean };
export type FolderMove = { id: string; from: string; to: string };

/**
 * Decides which devices follow a folder that moved. It matches the folder's name, which is the last part of its path, never the content. Case does not
 * matter. A device follows a folder of its own name anywhere. It follows a folder that an operator chose only into one that the same commit added and to
 * which no device is bound. Among several, it takes the path with the most parts in common with the old one. On a tie, or where two folders would
 * become one, the devices do not move.
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

/** Returns the folder of a device without a path: the folder of its own name, else the place for new ones in `fleet.yaml`. */
export function usualFolder(id: string, namesakes: readonly string[], patterns: readonly string[]): string {
  const usual = placeOf(id, patterns) ?? `devices/${id}`;
  const [only] = namesakes;
  return namesakes.length === 1 && only !== undefined ? only : usual;
}

/** Returns the folder's path by the first pattern that leaves only its name open; null without such a pattern. */
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

/** Returns the length of the longest common subsequence of two paths' parts. */
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

/** Folds case and Unicode form of the name, since people and some file systems treat such names as the same. */
export function foldedName(path: string): string {
  return foldName(nameOf(path));
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
