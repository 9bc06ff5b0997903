import type { SourceNode } from './node.ts';

/** A configuration file as data, with the position of each value in its text. */
export type Document = {
  value: unknown;
  /** The text without its byte order mark. */
  text: string;
  hasByteOrderMark: boolean;
  /** The root of each document in the file, as written; none for a file without content. */
  roots: readonly SourceNode[];
  /** Number of documents in the file. Only YAML allows more than one; `value` is then their list. */
  parts: number;
  /** Returns every value of the text in order, computed again on each call. */
  spans(): Span[];
  /** Returns the 1-based line of the member or item, or of its nearest ancestor in the text. */
  lineOf(path: readonly string[]): number;
};

/** One value in the text. Offsets count UTF-16 units. */
export type Span = {
  path: readonly string[];
  /** The start of its key; for an item of a list, the start of the item. */
  keyStart: number;
  start: number;
  end: number;
  kind: 'scalar' | 'collection' | 'alias';
  /** Set for a scalar, and for an alias of a scalar. */
  value?: unknown;
  /** For an alias: the position of the repeated text. */
  target?: { start: number; end: number };
};

/** The reason why a text is no document. It never quotes the text, which may contain secrets. */
export type DocumentFault = { code: 'syntax' | 'too_deep'; rule: string; detail: string; line?: number; path: readonly string[] };

export type DocumentLimits = { maxDocumentDepth: number; maxYamlExpandedChars: number };

export type ParsedDocument = { ok: true; document: Document } | { ok: false; fault: DocumentFault };

export type Syntax = 'json' | 'yaml';

/** Returns the syntax that the file's name implies; null for every other kind of file. */
export function syntaxOf(fileName: string): Syntax | null {
  const name = fileName.toLowerCase();
  if (name.endsWith('.json')) return 'json';
  return name.endsWith('.yaml') || name.endsWith('.yml') ? 'yaml' : null;
}

/** Decodes UTF-8 and drops a byte order mark. Returns null for other bytes and for text with a NUL, which only binary files have. */
export function decodeText(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}

/** Returns the JSON pointer (RFC 6901) of a path. */
export function toPointer(path: readonly string[]): string {
  return path.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

export function fromPointer(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Returns the value at a path; undefined without one. */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  let inner = value;
  for (const name of path) {
    if (inner === null || typeof inner !== 'object' || !Object.hasOwn(inner, name)) return undefined;
    inner = Reflect.get(inner, name);
  }
  return inner;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Builds `lineOf` and computes the spans only on the first call, since most files have no error. */
export function lineFinder(spans: () => Span[], lineAt: (offset: number) => number): (path: readonly string[]) => number {
  let offsets: Map<string, number> | undefined;
  return (path) => {
    offsets ??= new Map(spans().map((span) => [toPointer(span.path), span.keyStart]));
    for (let length = path.length; length > 0; length -= 1) {
      const offset = offsets.get(toPointer(path.slice(0, length)));
      if (offset !== undefined) return lineAt(offset);
    }
    return lineAt(offsets.get('') ?? 0);
  };
}

/** Finds the line of an offset by binary search over the starts of lines. */
export function lineCounter(text: string): (offset: number) => number {
  let starts: number[] | undefined;
  return (offset) => {
    starts ??= lineStarts(text);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', end + 1)) starts.push(end + 1);
  return starts;
}
