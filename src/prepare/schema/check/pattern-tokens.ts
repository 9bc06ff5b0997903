export type Token = { text: string; kind: 'escape' | 'open' | 'close' | 'char'; inClass: boolean; at: number };

/** Escapes, the brackets of character classes and single characters, in their order. */
export function* tokensOf(source: string): Generator<Token> {
  let inClass = false;
  for (let at = 0; at < source.length; ) {
    const character = String.fromCodePoint(source.codePointAt(at) ?? 0);
    const next = source.codePointAt(at + 1);
    const isEscape = character === '\\' && next !== undefined;
    const text = isEscape ? escapeAt(source, at) : character;
    const kind = isEscape ? 'escape' : text === '[' && !inClass ? 'open' : text === ']' && inClass ? 'close' : 'char';
    yield { text, kind, inClass, at };
    if (kind === 'open') inClass = true;
    if (kind === 'close') inClass = false;
    at += text.length;
  }
}

function escapeAt(source: string, at: number): string {
  const long = /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[A-Za-z]|k<[^>]*>|\d+)/uy;
  long.lastIndex = at;
  return long.exec(source)?.[0] ?? `\\${String.fromCodePoint(source.codePointAt(at + 1) ?? 0)}`;
}
