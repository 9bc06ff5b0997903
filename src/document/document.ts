import type { SourceNode } from './node.ts';

/** A configuration file as data, with the places in its text from which the data came. */
export type Document = {
  value: unknown;
  /** Without its byte order mark. */
  text: string;
  hasByteOrderMark: boolean;
  /** What the file says, as it is written: of each document in it; none for a file without content. */
  roots: readonly SourceNode[];
  /** Documents in the file: more than one only in YAML; `value` is then the list of them. */
  parts: number;
  /** Every value of the text in its order, found again on each call. */
  spans(): Span[];
  /** 1-based line on which the member or item stands; of its nearest ancestor when it is not in the text itself. */
  lineOf(path: readonly string[]): number;
};

/** One value in the text. Offsets count UTF-16 units. */
export type Span = {
  path: readonly string[];
  /** Where its key begins; for an item of a list, the item itself. */
  keyStart: number;
  start: number;
  end: number;
  kind: 'scalar' | 'collection' | 'alias';
  /** Of a scalar, and of an alias that stands for a scalar. */
  value?: unknown;
  /** Of an alias: where the text stands that it repeats. */
  target?: { start: number; end: number };
};

/** Why a text is no document. Never quotes the text, which may hold secrets. */
export type DocumentFault = { code: 'syntax' | 'too_deep'; rule: string; detail: string; line?: number; path: readonly string[] };

export type DocumentLimits = { maxDocumentDepth: number; maxYamlExpandedChars: number };

export type ParsedDocument = { ok: true; document: Document } | { ok: false; fault: DocumentFault };

export type Syntax = 'json' | 'yaml';

/** The syntax that a file's name promises; null for every other kind of file. */
export function syntaxOf(fileName: string): Syntax | null {
  const name = fileName.toLowerCase();
  if (name.endsWith('.json')) return 'json';
  return name.endsWith('.yaml') || name.endsWith('.yml') ? 'yaml' : null;
}

/** null when the bytes are not UTF-8 or hold a NUL, as binaries do. A byte order mark is dropped. */
export function decodeText(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}

/** JSON pointer (RFC 6901) of a path. */
export function toPointer(path: readonly string[]): string {
  return path.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

export function fromPointer(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value at a path; undefined when there is none. */
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

/** `lineOf` over spans that are found when first needed: most files have no error. */
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

/** Finds lines by halving, over the offsets at which lines begin. */
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
