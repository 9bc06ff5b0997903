import type { ErrorObject } from 'ajv';
import { configError } from '../config-error.ts';
import type { Document } from '../document/document.ts';
import { fromPointer, toPointer } from '../document/document.ts';
import type { ConfigError } from '../revision.ts';
import { isBelow, isSecretPath, looksSecret } from '../secret.ts';

/** The engine's error in words for the author of the file; null for one that only repeats others. */
export function schemaError(error: ErrorObject, file: string, document: Document, secrets: ReadonlySet<string>): ConfigError | null {
  // The errors of "then" and "else" say it better.
  if (error.keyword === 'if') return null;
  const member = memberOf(error);
  const path = [...fromPointer(error.instancePath), ...(member === null ? [] : [member])];
  const pointer = toPointer(path);
  const isSecret = isBelow(pointer, secrets) || isSecretPath(path) || looksSecret(error.data) || hasSecretMark(error.parentSchema);
  const actual = member === null ? actualOf(error) : undefined;
  const shown = isSecret || !isShowable(actual) ? undefined : actual;
  const limit = isSecret && ['const', 'enum'].includes(error.keyword) ? undefined : limitOf(error);
  const line = document.lineOf(path);
  return configError({
    code: 'schema',
    file,
    line,
    pointer,
    rule: error.keyword,
    limit,
    actual: shown,
    detail: detailOf(error, shown, limit, isSecret),
  });
}

const MAX_SHOWN_CHARS = 200;

/** The member that is missing or too many: the error is about it, though the engine found it in its object. */
function memberOf(error: ErrorObject): string | null {
  const { missingProperty, additionalProperty, unevaluatedProperty } = params(error);
  const name = missingProperty ?? additionalProperty ?? unevaluatedProperty;
  return typeof name === 'string' ? name : null;
}

function params(error: ErrorObject): Record<string, unknown> {
  return error.params;
}

function actualOf(error: ErrorObject): unknown {
  const { data, keyword } = error;
  if (typeof data === 'string' && /Length$/.test(keyword)) return [...data].length;
  if (Array.isArray(data) && /Items$|[cC]ontains$/.test(keyword)) return data.length;
  if (isObject(data) && /Properties$/.test(keyword)) return Object.keys(data).length;
  return data;
}

function limitOf(error: ErrorObject): unknown {
  const { limit, allowedValues, allowedValue, pattern, format, type, multipleOf } = params(error);
  return limit ?? allowedValues ?? allowedValue ?? pattern ?? format ?? type ?? multipleOf;
}

/** Objects and lists may hold secrets anywhere. */
function isShowable(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= MAX_SHOWN_CHARS;
  return value === null || typeof value === 'number' || typeof value === 'boolean';
}

function detailOf(error: ErrorObject, shown: unknown, limit: unknown, isSecret: boolean): string {
  const is = `is ${shown === undefined ? nameless(error.data, isSecret) : JSON.stringify(shown)}`;
  const has = (unit: string): string => `has ${shown === undefined ? 'another number of' : String(shown)} ${unit}, must have`;
  switch (error.keyword) {
    case 'required':
    case 'dependentRequired':
    case 'dependencies':
      return 'is missing';
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return 'is not known here';
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `${is}, must be ${String(params(error).comparison)} ${String(limit)}`;
    case 'minLength':
    case 'maxLength':
      return `${has('characters')} ${comparison(error)} ${String(limit)}`;
    case 'minItems':
    case 'maxItems':
      return `${has('items')} ${comparison(error)} ${String(limit)}`;
    case 'minProperties':
    case 'maxProperties':
      return `${has('members')} ${comparison(error)} ${String(limit)}`;
    case 'type':
      return `${is}, must be ${[limit].flat().join(' or ')}`;
    case 'enum':
    case 'const':
      return limit === undefined ? `${is}, must have one of the allowed values` : `${is}, must be ${alternatives(limit)}`;
    case 'pattern':
      return `${is}, must match ${String(limit)}`;
    case 'format':
      return `${is}, must be a valid ${String(limit)}`;
    case 'multipleOf':
      return `${is}, must be a multiple of ${String(limit)}`;
    default:
      return `${is}, ${error.message ?? `must satisfy "${error.keyword}"`}`;
  }
}

function comparison(error: ErrorObject): string {
  return error.keyword.startsWith('min') ? '>=' : '<=';
}

function alternatives(limit: unknown): string {
  return [limit]
    .flat()
    .map((value) => JSON.stringify(value))
    .join(' or ');
}

function nameless(value: unknown, isSecret: boolean): string {
  if (isSecret) return 'a secret value';
  if (Array.isArray(value)) return 'a list';
  return isObject(value) ? 'an object' : 'a long text';
}

function hasSecretMark(schema: unknown): boolean {
  return isObject(schema) && (Reflect.get(schema, 'writeOnly') === true || Reflect.get(schema, 'x-secret') === true);
}

function isObject(value: unknown): value is object {
  return value !== null && typeof value === 'object';
}
