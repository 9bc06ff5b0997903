import { isRecord } from '../../../document/document.ts';
import { isAtLeast } from '../dialect.ts';
import { isNumber, requireMembers } from './assertions.ts';
import type { Keyword } from './keyword.ts';
import { report } from './keyword.ts';
import type { Pattern } from './pattern.ts';
import { compilePattern } from './pattern.ts';
import type { Check, SchemaFault, Visit } from './visit.ts';
import { Evaluated, inside, pathOf, silently } from './visit.ts';

/** The keywords that apply other schemas to the value or to parts of it. */
export const APPLICATORS: Readonly<Record<string, (keyword: Keyword) => Check | null>> = {
  allOf: (keyword) => all(branches(keyword)),
  anyOf: (keyword) => choose(keyword, (count) => count > 0),
  oneOf: (keyword) => choose(keyword, (count) => count === 1),
  not: (keyword) => {
    const check = keyword.check(keyword.name);
    return (value, visit) => !silently(check, value, { ...visit, evaluated: null }) || report(visit, keyword, { value });
  },
  if: conditional,
  dependentSchemas: (keyword) => all(dependents(keyword)),
  dependencies: (keyword) => all(dependents(keyword)),
  properties,
  patternProperties: (keyword) => {
    const rows = names(keyword).map((name) => ({ pattern: patternOf(name), check: keyword.check(keyword.name, name) }));
    return eachMember((name, value, visit) => {
      const applied = rows.filter(({ pattern }) => pattern?.test(name)).map(({ check }) => check(value, visit));
      return applied.length === 0 ? null : applied.every(Boolean);
    });
  },
  additionalProperties,
  propertyNames,
  prefixItems: positions,
  items: (keyword) => {
    if (Array.isArray(keyword.value)) return positions(keyword);
    const { prefixItems } = keyword.schema;
    const isBehindPrefix = isAtLeast(keyword.node.resource.draft, '2020-12') && Array.isArray(prefixItems);
    return itemsFrom(keyword, isBehindPrefix ? prefixItems.length : 0);
  },
  additionalItems: (keyword) => {
    const { items } = keyword.schema;
    return Array.isArray(items) ? itemsFrom(keyword, items.length) : null;
  },
  contains,
};

/** These see what all other keywords of the schema have evaluated. */
export const LAST: Readonly<Record<string, (keyword: Keyword) => Check | null>> = {
  unevaluatedProperties: (keyword) => {
    const rest = restOf(keyword);
    return eachMember((name, value, visit, outer) => (outer.evaluated?.has(name) ? null : rest(value, visit, outer, name)));
  },
  unevaluatedItems: (keyword) => {
    const rest = restOf(keyword);
    return eachItem((index, value, visit, outer) => (outer.evaluated?.has(index) ? null : rest(value, visit, outer, String(index))));
  },
};

function names({ value }: Keyword): string[] {
  return isRecord(value) ? Object.keys(value) : [];
}

function branches(keyword: Keyword): Check[] {
  return Array.isArray(keyword.value) ? keyword.value.map((_, index) => keyword.check(keyword.name, String(index))) : [];
}

function all(checks: readonly Check[]): Check {
  return (value, visit) => {
    let isValid = true;
    for (const check of checks) if (!check(value, visit)) isValid = false;
    return isValid;
  };
}

/** Every branch is tried, for its marks; the faults of branches are reported when none is valid. */
function choose(keyword: Keyword, accepts: (count: number) => boolean): Check {
  const checks = branches(keyword);
  return (value, visit) => {
    const { faults } = visit.findings;
    const start = faults.length;
    const groups: SchemaFault[][] = [];
    let count = 0;
    for (const check of checks) {
      const length = faults.length;
      if (isValidBranch(check, value, visit)) count += 1;
      else groups.push(faults.slice(length));
    }
    if (count > 0) faults.length = start;
    else faults.splice(start, faults.length, ...meantBranches(groups, pathOf(visit.place).length).flat());
    return accepts(count) || report(visit, keyword, { value, found: count });
  };
}

/** The branches that the author may have meant: one for another type or value says nothing, if others fail further inside. */
function meantBranches(groups: SchemaFault[][], depth: number): SchemaFault[][] {
  const isOther = ({ keyword, path }: SchemaFault): boolean => path.length === depth && ['type', 'enum', 'const'].includes(keyword);
  // A member such as "kind" often names the branch.
  const isOtherKind = ({ keyword, path }: SchemaFault): boolean => path.length === depth + 1 && keyword === 'const';
  const meant = without(groups, isOther);
  return without(meant, isOtherKind);
}

function without(groups: SchemaFault[][], isOther: (fault: SchemaFault) => boolean): SchemaFault[][] {
  const rest = groups.filter((faults) => !faults.some(isOther));
  return rest.length > 0 ? rest : groups;
}

/** Members and items that a branch evaluates count only when the branch is valid. */
function isValidBranch(check: Check, value: unknown, visit: Visit): boolean {
  if (visit.evaluated === null) return check(value, visit);
  const evaluated = new Evaluated();
  const isValid = check(value, { ...visit, evaluated });
  if (isValid) visit.evaluated.merge(evaluated);
  return isValid;
}

function conditional(keyword: Keyword): Check {
  const condition = keyword.check('if');
  const branch = (name: string): Check => (keyword.schema[name] === undefined ? () => true : keyword.check(name));
  const [onTrue, onFalse] = [branch('then'), branch('else')];
  const test: Check = (value, visit) => isValidBranch(condition, value, visit);
  return (value, visit) => (silently(test, value, visit) ? onTrue : onFalse)(value, visit);
}

function dependents(keyword: Keyword): Check[] {
  return names(keyword).map((name) => {
    const needed = isRecord(keyword.value) ? keyword.value[name] : undefined;
    const has = (value: unknown): boolean => isRecord(value) && Object.hasOwn(value, name);
    // Up to draft-07, a list of names may stand for a schema.
    if (Array.isArray(needed)) return requireMembers(keyword, needed, has) ?? (() => true);
    const check = keyword.check(keyword.name, name);
    return (value: unknown, visit: Visit) => !has(value) || check(value, visit);
  });
}

/** @returns null when the keyword does not apply to the member or item, which is then not evaluated by it */
type CheckPart<Name> = (name: Name, value: unknown, visit: Visit, outer: Visit) => boolean | null;

function eachMember(checkPart: CheckPart<string>): Check {
  return (value, visit) => {
    if (!isRecord(value)) return true;
    let isValid = true;
    for (const name of Object.keys(value)) {
      const outcome = checkPart(name, value[name], inside(visit, name), visit);
      if (outcome !== null) visit.evaluated?.add(name);
      if (outcome === false) isValid = false;
    }
    return isValid;
  };
}

function eachItem(checkPart: CheckPart<number>): Check {
  return (value, visit) => {
    if (!Array.isArray(value)) return true;
    let isValid = true;
    for (const [index, item] of value.entries()) {
      const outcome = checkPart(index, item, inside(visit, index), visit);
      if (outcome !== null) visit.evaluated?.add(index);
      if (outcome === false) isValid = false;
    }
    return isValid;
  };
}

function properties(keyword: Keyword): Check {
  const checks = new Map(names(keyword).map((name) => [name, keyword.check(keyword.name, name)]));
  return (value, visit) => {
    if (!isRecord(value)) return true;
    let isValid = true;
    for (const [name, check] of checks) {
      if (!Object.hasOwn(value, name)) continue;
      visit.evaluated?.add(name);
      if (!check(value[name], inside(visit, name))) isValid = false;
    }
    return isValid;
  };
}

function patternOf(source: string): Pattern | null {
  const result = compilePattern(source);
  return result.ok ? result.pattern : null;
}

function additionalProperties(keyword: Keyword): Check {
  const { properties: named, patternProperties } = keyword.schema;
  const known = new Set(isRecord(named) ? Object.keys(named) : []);
  const patterns = isRecord(patternProperties) ? Object.keys(patternProperties).map(patternOf) : [];
  const rest = restOf(keyword);
  return eachMember((name, value, visit, outer) => {
    const isNamed = known.has(name) || patterns.some((pattern) => pattern?.test(name));
    return isNamed ? null : rest(value, visit, outer, name);
  });
}

/** The check of what is left over: where nothing may be, the fault names the keyword that says so. */
function restOf(keyword: Keyword): (value: unknown, visit: Visit, outer: Visit, member: string) => boolean {
  if (keyword.value === false) return (_value, _visit, outer, member) => report(outer, keyword, { value: undefined, member });
  const check = keyword.check(keyword.name);
  return (value, visit) => check(value, visit);
}

function propertyNames(keyword: Keyword): Check {
  const check = keyword.check(keyword.name);
  return (value, visit) => {
    if (!isRecord(value)) return true;
    let isValid = true;
    for (const member of Object.keys(value)) {
      const findings = { faults: [], secrets: visit.findings.secrets };
      if (check(member, { ...visit, findings, evaluated: null })) continue;
      const [cause] = findings.faults;
      isValid = report(visit, keyword, { value, member, cause });
    }
    return isValid;
  };
}

function positions(keyword: Keyword): Check {
  const checks = branches(keyword);
  return eachItem((index, value, visit) => checks[index]?.(value, visit) ?? null);
}

function itemsFrom(keyword: Keyword, first: number): Check {
  const rest = restOf(keyword);
  return eachItem((index, value, visit, outer) => (index < first ? null : rest(value, visit, outer, String(index))));
}

function contains(keyword: Keyword): Check {
  const check = keyword.check(keyword.name);
  const { draft } = keyword.node.resource;
  const limit = (name: string, fallback: number): number => {
    const value = isAtLeast(draft, '2019-09') ? keyword.schema[name] : undefined;
    return isNumber(value) ? Number(value) : fallback;
  };
  const [least, most] = [limit('minContains', 1), limit('maxContains', Number.POSITIVE_INFINITY)];
  return (value, visit) => {
    if (!Array.isArray(value)) return true;
    const matches = [...value.keys()].filter((index) => silently(check, value[index], inside(visit, index)));
    // Since 2020-12, the items that match are evaluated.
    if (draft === '2020-12') for (const index of matches) visit.evaluated?.add(index);
    if (matches.length < least) return report(visit, keyword, { value, found: matches.length, limit: least });
    return matches.length <= most || report(visit, { ...keyword, name: 'maxContains' }, { value, found: matches.length, limit: most });
  };
}
