import type { DeviceFacts, Fact } from '../../device/facts.ts';
import type { Document } from '../../document/document.ts';
import { isRecord, syntaxOf, toPointer } from '../../document/document.ts';
import type { Meaning } from '../../document/merge/meaning.ts';
import { meaningOf, mergeMeanings, readMeaning } from '../../document/merge/meaning.ts';
import type { ScalarNode, SourceNode } from '../../document/node.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import type { Meter } from '../meter/meter.ts';
import type { Stage } from '../stage.ts';
import { found, refused } from '../stage.ts';
import type { LayerDeps, Part, TemplateScope, Variables } from './layer.ts';
import { mergeAll } from './merge-patch.ts';
import { documentOf } from './parts.ts';
import { orderedMap, writtenValue } from './render/written.ts';
import { twinsOf } from './twins.ts';

/** Names that are not free for variables. */
const RESERVED = ['device', 'source'];

const NO_SCOPE: TemplateScope = { names: {}, placeOf: () => null, twins: null };

/** The variables files of a device's layers, merged. */
export async function readVariables(deps: LayerDeps, meter: Meter, folder: Folder, parts: readonly Part[]): Promise<Stage<Variables>> {
  const { variables: name } = deps.fleet;
  const target = { file: inRepository(folder, name), syntax: syntaxOf(name) ?? 'yaml' };
  const documents: Document[] = [];
  for (const part of parts) {
    // Variables are data: a template of them would have to be rendered before there are any.
    const read = await documentOf(deps, meter, { ...part, isTemplate: false }, target, NO_SCOPE);
    if (read.value === null) return read;
    const { document } = read.value;
    const errors = variablesErrors(part, document);
    if (errors.length > 0) return refused(...errors);
    documents.push(document);
  }
  const value = mergeAll(documents.map((document) => document.value ?? {}));
  return found({ value: isRecord(value) ? value : {}, written: writtenOf(documents), parts, documents });
}

/** The variables as templates print them. */
function writtenOf(documents: readonly Document[]): Record<string, unknown> {
  const [first, ...patches] = documents.flatMap(({ roots: [root] }) => (root?.kind === 'map' ? [meaningOf(root)] : []));
  // Null in the lowest file is a value. In those above it, it removes a variable.
  const value =
    first === undefined ? {} : readMeaning(patches.reduce<Meaning>(mergeMeanings, first), { scalar: writtenValue, map: orderedMap });
  return isRecord(value) ? value : {};
}

/** File and line of a scalar of the variables: `base/variables.yaml:3`. */
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

/** @param used is called with each fact of the device that a template reads */
export function scopeOf(variables: Variables, facts: DeviceFacts, sourceName: string, used: (fact: Fact) => void): TemplateScope {
  const read = (fact: Fact) => () => {
    used(fact);
    // A device without a site has no such variable.
    return facts[fact] ?? undefined;
  };
  const device = Object.create(null, {
    id: { enumerable: true, get: read('id') },
    name: { enumerable: true, get: read('name') },
    type: { enumerable: true, get: read('type') },
    labels: { enumerable: true, get: read('labels') },
    site: { enumerable: true, get: read('site') },
  });
  const namesWith = (written: Record<string, unknown>) =>
    Object.assign(Object.create(null), written, { device, source: { name: sourceName } });
  const twins = twinsOf(variables);
  return {
    names: namesWith(variables.written),
    placeOf: (scalar) => placeOfVariable(variables, scalar),
    twins: { concern: twins.concern, names: () => twins.written().map(namesWith) },
  };
}

function variablesErrors(part: Part, document: Document): ConfigError[] {
  const { file } = part;
  const { value } = document;
  if (value !== null && !isRecord(value))
    return [configError({ code: 'variables', file, rule: 'type', detail: 'must have variables by name: it is no object' })];
  const reserved = RESERVED.filter((name) => value !== null && Object.hasOwn(value, name));
  return reserved.map((name) => {
    const place = { file, line: document.lineOf([name]), pointer: toPointer([name]) };
    return configError({ code: 'variables', ...place, rule: 'reserved', detail: `is a name that stands for the ${name} itself` });
  });
}
