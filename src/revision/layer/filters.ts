import type { Context, FilterImplOptions, Liquid } from 'liquidjs';
import { toValue } from 'liquidjs';
import { spellingOf } from './written.ts';

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

/** A division by 0 would print Infinity or NaN. */
function calculating(filter: Handler): Handler {
  return function* (value: unknown, ...args: unknown[]) {
    const result: unknown = yield filter.call(this, value, ...args);
    if (typeof result === 'number' && !Number.isFinite(result)) throw new Error('calculates something that is no finite number');
    return result;
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
