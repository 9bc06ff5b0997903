import type { SchemaNode } from '../resources.ts';
import type { Check, SchemaFault, Visit } from './visit.ts';
import { pathOf } from './visit.ts';

/** A keyword of a schema, to be made into a check. */
export type Keyword = {
  name: string;
  value: unknown;
  node: SchemaNode;
  /** The schema that has the keyword. */
  schema: Readonly<Record<string, unknown>>;
  /** The check of the schema at a place within this one. */
  check(...path: string[]): Check;
};

/** Further faults of a document are not noted: a hostile one has as many as its values times its rules, which would fill the memory. */
const MAX_FAULTS = 10_000;

/** Notes a fault. @returns false, for the check to return */
export function report(visit: Visit, { name, value: limit, schema }: Keyword, fault: Partial<SchemaFault> & { value: unknown }): false {
  const { faults } = visit.findings;
  if (faults.length < MAX_FAULTS)
    faults.push({ keyword: name, limit, path: pathOf(visit.place), isSecret: isMarkedSecret(schema), ...fault });
  return false;
}

export function isMarkedSecret(schema: Readonly<Record<string, unknown>>): boolean {
  return schema.writeOnly === true || schema['x-secret'] === true;
}
