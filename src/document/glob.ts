/** Paths with `*` and `?` inside a name, and `**` for any number of folders. No braces, classes or negation: a reader sees what is meant. */

export function isGlob(pattern: string): boolean {
  return /[*?]/.test(pattern);
}

/** Matching takes time linear in pattern times path, whatever the pattern: no regular expression is built from it. */
export function matchesGlob(pattern: string, path: string): boolean {
  return matchesSequence(pattern.split('/'), path.split('/'), '**', matchesName);
}

/** Whether the pattern could match something below a folder. Time linear in pattern times path. */
export function matchesBelow(pattern: string, folder: string): boolean {
  const segments = pattern.split('/');
  // The places in the pattern at which it may stand once the names so far are matched.
  let places = afterStars(segments, new Set([0]));
  for (const name of folder.split('/')) {
    const next = new Set<number>();
    for (const at of places) {
      const segment = segments[at];
      if (segment === undefined) continue;
      if (segment === '**') next.add(at);
      else if (matchesName(segment, name)) next.add(at + 1);
    }
    places = afterStars(segments, next);
  }
  return [...places].some((at) => at < segments.length);
}

/** `**` may stand for no folder at all. */
function afterStars(segments: readonly string[], places: Set<number>): Set<number> {
  for (const at of places) if (segments[at] === '**') places.add(at + 1);
  return places;
}

/** One name between two `/` against one segment of a pattern. */
export function matchesName(pattern: string, name: string): boolean {
  return matchesSequence([...pattern], [...name], '*', (expected, actual) => expected === '?' || expected === actual);
}

/** The folders before the first segment with a wildcard, `''` or ending in `/`. */
export function globBase(pattern: string): string {
  const segments = pattern.split('/');
  const first = segments.findIndex(isGlob);
  return segments
    .slice(0, first === -1 ? -1 : first)
    .map((segment) => `${segment}/`)
    .join('');
}

/** Greedy with one point of return: after a later `star` matched, an earlier one never has to give way. */
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
