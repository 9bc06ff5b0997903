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

/** Notes a fault. @returns false, for the check to return */
export function report(visit: Visit, { name, value: limit, schema }: Keyword, fault: Partial<SchemaFault> & { value: unknown }): false {
  const isSecret = isMarkedSecret(schema);
  visit.findings.faults.push({ keyword: name, limit, path: pathOf(visit.place), isSecret, ...fault });
  return false;
}

export function isMarkedSecret(schema: Readonly<Record<string, unknown>>): boolean {
  return schema.writeOnly === true || schema['x-secret'] === true;
}
