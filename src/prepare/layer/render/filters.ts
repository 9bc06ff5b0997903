import type { Context, FilterImplOptions, Liquid } from 'liquidjs';
import { toValue } from 'liquidjs';
import { isRecord } from '../../../document/document.ts';
import { spellingOf, WrittenNumber } from './written.ts';

type Handler = Extract<FilterImplOptions, (...args: never[]) => unknown>;

/** Filters that take items of a list by a member, which some items may lack. */
const CHOOSING = ['find', 'find_index', 'group_by', 'has', 'reject', 'where'];
const CALCULATING = 'abs at_least at_most ceil divided_by floor minus modulo plus round sum times to_integer'.split(' ');

/** Changes the package's filters where they would print what no file says, or fail on what Liquid allows. */
export function replaceFilters(liquid: Liquid): void {
  for (const name of CHOOSING) replace(liquid, name, choosing);
  for (const name of CALCULATING) replace(liquid, name, calculating);
  replace(liquid, 'group_by', grouping);
  replace(liquid, 'default', defaulting);
  replace(liquid, 'size', counting);
}

function replace(liquid: Liquid, name: string, wrap: (filter: Handler) => Handler): void {
  const { [name]: filter } = liquid.filters;
  if (typeof filter !== 'function') throw new Error(`Cannot set up templates: the filter ${name} is missing`);
  liquid.registerFilter(name, wrap(filter));
}

/** An item without the member counts as one whose member is nil. */
function choosing(filter: Handler): Handler {
  return function (value: unknown, ...args: unknown[]) {
    const context: Context = Object.create(this.context, { strictVariables: { value: false } });
    return filter.call({ ...this, context }, value, ...args);
  };
}

/** Decimal digits that every calculation keeps. */
const DIGITS = 15;

/** Without this, a division by 0 would print Infinity, 0.1 plus 0.2 would be 0.30000000000000004, and long numbers would lose digits. */
function calculating(filter: Handler): Handler {
  return function* (value: unknown, ...args: unknown[]) {
    const result: unknown = yield filter.call(this, value, ...args);
    if (typeof result !== 'number') return result;
    if (!Number.isFinite(result)) throw new Error('calculates something that is no finite number');
    if (![value, ...args, result].every(isExact)) throw new Error('calculates with a whole number beyond 9007199254740991');
    return Number.isInteger(result) ? result : Number(result.toPrecision(DIGITS));
  };
}

function isExact(value: unknown): boolean {
  const plain: unknown = value instanceof WrittenNumber ? value.valueOf() : value;
  return !Number.isInteger(plain) || Number.isSafeInteger(plain);
}

/** Liquid counts the members of a map, the package does not. */
function counting(filter: Handler): Handler {
  return function (value: unknown) {
    const plain: unknown = toValue(value);
    const isMap = isRecord(plain) && !(plain instanceof WrittenNumber);
    return isMap ? Object.keys(plain).length : filter.call(this, value);
  };
}

/** Numbers and switches of one spelling are one group. */
function grouping(filter: Handler): Handler {
  return function* (value: unknown, ...args: unknown[]) {
    const groups: { name: unknown; items: unknown[] }[] = yield filter.call(this, value, ...args);
    const merged = new Map<unknown, { name: unknown; items: unknown[] }>();
    for (const group of groups) {
      const key = spellingOf(group.name);
      merged.set(key, { name: group.name ?? null, items: [...(merged.get(key)?.items ?? []), ...group.items] });
    }
    return [...merged.values()];
  };
}

/** A switch prints as it is written, also where it is not replaced. */
function defaulting(filter: Handler): Handler {
  return function (value: unknown, ...args: unknown[]) {
    const result: unknown = filter.call(this, value, ...args);
    return result === toValue(value) ? value : result;
  };
}
