import { decodeText, syntaxOf } from '../document/document.ts';
import { parseDocument } from '../document/parse.ts';
import { defaultRevisionLimits } from '../revision/limits.ts';
import { redactConfig } from '../revision/secret/redact.ts';
import { withoutShapes } from '../revision/secret/shapes.ts';

/** `masked`: letters and digits of values are hidden, because nobody knows where a value ends in a document that cannot be parsed. */
export type Excerpt = { content: 'text' | 'masked' | 'binary'; first: number; lines: string[]; total: number };

/** Lines before and after the line in question. */
const AROUND = 10;
const MASK = '•';

/** The lines of a configuration file around one of them, without secrets. @param line 1-based. @param secretPointers values that a schema marks */
export function excerptOf(bytes: Uint8Array, file: string, line: number, secretPointers: readonly string[]): Excerpt {
  const text = decodeText(bytes);
  if (text === null) return { content: 'binary', first: 0, lines: [], total: 0 };
  const syntax = syntaxOf(file);
  const isBroken = syntax !== null && !parseDocument(bytes, syntax, defaultRevisionLimits).ok;
  const shown = isBroken ? masked(text) : redactConfig(bytes, file, secretPointers);
  const all = shown.split('\n');
  const first = Math.max(1, Math.min(line, all.length) - AROUND);
  return { content: isBroken ? 'masked' : 'text', first, lines: all.slice(first - 1, first + 2 * AROUND), total: all.length };
}

/** Names before a colon stay, so that the place is recognised. Pure. */
function masked(text: string): string {
  const names = /("[\w.-]{1,64}"\s{0,8}:|^[ \t]{0,64}(?:-[ \t]{1,8})?[\w.-]{1,64}[ \t]{0,8}:(?=\s|$))|[\p{L}\p{N}]/gmu;
  return withoutShapes(
    text.replace(names, (_whole, name: string | undefined) => name ?? MASK),
    MASK,
  );
}
