import type { DocumentFault, DocumentLimits, ParsedDocument } from './document.ts';
import { lineCounter, lineFinder } from './document.ts';
import type { ListNode, MapNode, PairNode, ScalarNode, SourceNode } from './node.ts';
import { MIN_NODE_CHARS, plainValue } from './node.ts';
import { spansOf } from './spans.ts';

/**
 * Strict JSON (RFC 8259) that also refuses what JSON.parse lets pass: duplicate names, of which readers choose different ones,
 * `__proto__`, and nesting without bound. JSON.parse tells no positions and quotes the text in its messages.
 */
export function parseJson(text: string, limits: DocumentLimits): ParsedDocument {
  const lineAt = lineCounter(text);
  try {
    const roots = [new JsonReader(text, limits.maxDocumentDepth).read()];
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

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const LITERALS: readonly [string, unknown][] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

class JsonReader {
  private readonly text: string;
  private readonly maxDepth: number;
  private readonly path: string[] = [];
  private at = 0;

  constructor(text: string, maxDepth: number) {
    this.text = text;
    this.maxDepth = maxDepth;
  }

  read(): SourceNode {
    this.skipSpace();
    const node = this.readValue();
    this.skipSpace();
    if (this.at < this.text.length) throw this.fault('must end here');
    return node;
  }

  private readValue(): SourceNode {
    const opening = this.text[this.at];
    return opening === '{' ? this.readObject() : opening === '[' ? this.readArray() : this.readScalar();
  }

  private readObject(): MapNode {
    const start = this.at;
    const pairs: PairNode[] = [];
    const names = new Set<string>();
    this.open();
    while (!this.closes('}')) {
      if (this.text[this.at] !== '"') throw this.fault('must have a name in double quotes here');
      const key = this.readScalar();
      const name = String(key.value);
      this.path.push(name);
      this.checkName(names, name, key.start);
      this.skipSpace();
      const colon = this.at;
      if (!this.take(':')) throw this.fault('must have ":" here');
      this.skipSpace();
      pairs.push({ name, key, start: key.start, colon, value: this.readValue(), isMerge: false });
      this.path.pop();
      this.endItem('}');
    }
    return { ...this.placeFrom(start), kind: 'map', isFlow: true, pairs };
  }

  private readArray(): ListNode {
    const start = this.at;
    const items: SourceNode[] = [];
    this.open();
    while (!this.closes(']')) {
      this.path.push(String(items.length));
      items.push(this.readValue());
      this.path.pop();
      this.endItem(']');
    }
    return { ...this.placeFrom(start), kind: 'list', isFlow: true, items };
  }

  private placeFrom(start: number) {
    const end = this.at;
    const props = { outer: start, propsEnd: null, tag: null, rawTag: null, anchor: null };
    return { start, end, ...props, expandedChars: end - start + MIN_NODE_CHARS, depth: 0 };
  }

  private checkName(names: Set<string>, name: string, offset: number): void {
    if (name === '__proto__') throw this.fault('must not have a member named "__proto__"', 'prototype', offset);
    if (names.has(name)) throw this.fault('comes twice', 'duplicate', offset);
    names.add(name);
  }

  private open(): void {
    if (this.path.length >= this.maxDepth) {
      const detail = `nests deeper than allowed, must be <= ${this.maxDepth} levels`;
      throw new JsonFault({ code: 'too_deep', rule: 'depth', detail, path: [] }, this.at);
    }
    this.at += 1;
    this.skipSpace();
  }

  /** True at the closing bracket, which it takes. */
  private closes(bracket: string): boolean {
    if (this.at >= this.text.length) throw this.fault(`must have "${bracket}" before its end`);
    return this.take(bracket);
  }

  private endItem(bracket: string): void {
    this.skipSpace();
    if (this.take(',')) {
      this.skipSpace();
      if (this.text[this.at] === bracket) throw this.fault('must not have a comma before the closing bracket');
    } else if (this.text[this.at] !== bracket) {
      throw this.fault(`must have "," or "${bracket}" here`);
    }
  }

  private readScalar(): ScalarNode {
    const start = this.at;
    const isText = this.text[start] === '"';
    const value = isText ? this.readString() : this.readWord();
    const raw = this.text.slice(start, this.at);
    return { ...this.placeFrom(start), kind: 'scalar', value, raw, style: isText ? 'quoted' : 'plain' };
  }

  private readWord(): unknown {
    for (const [word, value] of LITERALS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    NUMBER.lastIndex = this.at;
    const digits = NUMBER.exec(this.text)?.[0];
    if (digits === undefined) throw this.fault('must have a value here');
    this.at += digits.length;
    return Number(digits);
  }

  private readString(): string {
    const start = this.at;
    let end = this.text.indexOf('"', start + 1);
    while (end !== -1 && this.isEscaped(start, end)) end = this.text.indexOf('"', end + 1);
    if (end === -1) throw this.fault('has a string without end');
    try {
      const value: unknown = JSON.parse(this.text.slice(start, end + 1));
      this.at = end + 1;
      return String(value);
    } catch {
      throw this.fault('has a string with an unknown escape or a line break');
    }
  }

  private isEscaped(start: number, quote: number): boolean {
    let slashes = 0;
    while (quote - 1 - slashes > start && this.text[quote - 1 - slashes] === '\\') slashes += 1;
    return slashes % 2 === 1;
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  private skipSpace(): void {
    SPACE.lastIndex = this.at;
    this.at += SPACE.exec(this.text)?.[0].length ?? 0;
  }

  private fault(detail: string, rule = 'json', offset = this.at): JsonFault {
    return new JsonFault({ code: 'syntax', rule, detail, path: [...this.path] }, offset);
  }
}
