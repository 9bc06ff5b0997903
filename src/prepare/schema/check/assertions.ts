import { isRecord } from '../../../document/document.ts';
import { canonical } from './canonical.ts';
import { isMultiple } from './decimal.ts';
import { formatNamed } from './format.ts';
import type { Keyword } from './keyword.ts';
import { report } from './keyword.ts';
import { compilePattern } from './pattern.ts';
import type { Check, Visit } from './visit.ts';

/** The keywords that judge a value by itself. null when the keyword's own value demands nothing. */
export const ASSERTIONS: Readonly<Record<string, (keyword: Keyword) => Check | null>> = {
  type: (keyword) => {
    const types = [keyword.value].flat();
    return assert(keyword, (value) => types.some((type) => isOfType(value, type)));
  },
  enum: (keyword) => {
    const allowed = new Set(Array.isArray(keyword.value) ? keyword.value.map(canonical) : []);
    return assert(keyword, (value) => allowed.has(canonical(value)));
  },
  const: (keyword) => {
    const allowed = canonical(keyword.value);
    return assert(keyword, (value) => canonical(value) === allowed);
  },
  maximum: (keyword) => compare(keyword, (value, limit) => (isExclusive(keyword, 'exclusiveMaximum') ? value < limit : value <= limit)),
  minimum: (keyword) => compare(keyword, (value, limit) => (isExclusive(keyword, 'exclusiveMinimum') ? value > limit : value >= limit)),
  exclusiveMaximum: (keyword) => compare(keyword, (value, limit) => value < limit),
  exclusiveMinimum: (keyword) => compare(keyword, (value, limit) => value > limit),
  multipleOf: (keyword) => compare(keyword, isMultiple),
  maxLength: (keyword) => measure(keyword, lengthOf, (size, limit) => size <= limit),
  minLength: (keyword) => measure(keyword, lengthOf, (size, limit) => size >= limit),
  maxItems: (keyword) => measure(keyword, countOfItems, (size, limit) => size <= limit),
  minItems: (keyword) => measure(keyword, countOfItems, (size, limit) => size >= limit),
  maxProperties: (keyword) => measure(keyword, countOfMembers, (size, limit) => size <= limit),
  minProperties: (keyword) => measure(keyword, countOfMembers, (size, limit) => size >= limit),
  uniqueItems: (keyword) => (keyword.value === true ? assert(keyword, hasUniqueItems) : null),
  pattern: (keyword) => {
    const result = compilePattern(String(keyword.value));
    if (!result.ok) return null;
    return assert(keyword, (value) => typeof value !== 'string' || result.pattern.test(value));
  },
  format: (keyword) => {
    const format = formatNamed(keyword.value);
    return format === null ? null : assert(keyword, (value) => typeof value !== 'string' || format.test(value));
  },
  required: (keyword) => requireMembers(keyword, keyword.value, () => true),
  dependentRequired: (keyword) => requireDependents(keyword),
};

function assert(keyword: Keyword, test: (value: unknown) => boolean): Check {
  return (value, visit) => test(value) || report(visit, keyword, { value });
}

function compare(keyword: Keyword, test: (value: number | bigint, limit: number | bigint) => boolean): Check | null {
  const limit = keyword.value;
  return isNumber(limit) ? assert(keyword, (value) => !isNumber(value) || test(value, limit)) : null;
}

/** A `bigint` is a whole number that JavaScript would round. */
export function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

/** In draft-04 the keyword is a switch beside the limit. */
function isExclusive({ schema }: Keyword, name: string): boolean {
  return schema[name] === true;
}

function measure(
  keyword: Keyword,
  sizeOf: (value: unknown) => number | null,
  test: (size: number, limit: number | bigint) => boolean,
): Check | null {
  const limit = keyword.value;
  if (!isNumber(limit)) return null;
  return (value, visit) => {
    const size = sizeOf(value);
    return size === null || test(size, limit) || report(visit, keyword, { value, found: size });
  };
}

/** In characters, as the standard counts: not in units of UTF-16. */
function lengthOf(value: unknown): number | null {
  return typeof value === 'string' ? [...value].length : null;
}

function countOfItems(value: unknown): number | null {
  return Array.isArray(value) ? value.length : null;
}

function countOfMembers(value: unknown): number | null {
  return isRecord(value) ? Object.keys(value).length : null;
}

function hasUniqueItems(value: unknown): boolean {
  return !Array.isArray(value) || new Set(value.map(canonical)).size === value.length;
}

function isOfType(value: unknown, type: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isRecord(value);
    case 'integer':
      return typeof value === 'bigint' || Number.isInteger(value);
    case 'number':
      return isNumber(value);
    default:
      return typeof value === type;
  }
}

export function requireMembers(keyword: Keyword, names: unknown, applies: (value: Record<string, unknown>) => boolean): Check | null {
  if (!Array.isArray(names)) return null;
  return (value, visit) => {
    if (!isRecord(value) || !applies(value)) return true;
    const missing = names.filter((name) => !Object.hasOwn(value, name));
    for (const member of missing) report(visit, keyword, { value, member });
    return missing.length === 0;
  };
}

function requireDependents(keyword: Keyword): Check | null {
  if (!isRecord(keyword.value)) return null;
  const checks = Object.entries(keyword.value).map(([name, names]) =>
    requireMembers(keyword, names, (value) => Object.hasOwn(value, name)),
  );
  return (value: unknown, visit: Visit) => checks.map((check) => check?.(value, visit) ?? true).every(Boolean);
}
