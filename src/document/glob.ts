/** Matches paths with `*` and `?` inside a name, and `**` for any number of folders. Braces, classes and negation are left out for readability. */

export function isGlob(pattern: string): boolean {
  return /[*?]/.test(pattern);
}

/** Matches without a regular expression, so that the time is linear in pattern times path for every pattern. */
export function matchesGlob(pattern: string, path: string): boolean {
  return matchesSequence(pattern.split('/'), path.split('/'), '**', matchesName);
}

/** Returns whether the pattern could match a path below a folder. The time is linear in pattern times path. */
export function matchesBelow(pattern: string, folder: string): boolean {
  const segments = pattern.split('/');
  // The possible positions in the pattern after the names matched so far.
  let positions = afterStars(segments, new Set([0]));
  for (const name of folder.split('/')) {
    const next = new Set<number>();
    for (const at of positions) {
      const segment = segments[at];
      if (segment === undefined) continue;
      if (segment === '**') next.add(at);
      else if (matchesName(segment, name)) next.add(at + 1);
    }
    positions = afterStars(segments, next);
  }
  return [...positions].some((at) => at < segments.length);
}

/** Adds the position after each `**`, which may match no folder at all. */
function afterStars(segments: readonly string[], positions: Set<number>): Set<number> {
  for (const at of positions) if (segments[at] === '**') positions.add(at + 1);
  return positions;
}

/** Matches one name between two `/` against one segment of a pattern. */
export function matchesName(pattern: string, name: string): boolean {
  return matchesSequence([...pattern], [...name], '*', (expected, actual) => expected === '?' || expected === actual);
}

/** Returns the folders before the first segment with a wildcard: `''`, or a path that ends in `/`. */
export function globBase(pattern: string): string {
  const segments = pattern.split('/');
  const first = segments.findIndex(isGlob);
  return segments
    .slice(0, first === -1 ? -1 : first)
    .map((segment) => `${segment}/`)
    .join('');
}

/** Matches greedily and backtracks only to the last `star`: once a later one has matched, an earlier one never needs to match more. */
function matchesSequence(
  pattern: string[],
  items: string[],
  star: string,
  matches: (expected: string, actual: string) => boolean,
): boolean {
  let at = 0;
  let item = 0;
  let starAt = -1;
  let retryItem = 0;
  while (item < items.length) {
    const expected = pattern[at];
    if (expected === star) {
      starAt = at;
      retryItem = item;
      at += 1;
    } else if (expected !== undefined && matches(expected, items[item] ?? '')) {
      at += 1;
      item += 1;
    } else if (starAt !== -1) {
      retryItem += 1;
      item = retryItem;
      at = starAt + 1;
    } else {
      return false;
    }
  }
  while (pattern[at] === star) at += 1;
  return at === pattern.length;
}
