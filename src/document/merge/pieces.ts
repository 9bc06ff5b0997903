import type { Syntax } from '../document.ts';
import type { MapNode, PairNode, SourceNode } from '../node.ts';
import { resolved } from '../node.ts';
import { deletePairs, pairEnd, regionEnd } from './delete-pairs.ts';
import type { Edit } from './edits.ts';
import { beginsLine, columnOf, editedSlice, indentOfLine, lineStart, shiftLines, shiftLinesTo } from './edits.ts';
import { writeFlow, writeKey } from './flow.ts';
import type { Meaning } from './meaning.ts';
import { FLOW_INDICATORS } from './meaning.ts';

/** A pair of the upper file that goes into the lower one. */
export type Piece = {
  text: string;
  /** Where the pair stands. */
  map: MapNode;
  pair: PairNode;
  /** The pair before it in its map. */
  before: PairNode | undefined;
  value: SourceNode;
  /** What is to be read there: without null members. */
  meaning: Meaning;
  /** Write the value anew, on one line and without aliases, instead of as it stands. */
  isRewritten: boolean;
};

/** The pair as lines of a block map whose keys stand at `indent`, with the comment above it. */
export function blockLines(piece: Piece, indent: number, syntax: Syntax): string {
  const { text, pair } = piece;
  if (!isWholeLines(piece)) return `${' '.repeat(indent)}${writeKey(pair.key)}: ${inlineValue(piece, indent, indent + 1, syntax)}\n`;
  const lines = shiftedFrom(piece, pair.start, indent);
  return `${shiftLines(`\n${commentAbove(piece)}`, indent - columnOf(text, pair.start)).slice(1)}${' '.repeat(indent)}${lines}`;
}

/** What follows the colon in a block map whose keys stand at `indent`, to the end of its last line. */
export function blockValue(piece: Piece, indent: number, syntax: Syntax): string {
  const { pair } = piece;
  if (!isWholeLines(piece) || pair.colon === null) return ` ${inlineValue(piece, indent, indent + 1, syntax)}\n`;
  return shiftedFrom(piece, pair.colon + 1, indent);
}

/** The pair for a flow map. `lineIndent`: of the line that it comes to stand on; `least`: which each further line must have. */
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

/** A value that can follow its key on the line. */
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

/** Whether the pair can be taken as the lines on which it stands. */
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

/** The lines of comment right above a pair. The one above the file's first pair is about the file. */
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

/** Takes the null members out of a map that a merge patch puts where nothing was. */
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
