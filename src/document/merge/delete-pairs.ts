import type { MapNode, PairNode } from '../node.ts';
import type { Edit } from './edits.ts';
import { beginsLine, lineEnd, lineStart } from './edits.ts';

/** Returns the end of a pair's region: in a block map after the line break, including the comment on its line. */
export function regionEnd(text: string, pair: PairNode): number {
  const end = pairEnd(pair);
  // A block scalar already includes its line break.
  return end > 0 && text[end - 1] === '\n' && end > pair.start ? end : lineEnd(text, end);
}

export function pairEnd({ key, colon, value }: PairNode): number {
  return Math.max(key.end, (colon ?? -1) + 1, value.end);
}

/**
 * Removes pairs from a map.
 * @param head the position of `{}` for a block map that becomes empty; null: after its last pair, as the file's root needs
 * @param isRefilled other pairs are added at the end
 */
export function deletePairs(text: string, map: MapNode, gone: ReadonlySet<PairNode>, head: number | null, isRefilled: boolean): Edit[] {
  if (gone.size === 0) return [];
  const isEmptied = gone.size === map.pairs.length;
  if (map.isFlow && isEmptied && !text.slice(map.start, map.end).includes('#')) return [{ start: map.start, end: map.end, text: '{}' }];
  if (map.isFlow) return deleteFromFlow(text, map, gone, isEmptied);
  const edits = map.pairs.flatMap((pair, index) => (gone.has(pair) ? [deleteLines(text, pair, map.pairs[index + 1])] : []));
  if (!isEmptied || isRefilled) return edits;
  const last = map.pairs.at(-1);
  const at = head ?? (last === undefined ? map.end : regionEnd(text, last));
  return [...edits, { start: at, end: at, text: head === null ? '{}\n' : ' {}' }];
}

function deleteLines(text: string, pair: PairNode, next: PairNode | undefined): Edit {
  if (beginsLine(text, pair.start)) return { start: lineStart(text, pair.start), end: regionEnd(text, pair), text: '' };
  // The pair shares its line with the parent's dash or colon, so the next pair moves there.
  return { start: pair.start, end: next?.start ?? pairEnd(pair), text: '' };
}

function deleteFromFlow(text: string, map: MapNode, gone: ReadonlySet<PairNode>, isEmptied: boolean): Edit[] {
  const last = map.pairs.at(-1);
  const keptIndex = map.pairs.findLastIndex((pair) => !gone.has(pair));
  const kept = map.pairs[keptIndex];
  // Removing the last pairs also removes the comma before them.
  const comma = kept === undefined || last === undefined || last === kept ? null : commaAfter(text, pairEnd(kept));
  const isTail = comma !== null && last !== undefined && !isEmptied && commaAfter(text, pairEnd(last)) === null;
  const inner = isTail ? map.pairs.slice(0, keptIndex) : map.pairs;
  const edits = inner.filter((pair) => gone.has(pair)).map((pair) => deleteOne(text, pair));
  if (!isTail) return edits;
  const [tail] = map.pairs.slice(keptIndex + 1);
  if (tail === undefined || !beginsLine(text, tail.start)) return [...edits, { start: comma, end: pairEnd(last), text: '' }];
  const lines = map.pairs.slice(keptIndex + 1).map((pair) => deleteOne(text, pair));
  return [...edits, { start: comma, end: comma + 1, text: '' }, ...lines];
}

function deleteOne(text: string, pair: PairNode): Edit {
  const comma = commaAfter(text, pairEnd(pair));
  const end = comma === null ? pairEnd(pair) : comma + 1;
  return beginsLine(text, pair.start) && endsLine(text, end) ? wholeLines(text, pair.start, end) : withSpace(text, pair.start, end);
}

function wholeLines(text: string, start: number, end: number): Edit {
  return { start: lineStart(text, start), end: lineEnd(text, end), text: '' };
}

function withSpace(text: string, start: number, end: number): Edit {
  let after = end;
  while (text[after] === ' ') after += 1;
  return { start, end: after, text: '' };
}

function endsLine(text: string, at: number): boolean {
  return /^[ \t]*(?:#.*)?$/.test(text.slice(at, lineEnd(text, at)).trimEnd());
}

/** Finds the comma after a pair of a flow map, past spaces and comments; null if the bracket precedes it. */
export function commaAfter(text: string, from: number): number | null {
  let at = from;
  while (at < text.length) {
    const character = text[at];
    if (character === ',') return at;
    if (character === '#') at = lineEnd(text, at);
    else if (character?.trim() === '') at += 1;
    else return null;
  }
  return null;
}
