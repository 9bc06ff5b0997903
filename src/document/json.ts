import { type JSONVisitor, printParseErrorCode, visit } from 'jsonc-parser';
import type { DocumentFault, DocumentLimits, ParsedDocument } from './document.ts';
import { lineCounter, lineFinder } from './document.ts';
import type { ListNode, MapNode, PairNode, ScalarNode, SourceNode } from './node.ts';
import { MIN_NODE_CHARS, plainValue } from './node.ts';
import { spansOf } from './spans.ts';

/**
 * Parses strict JSON (RFC 8259) with the position of each value. The library reads the text. This file also refuses duplicate names, which readers
 * resolve differently, `__proto__`, and unlimited nesting. JSON.parse reports no positions and quotes the text in its messages.
 */
export function parseJson(text: string, limits: DocumentLimits): ParsedDocument {
  const lineAt = lineCounter(text);
  try {
    const builder = new NodeBuilder(text, limits.maxDocumentDepth);
    visit(text, builder.visitor(), { disallowComments: true });
    const roots = builder.roots;
    const [root] = roots;
    const value = root === undefined ? null : plainValue(root);
    const spans = () => spansOf(roots);
    return { ok: true, document: { value, text, hasByteOrderMark: false, roots, parts: 1, spans, lineOf: lineFinder(spans, lineAt) } };
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    return { ok: false, fault: { ...error.fault, line: lineAt(error.offset) } };
  }
}

class JsonFault extends Error {
  readonly fault: DocumentFault;
  readonly offset: number;

  constructor(fault: DocumentFault, offset: number) {
    super(fault.detail);
    this.fault = fault;
    this.offset = offset;
  }
}

/** An object or array whose end was not reached yet. */
type Open = { start: number; expects: 'name' | 'colon' | 'value' | 'comma' } & (
  | { kind: 'map'; pairs: PairNode[]; names: Set<string>; name: { key: ScalarNode; text: string; colon: number } | null }
  | { kind: 'list'; items: SourceNode[] }
);

class NodeBuilder {
  readonly roots: SourceNode[] = [];
  private readonly text: string;
  private readonly maxDepth: number;
  private readonly open: Open[] = [];

  constructor(text: string, maxDepth: number) {
    this.text = text;
    this.maxDepth = maxDepth;
  }

  visitor(): JSONVisitor {
    return {
      onObjectBegin: (offset) => this.begin({ kind: 'map', start: offset, expects: 'name', pairs: [], names: new Set(), name: null }),
      onArrayBegin: (offset) => this.begin({ kind: 'list', start: offset, expects: 'value', items: [] }),
      onObjectProperty: (name, offset, length) => this.beginPair(name, this.scalar(name, offset, offset + length)),
      onSeparator: (character, offset) => this.separate(character, offset),
      onLiteralValue: (value: unknown, offset, length) => this.add(this.scalar(value, offset, offset + length)),
      onObjectEnd: (offset) => this.end(offset + 1),
      onArrayEnd: (offset) => this.end(offset + 1),
      onError: (code, offset) => {
        throw this.fault(this.reasonOf(printParseErrorCode(code), offset), 'json', offset);
      },
    };
  }

  private begin(open: Open): void {
    if (this.open.length >= this.maxDepth) {
      const detail = `nests deeper than allowed, must be <= ${this.maxDepth} levels`;
      throw new JsonFault({ code: 'too_deep', rule: 'depth', detail, path: [] }, open.start);
    }
    this.open.push(open);
  }

  private beginPair(text: string, key: ScalarNode): void {
    const map = this.open.at(-1);
    if (map?.kind !== 'map') return;
    map.name = { key, text, colon: key.end };
    map.expects = 'colon';
    if (text === '__proto__') throw this.fault('must not have a member named "__proto__"', 'prototype', key.start);
    if (map.names.has(text)) throw this.fault('appears twice', 'duplicate', key.start);
    map.names.add(text);
  }

  private separate(character: string, offset: number): void {
    const open = this.open.at(-1);
    if (open === undefined) return;
    open.expects = open.kind === 'map' && character === ',' ? 'name' : 'value';
    if (open.kind === 'map' && open.name !== null) open.name.colon = offset;
  }

  private add(value: SourceNode): void {
    const open = this.open.at(-1);
    if (open === undefined) return void this.roots.push(value);
    open.expects = 'comma';
    if (open.kind === 'list') return void open.items.push(value);
    if (open.name === null) return;
    const { key, text: name, colon } = open.name;
    open.pairs.push({ name, key, start: key.start, colon, value, isMerge: false });
    open.name = null;
  }

  private end(end: number): void {
    const open = this.open.pop();
    if (open === undefined) return;
    const place = placeOf(open.start, end);
    const map = open.kind === 'map' ? ({ ...place, kind: 'map', isFlow: true, pairs: open.pairs } satisfies MapNode) : undefined;
    const list = open.kind === 'list' ? ({ ...place, kind: 'list', isFlow: true, items: open.items } satisfies ListNode) : undefined;
    const node = map ?? list;
    if (node !== undefined) this.add(node);
  }

  private scalar(value: unknown, start: number, end: number): ScalarNode {
    const style = this.text[start] === '"' ? 'quoted' : 'plain';
    return { ...placeOf(start, end), kind: 'scalar', value, raw: this.text.slice(start, end), style };
  }

  /** The reason never quotes the text, which may be secret. */
  private reasonOf(code: string, offset: number): string {
    if (code === 'InvalidCommentToken') return 'must not have comments';
    if (code === 'UnexpectedEndOfString') return 'has a string without end, or with a line break';
    if (code === 'UnexpectedEndOfNumber') return 'has a number without digits after its point or exponent';
    if (STRING_FAULTS.includes(code)) return 'has a string with an unknown escape or a control character';
    // The library closes an object or array before it reports the missing bracket, so `open` is already its parent.
    if (code === 'CloseBraceExpected') return 'must have "}" before its end';
    if (code === 'CloseBracketExpected') return 'must have "]" before its end';
    const open = this.open.at(-1);
    if (open === undefined) return this.roots.length > 0 ? 'must end here' : 'must have a value here';
    const bracket = open.kind === 'map' ? '}' : ']';
    const isFirst = open.kind === 'map' ? open.pairs.length === 0 : open.items.length === 0;
    if (open.expects === 'colon') return 'must have ":" here';
    if (open.expects === 'comma') return `must have "," or "${bracket}" here`;
    if (open.kind === 'map' && open.expects === 'value') return 'must have a value here';
    if (this.text.slice(offset).trim() === '') return `must have "${bracket}" before its end`;
    if (this.text[offset] === bracket && !isFirst) return 'must not have a comma before the closing bracket';
    return open.expects === 'name' ? 'must have a name in double quotes here' : 'must have a value here';
  }

  private fault(detail: string, rule: string, offset: number): JsonFault {
    return new JsonFault({ code: 'syntax', rule, detail, path: this.path() }, offset);
  }

  /** Returns the current path: in an array that of the next item, unless a comma must precede it. */
  private path(): string[] {
    return this.open.flatMap((open, depth) => {
      if (open.kind === 'map') return open.name === null ? [] : [open.name.text];
      return open.expects === 'comma' && depth === this.open.length - 1 ? [] : [String(open.items.length)];
    });
  }
}

const STRING_FAULTS: readonly string[] = ['InvalidEscapeCharacter', 'InvalidUnicode', 'InvalidCharacter'];

function placeOf(start: number, end: number) {
  const props = { outer: start, propsEnd: null, tag: null, rawTag: null, anchor: null };
  return { start, end, ...props, expandedChars: end - start + MIN_NODE_CHARS, depth: 0 };
}
