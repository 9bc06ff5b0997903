import { isRecord } from '../../document/document.ts';
import type { ReferenceKeyword } from './dialect.ts';
import { isPlainReference, referenceKeywords } from './dialect.ts';
import { metaschemaOf } from './metaschemas.ts';
import type { Resources, SchemaNode } from './resources.ts';
import { resolveUri } from './resources.ts';

/** A schema with each reference of it, and of what it reaches, resolved. */
export type LinkedSchema = {
  root: SchemaNode;
  /** All schemas in the files that were reached, those that nothing refers to among them. */
  nodes: readonly SchemaNode[];
  /** See `Resources`. */
  roots: readonly SchemaNode[];
  /** The target of each reference, by the schema that holds it. */
  targets: ReadonlyMap<SchemaNode, Targets>;
};

export type Targets = Partial<Record<ReferenceKeyword, SchemaNode>>;

export type Reference = { node: SchemaNode; keyword: ReferenceKeyword; text: string };

/** Resolves references as the schemas that they lead to come in. Metaschemas are always there. */
export class Linker {
  readonly targets = new Map<SchemaNode, Targets>();
  #resources: Resources;
  #visited = 0;
  #open: Reference[] = [];

  constructor(resources: Resources) {
    this.#resources = resources;
  }

  /** Resolves what can be resolved by now. @returns the references that lead to nothing yet */
  advance(): readonly Reference[] {
    this.#open = this.#open.filter((reference) => !this.#settle(reference));
    const { nodes } = this.#resources;
    // A reference to a place that no keyword makes a schema adds one to the list.
    for (; this.#visited < nodes.length; this.#visited += 1) {
      const node = nodes[this.#visited];
      if (node === undefined) break;
      this.#open.push(...referencesOf(node).filter((reference) => !this.#settle(reference)));
    }
    return this.#open;
  }

  #settle(reference: Reference): boolean {
    const found = this.#find(reference);
    if (found === null) return false;
    this.targets.set(reference.node, { ...this.targets.get(reference.node), [reference.keyword]: found });
    return true;
  }

  #find(reference: Reference): SchemaNode | null {
    const { node, text } = reference;
    for (const { uri, base } of placesOf(reference)) {
      const metaschema = metaschemaOf(uri);
      if (metaschema !== null && !this.#resources.has(metaschema.uri)) this.#resources.add({ ...metaschema });
      const fragment = text.includes('#') ? text.slice(text.indexOf('#')) : '';
      const wanted = metaschema === null || text.startsWith('#') ? text : metaschema.uri + fragment;
      const resolution = this.#resources.resolve(wanted, node, base);
      if ('node' in resolution) return resolution.node;
      if (resolution.missing === 'place') return null;
    }
    return null;
  }
}

/** The URIs that a reference may mean: a relative one of a file that has a URI elsewhere means a file beside it as well. */
export function placesOf({ node, text }: Reference): { uri: string; base: string }[] {
  const bases = new Set([node.resource.uri, node.resource.source.uri]);
  return [...bases].flatMap((base) => {
    const uri = resolveUri(text, base);
    return uri === null ? [] : [{ uri, base }];
  });
}

function referencesOf(node: SchemaNode): Reference[] {
  const { value, resource } = node;
  if (!isRecord(value)) return [];
  const keywords = isPlainReference(value, resource.draft) ? (['$ref'] as const) : referenceKeywords(resource.draft);
  return keywords.flatMap((keyword) => {
    const text = value[keyword];
    return typeof text === 'string' ? [{ node, keyword, text }] : [];
  });
}
