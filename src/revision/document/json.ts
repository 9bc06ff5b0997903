import type { DocumentFault, DocumentLimits, ParsedDocument, Span } from './document.ts';
import { lineCounter, lineFinder } from './document.ts';

/**
 * Strict JSON (RFC 8259) that also refuses what JSON.parse lets pass: duplicate names, of which readers choose different ones,
 * `__proto__`, and nesting without bound. JSON.parse tells no positions and quotes the text in its messages.
 */
export function parseJson(text: string, limits: DocumentLimits): ParsedDocument {
  const lineAt = lineCounter(text);
  try {
    const value = new JsonReader(text, limits.maxDocumentDepth, null).read();
    const spans = (): Span[] => {
      const found: Span[] = [];
      new JsonReader(text, limits.maxDocumentDepth, found).read();
      return found;
    };
    return { ok: true, document: { value, parts: 1, spans, lineOf: lineFinder(spans, lineAt) } };
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
  private readonly spans: Span[] | null;
  private readonly path: string[] = [];
  private at = 0;

  constructor(text: string, maxDepth: number, spans: Span[] | null) {
    this.text = text;
    this.maxDepth = maxDepth;
    this.spans = spans;
  }

  read(): unknown {
    this.skipSpace();
    const value = this.readValue(this.at);
    this.skipSpace();
    if (this.at < this.text.length) throw this.fault('must end here');
    return value;
  }

  private readValue(keyStart: number): unknown {
    const start = this.at;
    const opening = this.text[start];
    const isCollection = opening === '{' || opening === '[';
    const span: Span = { path: [...this.path], keyStart, start, end: start, kind: isCollection ? 'collection' : 'scalar' };
    this.spans?.push(span);
    const value = opening === '{' ? this.readObject() : opening === '[' ? this.readArray() : this.readScalar();
    span.end = this.at;
    if (!isCollection) span.value = value;
    return value;
  }

  private readObject(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.open();
    while (!this.closes('}')) {
      const keyStart = this.at;
      if (this.text[keyStart] !== '"') throw this.fault('must have a name in double quotes here');
      const name = this.readString();
      this.path.push(name);
      this.checkName(object, name, keyStart);
      this.skipSpace();
      if (!this.take(':')) throw this.fault('must have ":" here');
      this.skipSpace();
      object[name] = this.readValue(keyStart);
      this.path.pop();
      this.endItem('}');
    }
    return object;
  }

  private readArray(): unknown[] {
    const array: unknown[] = [];
    this.open();
    while (!this.closes(']')) {
      this.path.push(String(array.length));
      array.push(this.readValue(this.at));
      this.path.pop();
      this.endItem(']');
    }
    return array;
  }

  private checkName(object: Record<string, unknown>, name: string, offset: number): void {
    if (name === '__proto__') throw this.fault('must not have a member named "__proto__"', 'prototype', offset);
    if (Object.hasOwn(object, name)) throw this.fault('comes twice', 'duplicate', offset);
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

  private readScalar(): unknown {
    if (this.text[this.at] === '"') return this.readString();
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
