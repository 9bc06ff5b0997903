import type { Syntax } from '../document.ts';
import type { MapNode, PairNode, SourceNode } from '../node.ts';
import { resolved } from '../node.ts';
import { deletePairs, pairEnd, regionEnd } from './delete-pairs.ts';
import type { Edit } from './edits.ts';
import { beginsLine, columnOf, editedSlice, indentOfLine, lineStart, shiftLines, shiftLinesTo } from './edits.ts';
import { writeFlow, writeKey } from './flow.ts';
import type { Meaning } from './meaning.ts';
import { FLOW_INDICATORS } from './meaning.ts';

/** A pair of the upper file that is written into the lower one. */
export type Piece = {
  text: string;
  /** The map that contains the pair. */
  map: MapNode;
  pair: PairNode;
  /** The pair before it in its map. */
  before: PairNode | undefined;
  value: SourceNode;
  /** The expected meaning of the result, without null members. */
  meaning: Meaning;
  /** Whether the value is formatted again, on one line and without aliases, instead of copied. */
  isRewritten: boolean;
};

/** Formats the pair as lines of a block map whose keys start at column `indent`, with the comment above the pair. */
export function blockLines(piece: Piece, indent: number, syntax: Syntax): string {
  const { text, pair } = piece;
  if (!isWholeLines(piece)) return `${' '.repeat(indent)}${writeKey(pair.key)}: ${inlineValue(piece, indent, indent + 1, syntax)}\n`;
  const lines = shiftedFrom(piece, pair.start, indent);
  return `${shiftLines(`\n${commentAbove(piece)}`, indent - columnOf(text, pair.start)).slice(1)}${' '.repeat(indent)}${lines}`;
}

/** Formats the text after the colon in a block map whose keys start at column `indent`, to the end of its last line. */
export function blockValue(piece: Piece, indent: number, syntax: Syntax): string {
  const { pair } = piece;
  if (!isWholeLines(piece) || pair.colon === null) return ` ${inlineValue(piece, indent, indent + 1, syntax)}\n`;
  return shiftedFrom(piece, pair.colon + 1, indent);
}

/** Formats the pair for a flow map. `lineIndent` is the indentation of its line, `least` the minimum for each further line. */
export function flowPair(piece: Piece, lineIndent: number, least: number, syntax: Syntax): string {
  const { text, pair, value } = piece;
  const between = text.slice(pair.key.end, value.outer);
  const separator = /^[ \t]*:[ \t]*$/.test(between) && pair.value === value ? between : ': ';
  return `${writeKey(pair.key)}${syntax === 'json' ? separator : ': '}${flowValue(piece, lineIndent, least, syntax)}`;
}

export function flowValue(piece: Piece, lineIndent: number, least: number, syntax: Syntax): string {
  const { map, value, meaning } = piece;
  const isForeign = !map.isFlow && value.kind === 'scalar' && value.style === 'plain' && FLOW_INDICATORS.test(value.raw);
  return isForeign || isBlock(value) ? writeFlow(meaning, syntax) : inlineValue(piece, lineIndent, least, syntax);
}

/** Formats a value that can follow its key on the same line. */
export function inlineValue(piece: Piece, lineIndent: number, least: number, syntax: Syntax): string {
  const { text, value, meaning, isRewritten } = piece;
  if (isRewritten || isBlock(value)) return writeFlow(meaning, syntax);
  const own = editedSlice(text, nullDeletions(text, value), value.outer, value.end);
  if (own === '') return writeFlow(meaning, syntax);
  return shiftLinesTo(own, lineIndent - indentOfLine(text, value.outer), least);
}

export function isBlock(node: SourceNode): boolean {
  return node.kind === 'scalar' ? node.style === 'block' : node.kind !== 'alias' && !node.isFlow;
}

/** Returns whether the pair can be copied as whole lines. */
function isWholeLines({ text, map, pair, value, isRewritten }: Piece): boolean {
  return (
    !isRewritten &&
    !map.isFlow &&
    pair.value === value &&
    (beginsLine(text, pair.start) || isBlock(value) || !text.slice(pair.start, pairEnd(pair)).includes('\n'))
  );
}

function shiftedFrom({ text, pair, value }: Piece, from: number, indent: number): string {
  const end = regionEnd(text, pair);
  const own = editedSlice(text, nullDeletions(text, value, (pair.colon ?? pair.key.end) + 1), from, end);
  const by = indent - columnOf(text, pair.start);
  const lines = isBlock(value) || pair.start < pair.key.outer ? shiftLines(own, by) : shiftLinesTo(own, by, indent + 1);
  return lines.endsWith('\n') ? lines : `${lines}\n`;
}

/** Returns the comment lines directly above a pair. A comment above the file's first pair is about the file and is not returned. */
function commentAbove({ text, pair, before }: Piece): string {
  if (before === undefined || !beginsLine(text, pair.start)) return '';
  const start = lineStart(text, pair.start);
  const lines = text
    .slice(Math.min(regionEnd(text, before), start), start)
    .split('\n')
    .slice(0, -1);
  const last = lines.findLastIndex((line) => !line.trimStart().startsWith('#'));
  return lines
    .slice(last + 1)
    .map((line) => `${line}\n`)
    .join('');
}

/** Removes the null members from a map that a merge patch adds. */
export function nullDeletions(text: string, node: SourceNode, head: number | null = null): Edit[] {
  if (node.kind !== 'map') return [];
  const gone = new Set(node.pairs.filter(({ value }) => isNullNode(value)));
  const kept = node.pairs.filter((pair) => !gone.has(pair));
  const inner = kept.flatMap((pair) => nullDeletions(text, pair.value, pair.value.propsEnd ?? (pair.colon ?? pair.key.end) + 1));
  return [...deletePairs(text, node, gone, node.propsEnd ?? head, false), ...inner];
}

function isNullNode(source: SourceNode): boolean {
  const node = resolved(source);
  return node.kind === 'scalar' && node.value === null;
}
