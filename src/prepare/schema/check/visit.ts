import type { Resource } from '../resources.ts';

/** One value that breaks one rule of a schema. */
export type SchemaFault = {
  /** The keyword, or `false schema`. */
  keyword: string;
  /** Path of the value in the document. */
  path: readonly string[];
  /** A member of the value, where the fault is about it: missing, unknown, or wrongly named. */
  member?: string;
  value: unknown;
  /** The keyword's value. */
  limit?: unknown;
  /** The number counted: characters, items, members, items that match, alternatives that match. */
  found?: number;
  /** The fault of a name, for `propertyNames`. */
  cause?: SchemaFault | undefined;
  /** The schema marks the value as a secret. */
  isSecret: boolean;
};

/** A place in the document, from the inside to the outside; null for its root. */
export type Place = { outer: Place | null; name: string } | null;

export function pathOf(place: Place): string[] {
  const path: string[] = [];
  for (let at = place; at !== null; at = at.outer) path.push(at.name);
  return path.reverse();
}

/** The resources that led to a schema, the last entered first: what dynamic references depend on. */
export type Scope = { resource: Resource; outer: Scope } | null;

/** Results of one check of a document. */
export type Findings = { faults: SchemaFault[]; secrets: Place[] };

/** The circumstances in which a schema meets a value. */
export type Visit = {
  findings: Findings;
  place: Place;
  scope: Scope;
  /** Collects evaluated members and items of the value, if any `unevaluated…` needs them. */
  evaluated: Evaluated | null;
};

/** Notes in the visit what is wrong. @returns whether the value is valid */
export type Check = (value: unknown, visit: Visit) => boolean;

/** A value to which no rule applies. It satisfies each schema but `false`. */
export class Unjudged {
  /** Distinguishes it from others where a rule of an outer value compares. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The members and items of one object or list that a schema has evaluated. */
export class Evaluated {
  #hasAll = false;
  #names = new Set<string | number>();

  add(name: string | number): void {
    this.#names.add(name);
  }

  addAll(): void {
    this.#hasAll = true;
  }

  has(name: string | number): boolean {
    return this.#hasAll || this.#names.has(name);
  }

  merge(other: Evaluated): void {
    if (other.#hasAll) this.#hasAll = true;
    for (const name of other.#names) this.#names.add(name);
  }
}

/** The visit of a member or an item. */
export function inside(visit: Visit, name: string | number): Visit {
  return { findings: visit.findings, place: { outer: visit.place, name: String(name) }, scope: visit.scope, evaluated: null };
}

/** Runs a check whose findings of faults do not count: those of `if` and `not`. Marks of secrets do. */
export function silently(check: Check, value: unknown, visit: Visit): boolean {
  const { faults } = visit.findings;
  const length = faults.length;
  const isValid = check(value, visit);
  faults.length = length;
  return isValid;
}
