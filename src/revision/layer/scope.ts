import { configError } from '../config-error.ts';
import type { Document } from '../document/document.ts';
import { isRecord, syntaxOf, toPointer } from '../document/document.ts';
import type { FleetContext, Work } from '../folder-work.ts';
import { inRepository } from '../folder-work.ts';
import type { DeviceFacts, Fact } from './device-facts.ts';
import type { Part, Scope, Variables } from './layer.ts';
import { mergeAll } from './merge-patch.ts';
import { documentOf } from './parts.ts';

/** Names that are not free for variables. */
const RESERVED = ['device', 'source'];

/** The variables files of a device's layers, merged; null after an error. */
export async function readVariables(work: Work, fleet: FleetContext, parts: readonly Part[]): Promise<Variables | null> {
  const name = fleet.manifest.variables;
  const target = { file: inRepository(work.folder, name), syntax: syntaxOf(name) ?? 'yaml' };
  const documents: Document[] = [];
  for (const part of parts) {
    // Variables are data: a template of them would have to be rendered before there are any.
    const document = await documentOf(work, fleet, { ...part, isTemplate: false }, target, { names: {}, used: new Map() });
    if (document === null || !isUsable(work, part, document)) return null;
    documents.push(document);
  }
  const value = mergeAll([{}, ...documents.map((document) => document.value)]);
  return { value: isRecord(value) ? value : {}, parts, documents };
}

/** `uses` is told which facts templates ask for. */
export function scopeOf(variables: Variables, facts: DeviceFacts, sourceName: string, uses: Set<Fact>): Scope {
  const ask = (fact: Fact) => () => {
    uses.add(fact);
    // A device without a site has no such variable.
    return facts[fact] ?? undefined;
  };
  const device = Object.create(null, {
    id: { enumerable: true, get: ask('id') },
    name: { enumerable: true, get: ask('name') },
    type: { enumerable: true, get: ask('type') },
    labels: { enumerable: true, get: ask('labels') },
    site: { enumerable: true, get: ask('site') },
  });
  const names = Object.assign(Object.create(null), variables.value, { device, source: { name: sourceName } });
  return { names, used: new Map() };
}

function isUsable(work: Work, part: Part, document: Document): boolean {
  const { value } = document;
  if (value !== null && !isRecord(value)) {
    work.errors.push(
      configError({ code: 'variables', file: part.file, rule: 'type', detail: 'must have variables by name: it is no object' }),
    );
    return false;
  }
  const reserved = RESERVED.filter((name) => value !== null && Object.hasOwn(value, name));
  for (const name of reserved) {
    const place = { file: part.file, line: document.lineOf([name]), pointer: toPointer([name]) };
    work.errors.push(
      configError({ code: 'variables', ...place, rule: 'reserved', detail: `is a name that stands for the ${name} itself` }),
    );
  }
  return reserved.length === 0;
}
