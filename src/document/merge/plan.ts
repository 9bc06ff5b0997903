import type { Syntax } from '../document.ts';
import type { MapNode, Member, PairNode, SourceNode } from '../node.ts';
import { membersOf, resolved } from '../node.ts';
import { isCutBlock } from '../yaml.ts';
import { commaAfter, deletePairs, pairEnd, regionEnd } from './delete-pairs.ts';
import type { Edit } from './edits.ts';
import { columnOf, indentOfLine, lineEnd } from './edits.ts';
import { MergeFault } from './fault.ts';
import { isSameKey } from './keys.ts';
import { hasNullMember, hasSameMeaning, isNull, meaningOf, mergeMeanings } from './meaning.ts';
import type { Piece } from './pieces.ts';
import { blockLines, blockValue, flowPair, flowValue, inlineValue, isBlock } from './pieces.ts';

/** The parts of the upper file that are formatted again: nothing, values with anchors or aliases, or everything but scalars. */
export const REWRITES = ['nothing', 'references', 'everything'] as const;

export type Plan = {
  syntax: Syntax;
  base: string;
  patch: string;
  rewrite: (typeof REWRITES)[number];
  /** Anchors of the lower file. PyYAML refuses a file that defines one twice. */
  taken: ReadonlySet<string>;
  edits: Edit[];
  /** The first node with an anchor that an edit changes. */
  anchored: { node: SourceNode; path: readonly string[] } | null;
};

type Path = readonly string[];

/** Plans the edits that apply the merge patch `patch` to the lower file's `map`. @throws MergeFault */
export function planMap(plan: Plan, map: MapNode, patch: MapNode, path: Path, head: number | null): void {
  const own = new Map(map.pairs.filter((pair) => !pair.isMerge).map((pair) => [pair.name, pair]));
  const all = own.size === map.pairs.length ? null : membersOf(map);
  const previous = new Map(patch.pairs.map((pair, index) => [pair, patch.pairs[index - 1]]));
  const gone = new Set<PairNode>();
  const added: Piece[] = [];
  for (const [name, member] of membersOf(patch)) {
    const at = [...path, name];
    const pair = own.get(name);
    const inherited = pair === undefined ? (all?.get(name) ?? null) : null;
    const piece = pieceOf(plan, patch, member, previous.get(member.pair));
    const old = pair ?? inherited?.pair;
    if (old !== undefined && !isSameKey(old.key, member.pair.key)) throw differentKey(at);
    if (isNull(piece.meaning)) {
      if (inherited !== null || (pair !== undefined && all !== null && isAlsoInherited(map, name))) throw inheritedMember(at);
      if (pair !== undefined) gone.add(pair);
      if (pair !== undefined) noteAnchors(plan, pair.value, at);
    } else if (pair !== undefined) {
      planPair(plan, map, pair, piece, at);
    } else if (inherited === null) {
      added.push(piece);
    } else {
      const before = meaningOf(inherited.pair.value);
      const merged = mergeMeanings(before, meaningOf(piece.value));
      if (hasSameMeaning(merged, before)) continue;
      const isWhole = resolved(inherited.pair.value).kind === 'map' && merged.kind === 'map';
      added.push(isWhole ? { ...piece, meaning: merged, isRewritten: true } : piece);
    }
  }
  const last = map.pairs.at(-1);
  // In brackets, the added pairs replace a removed last pair.
  const refilled = map.isFlow && added.length > 0 && last !== undefined && gone.delete(last) ? last : null;
  plan.edits.push(...deletePairs(plan.base, map, gone, head, added.length > 0));
  insert(plan, map, refilled, added);
}

function pieceOf(plan: Plan, map: MapNode, { pair, via }: Member, before: PairNode | undefined): Piece {
  const { value } = pair;
  const own = meaningOf(value);
  const isDropping = hasNullMember(own);
  const isRewritten =
    via !== null ||
    plan.rewrite === 'everything' ||
    ((isDropping || plan.rewrite === 'references') && hasReferences(value)) ||
    [...anchorsIn(value)].some((name) => plan.taken.has(name));
  return { text: plan.patch, map, pair, before, value, meaning: isNull(own) ? own : mergeMeanings(undefined, own), isRewritten };
}

/** Plans the edits for one pair of both files. */
function planPair(plan: Plan, map: MapNode, pair: PairNode, piece: Piece, path: Path): void {
  const [old, next] = [resolved(pair.value), resolved(piece.value)];
  const before = meaningOf(old);
  if (old.kind === 'map' && next.kind === 'map') {
    const merged = mergeMeanings(before, meaningOf(next));
    const isTagged = [old, next].some(({ tag }) => tag !== null && tag !== 'tag:yaml.org,2002:map');
    const needsWhole = isTagged || pair.value.kind === 'alias';
    if (needsWhole && hasSameMeaning(before, merged)) return;
    if (isTagged) throw taggedMap(path, old.rawTag ?? next.rawTag ?? '');
    if (old.anchor !== null && pair.value.kind !== 'alias') plan.anchored ??= { node: old, path };
    // An empty map in brackets takes the layout of its new members.
    const isFilled = !map.isFlow && old.isFlow && old.pairs.length === 0 && isBlock(next);
    if (needsWhole) replace(plan, map, pair, { ...piece, meaning: merged, isRewritten: true });
    else if (isFilled) replace(plan, map, pair, piece);
    else planMap(plan, old, next, path, old.propsEnd ?? (pair.colon ?? pair.key.end) + 1);
  } else if (!hasSameMeaning(before, piece.meaning)) {
    noteAnchors(plan, pair.value, path);
    replace(plan, map, pair, piece);
  }
}

function replace(plan: Plan, map: MapNode, pair: PairNode, piece: Piece): void {
  const { base, syntax, edits } = plan;
  const { colon, value } = pair;
  const at = value.propsEnd ?? (colon ?? pair.key.end) + (colon === null ? 0 : 1);
  const isNothing = value.start === value.end && value.propsEnd === null;
  const put = (start: number, end: number, text: string) => edits.push({ start, end, text: withLineBreaksOf(base, text) });
  if (map.isFlow) {
    const text = flowValue(piece, indentOfLine(base, pair.start), leastIn(base, map), syntax);
    if (isNothing) put(at, at, `${colon === null ? ': ' : ' '}${text}`);
    else put(value.outer, value.end, text);
    return;
  }
  const indent = columnOf(base, pair.start);
  if (isBlock(value) || (!piece.isRewritten && isBlock(piece.value)))
    put(colon === null ? at : colon + 1, regionEnd(base, pair), blockValue(piece, indent, syntax));
  else if (isNothing) put(at, at, `${colon === null ? `\n${' '.repeat(indent)}: ` : ' '}${inlineValue(piece, indent, indent + 1, syntax)}`);
  else put(value.outer, value.end, inlineValue(piece, indent, indent + 1, syntax));
}

function insert(plan: Plan, map: MapNode, refilled: PairNode | null, added: readonly Piece[]): void {
  if (added.length === 0) return;
  const { base, syntax, edits } = plan;
  const last = map.pairs.at(-1);
  const first = map.pairs[0];
  if (!map.isFlow && first !== undefined && last !== undefined) {
    const at = regionEnd(base, last);
    const indent = columnOf(base, first.start);
    const lines = added.map((piece) => blockLines(piece, indent, syntax)).join('');
    const lead = base[at - 1] === '\n' ? '' : '\n';
    if (lead !== '') edits.push(...withoutLineBreak(base, last.value));
    edits.push({ start: at, end: at, text: withLineBreaksOf(base, lead + lines) });
    return;
  }
  insertIntoFlow(plan, map, added, refilled);
}

/** Keeps the value of a block scalar without a line break at the end of the file when lines are added: `|` becomes `|-`. */
function withoutLineBreak(base: string, node: SourceNode): Edit[] {
  if (node.kind === 'list') return node.items.slice(-1).flatMap((item) => withoutLineBreak(base, item));
  if (node.kind === 'map') return node.pairs.slice(-1).flatMap((pair) => withoutLineBreak(base, pair.value));
  if (node.kind === 'alias' || node.style !== 'block' || !isCutBlock(base, node.end)) return [];
  const header = /^[|>][-+\d]*/.exec(node.raw)?.[0] ?? '';
  return [{ start: node.start, end: node.start + header.length, text: `${header.replace(/[-+]/, '')}-` }];
}

function insertIntoFlow({ base, syntax, edits }: Plan, map: MapNode, pieces: readonly Piece[], refilled: PairNode | null): void {
  const gap = gapOf(base, map);
  const lineIndent = gap.includes('\n') ? gap.length - gap.lastIndexOf('\n') - 1 : indentOfLine(base, map.start);
  const texts = pieces.map((piece) => flowPair(piece, lineIndent, leastIn(base, map), syntax));
  const last = map.pairs.at(-1);
  const end = last === undefined ? map.start + 1 : pairEnd(last);
  const comma = commaAfter(base, end);
  const put = (at: number, text: string, start = at): void => {
    edits.push({ start, end: at, text: withLineBreaksOf(base, text) });
  };
  const lineBreak = lineEnd(base, end) - (base.slice(0, lineEnd(base, end)).endsWith('\r\n') ? 2 : 1);
  const rest = base.slice(comma === null ? end : comma + 1, lineBreak);
  if (refilled !== null) {
    put(pairEnd(refilled), texts.join(`,${gap}`), refilled.start);
  } else if (last === undefined) {
    put(end, texts.join(`,${gap}`));
  } else if (gap.includes('\n') && /^[ \t]+#/.test(rest)) {
    // A comment stays on the line of its pair.
    if (comma === null) put(end, ',');
    put(lineBreak, `${gap}${texts.join(`,${gap}`)}${comma === null ? '' : ','}`);
  } else {
    put(end, `,${gap}${texts.join(`,${gap}`)}`);
  }
}

/** Returns the text between two pairs of a flow map, after the comma. */
function gapOf(text: string, map: MapNode): string {
  const [last, before] = [map.pairs.at(-1), map.pairs.at(-2)];
  if (last === undefined) return ' ';
  const comma = before === undefined ? map.start : commaAfter(text, pairEnd(before));
  const gap = comma === null ? ' ' : text.slice(comma + 1, last.start);
  if (gap.trim() !== '') return gap.includes('\n') ? `\n${' '.repeat(columnOf(text, last.start))}` : ' ';
  return gap === '' && before === undefined ? ' ' : gap;
}

/** Returns the minimum indentation of a line within flow brackets. */
function leastIn(text: string, map: MapNode): number {
  return indentOfLine(text, map.start) + 1;
}

function withLineBreaksOf(base: string, text: string): string {
  const unix = text.replaceAll('\r\n', '\n');
  return base.includes('\r\n') ? unix.replaceAll('\n', '\r\n') : unix;
}

function isAlsoInherited(map: MapNode, name: string): boolean {
  return membersOf({ ...map, pairs: map.pairs.filter((pair) => pair.isMerge) }).has(name);
}

/** Yields the names of the anchors in a value, including those of keys. */
export function* anchorsIn(node: SourceNode): Generator<string> {
  if (node.kind === 'alias') return;
  if (node.anchor !== null) yield node.anchor;
  if (node.kind === 'list') for (const item of node.items) yield* anchorsIn(item);
  if (node.kind !== 'map') return;
  for (const { key, value } of node.pairs) {
    if (key.anchor !== null) yield key.anchor;
    yield* anchorsIn(value);
  }
}

function hasReferences(node: SourceNode): boolean {
  if (node.kind === 'alias' || node.anchor !== null) return true;
  if (node.kind === 'scalar') return false;
  const inner = node.kind === 'list' ? node.items : node.pairs.map((pair) => pair.value);
  return inner.some(hasReferences);
}

/** Records the first anchor that an edit removes. */
function noteAnchors(plan: Plan, node: SourceNode, path: Path): void {
  if (plan.anchored !== null || node.kind === 'alias') return;
  if (node.anchor !== null) plan.anchored = { node, path };
  else if (node.kind === 'list') for (const item of node.items) noteAnchors(plan, item, path);
  else if (node.kind === 'map') for (const pair of node.pairs) noteAnchors(plan, pair.value, path);
}

function differentKey(path: Path): MergeFault {
  return new MergeFault(path, 'key', 'is a key that readers distinguish from the key in the file below: write both in the same way');
}

function inheritedMember(path: Path): MergeFault {
  return new MergeFault(
    path,
    'merge',
    'is inherited by a merge key ("<<") in the file below and cannot be removed: write the members out there',
  );
}

function taggedMap(path: Path, tag: string): MergeFault {
  const detail = `cannot be merged: the map has the tag ${tag}, whose meaning only the device knows; have one layer give the whole map`;
  return new MergeFault(path, 'tag', detail);
}
