import { jsonpath } from 'json-p3';
import { z } from 'zod';
import { messageOf } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';
import { integrationProblem } from '../../problems.ts';

/** A JSONPath (RFC 9535) that is applied to answers of the platform. */
export type Path = { text: string; all(value: Json): Json[]; first(value: Json): Json | undefined };

/** Functions that compile a regular expression: one that is slow would hold up the service on every answer. */
const EXPRESSIONS = /\b(?:match|search)\s*\(/;
const QUOTED = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g;

/** Whoever describes a platform may run it too: no path may visit the parts of an answer more often than a small multiple of their number. */
function costOf(text: string): string | undefined {
  const bare = text.replaceAll(QUOTED, "''");
  if (EXPRESSIONS.test(bare)) return 'must not use match() or search()';
  // Descending through an answer of 16 MiB holds up the service for four seconds.
  if (bare.includes('..')) return 'must not use ".."';
  // Each list such as [0,0] doubles the number of visits.
  if ((bare.match(/,/g)?.length ?? 0) > 9 || (bare.match(/\[[^[\]]*,/g)?.length ?? 0) > 1)
    return 'must have one list of selectors, such as ["a","b"], at most, and 10 selectors in it';
  return bare.lastIndexOf('$') > 0 ? 'must use "$" at the beginning only' : undefined;
}

export const JsonPath = z
  .string()
  .min(1)
  .max(500)
  .superRefine((text, context) => {
    const costly = costOf(text);
    if (costly !== undefined) context.addIssue({ code: 'custom', message: costly });
    else
      try {
        jsonpath.compile(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: `must be a JSONPath (RFC 9535), such as "$.data[*]": ${messageOf(error)}` });
      }
  });

export function pathOf(text: string): Path {
  const query = jsonpath.compile(text);
  // The other form of a query puts each list on the stack, which 150,000 devices in one list exceed.
  function* found(value: Json): Generator<Json> {
    try {
      for (const node of query.lazyQuery(value as never)) yield node.value as Json;
    } catch (cause) {
      throw integrationProblem('integration_protocol', `Cannot apply "${text}" to the answer of the platform: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
  return { text, all: (value) => [...found(value)], first: (value) => found(value).next().value as Json | undefined };
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

/**
 * Path of a call. `{name}` stands for a value, which is escaped.
 * @throws Problem `integration_rejected` for a value that no address can carry: `..` would name another call, also when it is escaped
 */
export function filled(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const value = values[name] ?? '';
    if (!/^\.{0,2}$/.test(value)) return encodeURIComponent(value);
    throw integrationProblem('integration_rejected', `Cannot call the platform: its address cannot carry "${value}" as {${name}}`);
  });
}
