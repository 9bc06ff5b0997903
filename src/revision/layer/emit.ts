import { stringify } from 'yaml';
import type { Syntax } from '../document/document.ts';

/** The text of a merged document. The same value always gives the same text. */
export function emitDocument(value: unknown, syntax: Syntax): string {
  if (syntax === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  // Devices read YAML 1.1 as well, to which a plain `yes` or `012` is no string: what would be something else there gets quotes.
  return stringify(value, { version: '1.2', schema: 'core', compat: 'yaml-1.1', aliasDuplicateObjects: false, lineWidth: 0 });
}

/** Where a number stands that writing would change: an integer too large to be exact, or what JSON has no word for. null: nowhere. */
export function inexactNumber(value: unknown, syntax: Syntax, path: readonly string[] = []): readonly string[] | null {
  if (typeof value === 'number') {
    const isLost = Number.isFinite(value) ? Number.isInteger(value) && !Number.isSafeInteger(value) : syntax === 'json';
    return isLost ? path : null;
  }
  if (value === null || typeof value !== 'object') return null;
  for (const [name, inner] of Object.entries(value)) {
    const found = inexactNumber(inner, syntax, [...path, name]);
    if (found !== null) return found;
  }
  return null;
}
