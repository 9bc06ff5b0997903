/** PostgreSQL stores no NUL in text, and neither NUL nor half of a surrogate pair in JSON. Both become U+FFFD. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}

/** Matches every escape of JSON, so that the escaped backslash of `\\u0000` does not count as the start of one. */
const ESCAPES = /\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|u[0-9a-f]{4}|.)/gi;
const UNSTORABLE_ESCAPE = /^\\u(?:0000|d[89a-f][0-9a-f]{2})$/i;

/** The same for the strings and keys of unparsed JSON, where such characters can only be escapes. */
export function storableJson(json: string): string {
  return json.replace(ESCAPES, (found) => (UNSTORABLE_ESCAPE.test(found) ? '\\ufffd' : found));
}

/** A copy whose texts PostgreSQL can hold as jsonb. */
export function storableValue<T>(value: T): T {
  return copied(value) as T;
}

function copied(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return value.map(copied);
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [storableText(key), copied(inner)]));
}
