import { jsonpath } from 'json-p3';
import { z } from 'zod';
import { messageOf } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';

/** A JSONPath (RFC 9535) that is applied to answers of the platform. */
export type Path = { text: string; all(value: Json): Json[]; first(value: Json): Json | undefined };

/** Functions that compile a regular expression: one that is slow would hold up the service on every answer. */
const EXPRESSIONS = /\b(?:match|search)\s*\(/;

export const JsonPath = z
  .string()
  .min(1)
  .max(500)
  .superRefine((text, context) => {
    if (EXPRESSIONS.test(text)) context.addIssue({ code: 'custom', message: 'must not use match() or search()' });
    else
      try {
        jsonpath.compile(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: `must be a JSONPath (RFC 9535), such as "$.data[*]": ${messageOf(error)}` });
      }
  });

export function pathOf(text: string): Path {
  const query = jsonpath.compile(text);
  const all = (value: Json) => query.query(value as never).values() as Json[];
  return { text, all, first: (value) => all(value)[0] };
}

/** A JSON Pointer (RFC 6901) to the place of a value in a body that is sent. */
export const JsonPointer = z
  .string()
  .max(500)
  .regex(/^(?:\/(?:[^~/]|~[01])+)+$/, 'must be a JSON Pointer, such as "/attributes/name"');

/** Puts values at their pointers. Objects in between are made. */
export function placed(values: readonly (readonly [pointer: string, value: Json])[]): { [key: string]: Json } {
  const body: { [key: string]: Json } = {};
  for (const [pointer, value] of values) {
    const parts = pointer
      .slice(1)
      .split('/')
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = parts.pop() ?? '';
    let at = body;
    for (const part of parts) {
      const next = Object.hasOwn(at, part) ? at[part] : undefined;
      const inner: { [key: string]: Json } = typeof next === 'object' && next !== null && !Array.isArray(next) ? next : {};
      Object.defineProperty(at, part, { value: inner, enumerable: true, configurable: true, writable: true });
      at = inner;
    }
    Object.defineProperty(at, last, { value, enumerable: true, configurable: true, writable: true });
  }
  return body;
}

/** Path of a call. `{name}` stands for a value, which is escaped. */
export function filled(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(values[name] ?? ''));
}
