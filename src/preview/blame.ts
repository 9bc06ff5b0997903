import { diffArrays } from 'diff';

/** One version of a file: its lines, and who brought it. */
export type Version<By> = { lines: readonly string[]; by: By };

/** Limit of differing lines between two versions. Beyond it all lines count as changed. */
const MAX_EDITS = 2_000;

/**
 * The version that last changed each line of the newest one. A line that stands in the oldest version already has null: an earlier, unknown version
 * brought it, unless `isComplete`. Pure.
 * @param versions the newest first
 * @param isComplete the oldest version is the first one of the file
 */
export function blameLines<By>(versions: readonly Version<By>[], isComplete: boolean): (By | null)[] {
  const [newest, ...older] = versions;
  if (newest === undefined) return [];
  const blamed: (By | null)[] = newest.lines.map(() => null);
  /** Where each line of the version in hand stands in the newest one. */
  let places: (number | null)[] = newest.lines.map((_, index) => index);
  let later = newest;
  for (const version of older) {
    const next: (number | null)[] = version.lines.map(() => null);
    for (const { from, to, count } of commonRuns(version.lines, later.lines))
      for (let at = 0; at < count; at += 1) next[from + at] = places[to + at] ?? null;
    const kept = new Set(next);
    for (const place of places) if (place !== null && !kept.has(place)) blamed[place] = later.by;
    places = next;
    later = version;
  }
  if (isComplete) for (const place of places) if (place !== null) blamed[place] = later.by;
  return blamed;
}

/** Runs of lines that both have, by their positions. */
function commonRuns(before: readonly string[], after: readonly string[]): { from: number; to: number; count: number }[] {
  const changes = diffArrays([...before], [...after], { maxEditLength: MAX_EDITS });
  const runs: { from: number; to: number; count: number }[] = [];
  let [from, to] = [0, 0];
  for (const { added, removed, value } of changes ?? []) {
    if (!added && !removed) runs.push({ from, to, count: value.length });
    if (!added) from += value.length;
    if (!removed) to += value.length;
  }
  return runs;
}
