import { z } from 'zod';

/** A JSON value, as it is stored and sent. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const JsonValue: z.ZodType<Json> = z.json();

/**
 * Deepest nesting of JSON from outside, in levels. Deeper values exhaust the stack of recursive readers such as `JSON.stringify`, PostgreSQL, or
 * a check of `length`, which converts the value to text.
 */
export const MAX_JSON_DEPTH = 64;

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = ['"', '\\', '[', ']', '{', '}'].map((char) =>
  char.charCodeAt(0),
);

/** Checks the text of JSON before it is parsed. For a text that is not JSON, the result may be either. */
export function isTooDeep(json: string): boolean {
  let depth = 0;
  let isInText = false;
  for (let at = 0; at < json.length; at += 1) {
    const char = json.charCodeAt(at);
    if (isInText) {
      if (char === BACKSLASH) at += 1;
      else if (char === QUOTE) isInText = false;
    } else if (char === QUOTE) isInText = true;
    else if (char === OPEN_LIST || char === OPEN_OBJECT) {
      depth += 1;
      if (depth > MAX_JSON_DEPTH) return true;
    } else if (char === CLOSE_LIST || char === CLOSE_OBJECT) depth -= 1;
  }
  return false;
}

/** Checks a parsed value. It works level by level, because recursion would exhaust the stack. */
export function isTooDeepValue(value: unknown): boolean {
  let level = [value].filter(isNested);
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth >= MAX_JSON_DEPTH) return true;
    level = level.flatMap((inner) => Object.values(inner)).filter(isNested);
  }
  return false;
}

function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
