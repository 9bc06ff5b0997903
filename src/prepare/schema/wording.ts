import { isRecord } from '../../document/document.ts';
import { jsonText } from '../../document/exact.ts';
import { isNumber } from './check/assertions.ts';
import { formatNamed } from './check/format.ts';
import type { SchemaFault } from './check/visit.ts';

/** A fault in words. `actual` and `limit` are absent where they must not be shown, or say nothing. */
export type Wording = { detail: string; actual?: unknown; limit?: unknown };

const MAX_SHOWN_CHARS = 200;

export function wordingOf(fault: SchemaFault, isSecret: boolean): Wording {
  const { keyword, member } = fault;
  const row = Object.hasOwn(ROWS, keyword) ? ROWS[keyword] : undefined;
  const actual = member === undefined ? shownOf(row?.measures === true ? fault.found : fault.value, isSecret) : undefined;
  const hidesLimit = isSecret && ['const', 'enum'].includes(keyword);
  const limit = row?.hasLimit === true && !hidesLimit ? fault.limit : undefined;
  const is = `is ${shownOf(fault.value, isSecret) === undefined ? nameless(fault.value, isSecret) : literal(fault.value)}`;
  const detail = row?.detail({ ...fault, is, limit, isHidden: isSecret }) ?? `${is}, must satisfy "${keyword}"`;
  return { detail, actual: shareable(actual), limit: shareable(limit) };
}

type Row = { hasLimit: boolean; measures?: true; detail(fault: SchemaFault & { is: string; isHidden: boolean }): string };

function limited(detail: Row['detail']): Row {
  return { hasLimit: true, detail };
}

function plain(detail: Row['detail']): Row {
  return { hasLimit: false, detail };
}

const compared = (comparison: string): Row => limited(({ is, limit }) => `${is}, must be ${comparison} ${literal(limit)}`);
const counted = (unit: string, comparison: string): Row => ({
  hasLimit: true,
  measures: true,
  detail: ({ found, limit, isHidden }) =>
    `has ${isHidden ? 'another number of' : found} ${unit}, must have ${comparison} ${literal(limit)}`,
});
const missing = plain(() => 'is missing');
const unknown = plain(() => 'is not known here');
const surplus = plain(() => 'is not allowed here: the list must end before it');
const oneOfThese = limited(({ is, limit }) =>
  limit === undefined
    ? `${is}, must have one of the allowed values`
    : `${is}, must be ${either([limit].flat().map(jsonText)) || 'one of the allowed values, of which there are none'}`,
);

/** Ends of a sentence whose subject is the value. */
const ROWS: Readonly<Record<string, Row>> = {
  required: missing,
  dependentRequired: missing,
  dependencies: missing,
  additionalProperties: unknown,
  unevaluatedProperties: unknown,
  items: surplus,
  additionalItems: surplus,
  unevaluatedItems: surplus,
  'false schema': plain(({ is }) => `${is}, is not allowed here`),
  minimum: compared('>='),
  maximum: compared('<='),
  exclusiveMinimum: compared('>'),
  exclusiveMaximum: compared('<'),
  multipleOf: limited(({ is, limit }) => `${is}, must be a multiple of ${literal(limit)}`),
  minLength: counted('characters', '>='),
  maxLength: counted('characters', '<='),
  minItems: counted('items', '>='),
  maxItems: counted('items', '<='),
  minProperties: counted('members', '>='),
  maxProperties: counted('members', '<='),
  uniqueItems: plain(() => 'has the same item twice, must have each once'),
  contains: counted('items that match "contains"', '>='),
  maxContains: counted('items that match "contains"', '<='),
  type: limited(({ is, limit }) => `${is}, must be ${either([limit].flat().map(String))}`),
  enum: oneOfThese,
  const: limited(({ is, limit }) =>
    limit === undefined ? `${is}, must have one of the allowed values` : `${is}, must be ${jsonText(limit)}`,
  ),
  pattern: limited(({ is, limit }) => `${is}, must match ${String(limit)}`),
  format: limited((fault) => `${fault.is}, ${formatDemand(fault)}`),
  anyOf: plain(({ is }) => `${is}, must match at least one schema in "anyOf"`),
  oneOf: plain(({ is, found = 0 }) => `${is}, must match exactly one schema in "oneOf"${found > 1 ? `, not ${found}` : ''}`),
  not: plain(({ is }) => `${is}, must not match the schema in "not"`),
  propertyNames: plain(
    ({ cause, isHidden }) => `has a name that is not allowed${cause === undefined ? '' : `: it ${wordingOf(cause, isHidden).detail}`}`,
  ),
};

function formatDemand({ value, limit, isHidden }: SchemaFault & { isHidden: boolean }): string {
  const format = formatNamed(limit);
  if (format === null) return `must be a valid ${String(limit)}`;
  const lacks = isHidden || typeof value !== 'string' ? null : (format.missing?.(value) ?? null);
  return `must be ${format.asks}${lacks === null ? '' : `: ${lacks}`}`;
}

function either(names: readonly string[]): string {
  return names.join(' or ');
}

/** Objects and lists may hold secrets anywhere. */
function shownOf(value: unknown, isSecret: boolean): unknown {
  if (isSecret) return undefined;
  if (typeof value === 'string') return value.length <= MAX_SHOWN_CHARS ? value : undefined;
  return value === null || isNumber(value) || typeof value === 'boolean' ? value : undefined;
}

/** As JSON writes it; what JSON does not have, as YAML does. */
function literal(value: unknown): string {
  if (typeof value !== 'number' || Number.isFinite(value)) return jsonText(value);
  return Number.isNaN(value) ? '.nan' : value > 0 ? '.inf' : '-.inf';
}

/** For errors that are stored and sent as JSON, which has neither of these numbers. */
export function shareable(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : literal(value);
  if (Array.isArray(value)) return value.map(shareable);
  return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shareable(inner)])) : value;
}

function nameless(value: unknown, isSecret: boolean): string {
  if (isSecret) return 'a secret value';
  if (Array.isArray(value)) return 'a list';
  return value !== null && typeof value === 'object' ? 'an object' : 'a long text';
}
