import { isRecord, toPointer, valueAt } from '../../document/document.ts';
import type { Draft } from './dialect.ts';
import { draftNamed, heldSchemas, idKeyword, isAtLeast, isPlainReference } from './dialect.ts';

/** A file that holds schemas. */
export type SchemaSource = {
  /** Path in the repository, `builtin:<name>`, or the URI of a metaschema. */
  name: string;
  /** The base of relative references in a file without `$id`. */
  uri: string;
  value: unknown;
  /** The draft of its root, unless `$schema` names another. */
  draft: Draft;
};

/** A schema with an identity of its own: a file, or a part of one that has `$id`. */
export type Resource = {
  uri: string;
  draft: Draft;
  source: SchemaSource;
  /** Its place in the file. */
  path: readonly string[];
  anchors: Map<string, SchemaNode>;
  dynamicAnchors: Map<string, SchemaNode>;
  /** Has `$recursiveAnchor: true`. */
  isRecursive: boolean;
};

/** One schema at its place. */
export type SchemaNode = { value: unknown; path: readonly string[]; resource: Resource };

/** A `$schema` that names no draft of JSON Schema. */
export type UnknownDialect = { source: SchemaSource; path: readonly string[]; uri: string };

/** A name that two schemas of one resource, or of one file, have. */
export type Clash = { source: SchemaSource; path: readonly string[]; name: string };

export type Resolution = { node: SchemaNode } | { missing: 'resource'; uri: string } | { missing: 'place' };

/** Schemas by place, URI and anchor. */
export class Resources {
  /** In the order in which they were found; a reference may add more. */
  readonly nodes: SchemaNode[] = [];
  /** A metaschema applies to each of these: files, parts of another draft, and places that only a reference makes schemas. */
  readonly roots: SchemaNode[] = [];
  readonly unknownDialects: UnknownDialect[] = [];
  readonly clashes: Clash[] = [];
  #byUri = new Map<string, Resource>();
  #bySource = new Map<SchemaSource, { nodes: Map<string, SchemaNode>; byUri: Map<string, Resource> }>();

  add(source: SchemaSource): SchemaNode {
    this.#bySource.set(source, { nodes: new Map(), byUri: new Map() });
    const resource = this.#newResource(source, [], source.uri, source.draft);
    return this.#root(this.#scan(source.value, [], resource));
  }

  has(uri: string): boolean {
    return this.#byUri.has(uri);
  }

  /** The target of a reference in the schema `from`. @param base of a relative reference, if it is not the schema's own URI */
  resolve(reference: string, from: SchemaNode, base = from.resource.uri): Resolution {
    const at = reference.indexOf('#');
    const fragment = at === -1 ? '' : reference.slice(at + 1);
    if (at === 0) return this.#within(from.resource, fragment);
    const uri = resolveUri(at === -1 ? reference : reference.slice(0, at), base);
    if (uri === null) return { missing: 'resource', uri: reference };
    const resource = this.#bySource.get(from.resource.source)?.byUri.get(uri) ?? this.#byUri.get(uri);
    return resource === undefined ? { missing: 'resource', uri } : this.#within(resource, fragment);
  }

  #within(resource: Resource, fragment: string): Resolution {
    const name = decoded(fragment);
    if (name !== '' && !name.startsWith('/')) {
      const node = resource.anchors.get(name);
      return node === undefined ? { missing: 'place' } : { node };
    }
    const steps = name.split('/').slice(1);
    const path = [...resource.path, ...steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))];
    const known = this.#bySource.get(resource.source)?.nodes.get(toPointer(path));
    if (known !== undefined) return { node: known };
    const value = valueAt(resource.source.value, path);
    // A place that no keyword makes a schema becomes one because something refers to it.
    if (value === undefined) return { missing: 'place' };
    return { node: this.#root(this.#scan(value, path, this.#enclosing(resource, path))) };
  }

  #root(node: SchemaNode): SchemaNode {
    this.roots.push(node);
    return node;
  }

  /** The innermost known resource around a place. */
  #enclosing(resource: Resource, path: readonly string[]): Resource {
    const nodes = this.#bySource.get(resource.source)?.nodes;
    for (let length = path.length - 1; length >= 0; length -= 1) {
      const around = nodes?.get(toPointer(path.slice(0, length)));
      if (around !== undefined) return around.resource;
    }
    return resource;
  }

  #newResource(source: SchemaSource, path: readonly string[], uri: string, draft: Draft): Resource {
    const resource = { uri, draft, source, path, anchors: new Map(), dynamicAnchors: new Map(), isRecursive: false };
    this.#register(resource);
    return resource;
  }

  #register(resource: Resource): void {
    const own = this.#bySource.get(resource.source)?.byUri;
    if (own !== undefined && !own.has(resource.uri)) own.set(resource.uri, resource);
    if (!this.#byUri.has(resource.uri)) this.#byUri.set(resource.uri, resource);
  }

  /** Bounded by the depth at which the document was parsed. */
  #scan(value: unknown, path: readonly string[], outer: Resource): SchemaNode {
    const nodes = this.#bySource.get(outer.source)?.nodes;
    const pointer = toPointer(path);
    const known = nodes?.get(pointer);
    if (known !== undefined) return known;
    const resource = isRecord(value) ? this.#resourceOf(value, path, outer) : outer;
    const node: SchemaNode = { value, path, resource };
    nodes?.set(pointer, node);
    this.nodes.push(node);
    if (path.length > 0 && resource.draft !== outer.draft) this.roots.push(node);
    if (!isRecord(value)) return node;
    this.clashes.push(...nameAnchors(node, value).map(([keyword, name]) => ({ source: resource.source, path: [...path, keyword], name })));
    for (const steps of heldSchemas(value, resource.draft)) this.#scan(valueAt(value, steps), [...path, ...steps], resource);
    return node;
  }

  #resourceOf(value: Record<string, unknown>, path: readonly string[], outer: Resource): Resource {
    const isRoot = path.length === 0;
    const draft = this.#draftOf(value, path, outer, isRoot);
    const id = isPlainReference(value, draft) ? undefined : value[idKeyword(draft)];
    const uri = typeof id === 'string' && !id.startsWith('#') ? resolveUri(id.replace(/#.*$/, ''), outer.uri) : null;
    if (isRoot) {
      outer.draft = draft;
      if (uri !== null && uri !== outer.uri) {
        outer.uri = uri;
        this.#register(outer);
      }
      return outer;
    }
    if (uri === null || uri === outer.uri) return outer;
    const other = this.#bySource.get(outer.source)?.byUri.get(uri);
    // A schema that a YAML alias repeats is one schema.
    if (other !== undefined && valueAt(other.source.value, other.path) !== value)
      this.clashes.push({ source: outer.source, path: [...path, idKeyword(draft)], name: String(id) });
    return this.#newResource(outer.source, path, uri, draft);
  }

  /** `$schema` counts at the root of a resource alone. */
  #draftOf(value: Record<string, unknown>, path: readonly string[], outer: Resource, isRoot: boolean): Draft {
    const { $schema: named } = value;
    if (typeof named !== 'string' || !(isRoot || typeof value.$id === 'string' || typeof value.id === 'string')) return outer.draft;
    const draft = draftNamed(named);
    if (draft === null) this.unknownDialects.push({ source: outer.source, path: [...path, '$schema'], uri: named });
    return draft ?? outer.draft;
  }
}

/** @returns the keywords whose names another schema of the resource has */
function nameAnchors(node: SchemaNode, value: Record<string, unknown>): [keyword: string, name: string][] {
  const { draft, anchors, dynamicAnchors } = node.resource;
  if (isPlainReference(value, draft)) return [];
  const clashes: [string, string][] = [];
  const note = (keyword: string, name: string): void => {
    const other = anchors.get(name);
    if (other === undefined) anchors.set(name, node);
    else if (other.value !== value) clashes.push([keyword, name]);
  };
  const { $anchor, $dynamicAnchor, $recursiveAnchor } = value;
  const id = value[idKeyword(draft)];
  if (!isAtLeast(draft, '2019-09')) {
    const name = typeof id === 'string' ? /#(.+)$/.exec(id)?.[1] : undefined;
    if (name !== undefined) note(idKeyword(draft), decoded(name));
    return clashes;
  }
  if (typeof $anchor === 'string') note('$anchor', $anchor);
  if (draft === '2019-09' && $recursiveAnchor === true && node.path.length === node.resource.path.length) node.resource.isRecursive = true;
  if (draft !== '2020-12' || typeof $dynamicAnchor !== 'string') return clashes;
  note('$dynamicAnchor', $dynamicAnchor);
  if (!dynamicAnchors.has($dynamicAnchor)) dynamicAnchors.set($dynamicAnchor, node);
  return clashes;
}

/** Base of the URIs of a repository's files. */
export const REPOSITORY = 'bellwether:///';

/** An absolute URI without its fragment, or null when it is none. Equal files have equal URIs, however they are escaped. */
export function resolveUri(reference: string, base: string): string | null {
  const uri = URL.parse(reference, base)?.href.replace(/#.*$/, '') ?? null;
  return uri?.startsWith(REPOSITORY) ? fileUri(uri.slice(REPOSITORY.length).split('/').map(decoded)) : uri;
}

/** @param names of folders and the file */
export function fileUri(names: readonly string[]): string {
  return REPOSITORY + names.map(encodeURIComponent).join('/');
}

/** Percent-encoding undone; a text that is not encoded well stays as it is. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
