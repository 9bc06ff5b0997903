import type { DeviceFacts, Fact } from '../../device/facts.ts';
import type { Document } from '../../document/document.ts';
import { isRecord, syntaxOf, toPointer } from '../../document/document.ts';
import type { Meaning } from '../../document/merge/meaning.ts';
import { meaningOf, mergeMeanings, readMeaning } from '../../document/merge/meaning.ts';
import type { ScalarNode, SourceNode } from '../../document/node.ts';
import { configError } from '../../revision/config-error.ts';
import type { FleetContext, Work } from '../folder-work.ts';
import { inRepository } from '../folder-work.ts';
import type { Part, Scope, Variables } from './layer.ts';
import { mergeAll } from './merge-patch.ts';
import { documentOf } from './parts.ts';
import { orderedMap, writtenValue } from './render/written.ts';
import { twinsOf } from './twins.ts';

/** Names that are not free for variables. */
const RESERVED = ['device', 'source'];

const NO_SCOPE: Scope = { names: {}, used: new Map(), placeOf: () => null, twins: null };

/** The variables files of a device's layers, merged; null after an error. */
export async function readVariables(work: Work, fleet: FleetContext, parts: readonly Part[]): Promise<Variables | null> {
  const name = fleet.manifest.variables;
  const target = { file: inRepository(work.folder, name), syntax: syntaxOf(name) ?? 'yaml' };
  const documents: Document[] = [];
  for (const part of parts) {
    // Variables are data: a template of them would have to be rendered before there are any.
    const document = await documentOf(work, fleet, { ...part, isTemplate: false }, target, NO_SCOPE);
    if (document === null || !isUsable(work, part, document)) return null;
    documents.push(document);
  }
  const value = mergeAll(documents.map((document) => document.value ?? {}));
  return { value: isRecord(value) ? value : {}, written: writtenOf(documents), parts, documents };
}

/** As templates print it. */
function writtenOf(documents: readonly Document[]): Record<string, unknown> {
  const [first, ...patches] = documents.flatMap(({ roots: [root] }) => (root?.kind === 'map' ? [meaningOf(root)] : []));
  // Null in the lowest file is a value. In those above it, it removes a variable.
  const value =
    first === undefined ? {} : readMeaning(patches.reduce<Meaning>(mergeMeanings, first), { scalar: writtenValue, map: orderedMap });
  return isRecord(value) ? value : {};
}

/** Where a scalar of the variables stands: `base/variables.yaml:3`. */
function placeOfVariable({ parts, documents }: Variables, scalar: ScalarNode): string | null {
  for (const [index, document] of documents.entries()) {
    const root = document.roots[0];
    const path = root === undefined ? null : pathTo(root, scalar);
    if (path !== null) return `${parts[index]?.file ?? ''}:${document.lineOf(path)}`;
  }
  return null;
}

function pathTo(node: SourceNode, scalar: ScalarNode): string[] | null {
  if (node === scalar) return [];
  if (node.kind === 'scalar' || node.kind === 'alias') return null;
  const inner =
    node.kind === 'list'
      ? node.items.map((item, index) => [String(index), item] as const)
      : node.pairs.map(({ name, value }) => [name, value] as const);
  for (const [name, value] of inner) {
    const path = pathTo(value, scalar);
    if (path !== null) return [name, ...path];
  }
  return null;
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
  const namesWith = (written: Record<string, unknown>) =>
    Object.assign(Object.create(null), written, { device, source: { name: sourceName } });
  const twins = twinsOf(variables);
  return {
    names: namesWith(variables.written),
    used: new Map(),
    placeOf: (scalar) => placeOfVariable(variables, scalar),
    twins: { concern: twins.concern, names: () => twins.written().map(namesWith) },
  };
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
