import type { Document } from '../../document/document.ts';
import { isRecord, syntaxOf, toPointer } from '../../document/document.ts';
import { exactValue } from '../../document/exact.ts';
import { parseDocument } from '../../document/parse.ts';
import { isProblem } from '../../git/problems.ts';
import { configError, documentError } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { sha256Hex } from '../../wire/bundle.ts';
import type { ConfigErrorCode } from '../../wire/errors.ts';
import { segmentFault } from '../../wire/path.ts';
import type { Budget } from '../meter/budget.ts';
import { MAX_QUICK_BYTES } from '../meter/cpu-limit.ts';
import type { Meter } from '../meter/meter.ts';
import type { ObjectCache } from '../object-cache.ts';
import type { BuiltinSchemas } from './builtin.ts';
import type { Draft } from './dialect.ts';
import { DEFAULT_DRAFT, DRAFTS } from './dialect.ts';
import type { LinkedSchema, Reference, Targets } from './link.ts';
import { Linker, placesOf } from './link.ts';
import { mayTakeLong } from './may-take-long.ts';
import type { SchemaNode } from './resources.ts';
import { decoded, fileUri, REPOSITORY, Resources } from './resources.ts';

/** A schema of the repository and everything that it reaches by reference. */
export type SchemaClosure = LinkedSchema & {
  /** Equal keys mean equal content and references, wherever the files lie. */
  key: string;
  /** It comes with the program, all of it. */
  isBuiltin: boolean;
};

export type SchemaLoad = {
  closure: SchemaClosure | null;
  errors: ConfigError[];
  /** The line in a file of the closure at which a place stands. */
  lineOf(file: string, path: readonly string[]): number | undefined;
};

export type SchemaPlaces = {
  objects: ObjectCache;
  rootTreeOid: string;
  builtins: BuiltinSchemas;
  limits: RevisionLimits;
  budget: Budget;
};

/** Schemas nest twice per level of what they describe. */
const SCHEMA_DEPTH_FACTOR = 2;
const BUILTIN = 'builtin:';

/**
 * Reads a schema (a repository path or `builtin:<name>`) and all that it refers to. Nothing is fetched from anywhere else.
 * @param paths takes the repository paths that are read or looked for in vain
 * @throws TookTooLong
 */
export async function loadSchema(places: SchemaPlaces, name: string, paths: string[], meter: Meter): Promise<SchemaLoad> {
  const load = new Loading(places, paths, meter);
  const root = await load.add(name, DEFAULT_DRAFT);
  if (root === 'missing') load.refuse('schema_missing', name, 'schema', 'is not there, but is needed as a schema');
  const closure = root === 'missing' || root === null ? null : await load.link(name);
  const { errors, documents } = load;
  return { closure: errors.length > 0 ? null : closure, errors, lineOf: (file, path) => documents.get(file)?.lineOf(path) };
}

/** The file, link or submodule at a path of the repository; null for a folder, and when the path does not exist. */
export async function findFile(places: SchemaPlaces, path: string): Promise<{ oid: string; isRegular: boolean } | null> {
  try {
    const entry = await places.objects.find(places.rootTreeOid, path);
    return entry === null || entry.mode === '040000' ? null : { oid: entry.oid, isRegular: entry.mode.startsWith('100') };
  } catch (error) {
    // A damaged folder on the way: nothing can be found in it.
    if (isProblem(error, 'git_object_invalid')) return null;
    throw error;
  }
}

class Loading {
  readonly errors: ConfigError[] = [];
  readonly documents = new Map<string, Document>();
  #places: SchemaPlaces;
  #paths: string[];
  #meter: Meter;
  #resources = new Resources();
  /** By name; null for a file with an error of its own. */
  #files = new Map<string, { node: SchemaNode; sha256: string } | 'missing' | null>();
  #linker = new Linker(this.#resources);

  constructor(places: SchemaPlaces, paths: string[], meter: Meter) {
    this.#places = places;
    this.#paths = paths;
    this.#meter = meter;
  }

  refuse(code: ConfigErrorCode, file: string, rule: string, detail: string): null {
    this.errors.push(configError({ code, file, rule, detail }));
    return null;
  }

  /** Reads a file whose schemas are of `draft` unless they say otherwise. null after an error. */
  async add(name: string, draft: Draft): Promise<SchemaNode | 'missing' | null> {
    const known = this.#files.get(name);
    if (known !== undefined) return known === null || known === 'missing' ? known : known.node;
    if (!name.startsWith(BUILTIN)) this.#paths.push(name);
    const bytes = await readBytes(this.#places, name);
    const value = bytes === 'missing' ? bytes : this.#parse(name, bytes);
    if (bytes instanceof Uint8Array && value !== null) {
      const node = this.#resources.add({ name, uri: uriOf(name), value, draft });
      this.#files.set(name, { node, sha256: sha256Hex(bytes) });
      return node;
    }
    const outcome = value === 'missing' ? value : null;
    this.#files.set(name, outcome);
    return outcome;
  }

  /** Resolves the references of every schema that was found; those that lead to other files bring these in. */
  async link(name: string): Promise<SchemaClosure | null> {
    const followed = new Set<Reference>();
    let open = this.#advance();
    for (let next = open; next.length > 0; next = open.filter((reference) => !followed.has(reference))) {
      for (const reference of next) {
        followed.add(reference);
        await this.#follow(reference);
        if (this.errors.length > 0 || this.#hasTooManyFiles(name)) return null;
      }
      open = this.#advance();
    }
    this.errors.push(...open.map((reference) => this.#unresolved(reference)));
    for (const { source, path, uri } of this.#resources.unknownDialects) this.errors.push(this.#unknownDialect(source.name, path, uri));
    for (const { source, path, name } of this.#resources.clashes) this.errors.push(this.#clash(source.name, path, name));
    const root = this.#files.get(name);
    if (this.errors.length > 0 || root === undefined || root === 'missing' || root === null) return null;
    const { nodes, roots } = this.#resources;
    const { targets } = this.#linker;
    return { key: this.#key(targets), root: root.node, nodes, roots, targets, isBuiltin: this.#isBuiltin() };
  }

  #isBuiltin(): boolean {
    return [...this.#files.keys()].every((name) => name.startsWith(BUILTIN));
  }

  /** @throws TookTooLong for references that lead to ever more places */
  #advance(): readonly Reference[] {
    const isQuick = this.#isBuiltin() || !mayTakeLong([...this.documents.values()].map(({ value }) => value));
    let isRepeated = false;
    return this.#meter.run(isQuick, ({ within }) =>
      within(() => {
        if (isRepeated) this.#startOver();
        isRepeated = true;
        return this.#linker.advance();
      }),
    );
  }

  /** After an interruption, which may have left a part of a schema half entered. */
  #startOver(): void {
    this.#resources = new Resources();
    this.#linker = new Linker(this.#resources);
    for (const file of this.#files.values())
      if (file !== null && file !== 'missing') file.node = this.#resources.add(file.node.resource.source);
  }

  #parse(name: string, bytes: Uint8Array | 'irregular' | 'too_large'): unknown {
    const { limits } = this.#places;
    if (bytes === 'irregular') return this.refuse('path', name, 'symlink', 'is a link, must be a file');
    if (bytes === 'too_large') return this.refuse('too_large', name, 'maxBytes', `has more than ${limits.maxSchemaBytes} bytes`);
    const maxDocumentDepth = limits.maxDocumentDepth * SCHEMA_DEPTH_FACTOR;
    const parse = () => parseDocument(bytes, syntaxOf(name) ?? 'json', { ...limits, maxDocumentDepth });
    const isQuick = name.startsWith(BUILTIN) || bytes.length <= MAX_QUICK_BYTES;
    const parsed = this.#meter.run(isQuick, ({ within }) => within(parse));
    if (!parsed.ok) {
      this.errors.push(documentError(name, parsed.fault));
      return null;
    }
    this.documents.set(name, parsed.document);
    const value = exactValue(parsed.document);
    const isSchema = isRecord(value) || typeof value === 'boolean';
    return isSchema ? value : this.refuse('schema_invalid', name, 'type', 'is not a schema: it must be an object, true or false');
  }

  #hasTooManyFiles(name: string): boolean {
    const limit = this.#places.limits.maxSchemaFiles;
    if (this.#files.size <= limit) return false;
    const detail = `reaches more than ${limit} files by "$ref"`;
    this.errors.push(configError({ code: 'schema_invalid', file: name, rule: 'maxSchemaFiles', limit, detail }));
    return true;
  }

  async #follow(reference: Reference): Promise<void> {
    for (const { uri } of placesOf(reference)) {
      const name = fileOf(uri);
      if (name !== null) await this.add(name, reference.node.resource.draft);
    }
  }

  #unresolved(reference: Reference): ConfigError {
    const { node, keyword, text } = reference;
    const { source } = node.resource;
    const path = [...node.path, keyword];
    const places = placesOf(reference);
    const isThere = text.startsWith('#') || places.some(({ uri }) => this.#resources.has(uri));
    const isRemote = !isThere && places.every(({ uri }) => fileOf(uri) === null) && (hasScheme(text) || text.startsWith('//'));
    const need = isThere
      ? 'which is no place in that schema'
      : `must be a file of this repository${isRemote ? ': schemas are never fetched from elsewhere' : ''}`;
    return configError({
      code: isThere ? 'schema_invalid' : isRemote ? 'schema_remote_ref' : 'schema_missing',
      file: source.name,
      line: this.documents.get(source.name)?.lineOf(path),
      pointer: toPointer(path),
      rule: keyword,
      actual: text,
      detail: `is ${JSON.stringify(text)}, ${need}`,
    });
  }

  #clash(file: string, path: readonly string[], name: string): ConfigError {
    const line = this.documents.get(file)?.lineOf(path);
    const detail = `is ${JSON.stringify(name)}, which another schema of this file has too: references cannot tell them apart`;
    return configError({ code: 'schema_invalid', file, line, pointer: toPointer(path), rule: 'unique', actual: name, detail });
  }

  #unknownDialect(file: string, path: readonly string[], uri: string): ConfigError {
    const line = this.documents.get(file)?.lineOf(path);
    const detail = `is ${JSON.stringify(uri)}, must name one of the drafts ${DRAFTS.join(', ')} of JSON Schema, as in "https://json-schema.org/draft/2020-12/schema"`;
    return configError({ code: 'schema_invalid', file, line, pointer: toPointer(path), rule: '$schema', actual: uri, detail });
  }

  #key(found: ReadonlyMap<SchemaNode, Targets>): string {
    const files = [...this.#files].flatMap(([name, file]) => (file === null || file === 'missing' ? [] : [{ name, ...file }]));
    const indexes = new Map(files.map(({ node }, index) => [node.resource.source, index]));
    const targets = files.map((): string[] => []);
    for (const [{ resource }, references] of found) {
      const own = targets[indexes.get(resource.source) ?? -1];
      for (const target of Object.values(references))
        own?.push(`${indexes.get(target.resource.source) ?? target.resource.uri}${toPointer(target.path)}`);
    }
    return files.map(({ node, sha256 }, index) => `${sha256}:${node.resource.draft}:${targets[index]?.join(',')}`).join(' ');
  }
}

async function readBytes(places: SchemaPlaces, name: string): Promise<Uint8Array | 'missing' | 'irregular' | 'too_large'> {
  if (name.startsWith(BUILTIN)) {
    const text = places.builtins.get(name.slice(BUILTIN.length));
    return text === undefined ? 'missing' : Buffer.from(text);
  }
  try {
    const entry = await findFile(places, name);
    if (entry === null) return 'missing';
    return entry.isRegular ? await places.objects.readBlob(entry.oid, places.limits.maxSchemaBytes) : 'irregular';
  } catch (error) {
    if (isProblem(error, 'git_too_large')) return 'too_large';
    if (isProblem(error, 'git_object_invalid')) return 'missing';
    throw error;
  }
}

function uriOf(name: string): string {
  return name.startsWith(BUILTIN) ? name : fileUri(name.split('/'));
}

/** The file that a URI means: `builtin:<name>`, a path of the repository, or null for what lies elsewhere. */
function fileOf(uri: string): string | null {
  if (uri.startsWith(BUILTIN)) return uri;
  if (!uri.startsWith(REPOSITORY)) return null;
  const names = uri.slice(REPOSITORY.length).split('/').map(decoded);
  return names.every((part) => part !== '' && segmentFault(part) === null) ? names.join('/') : null;
}

function hasScheme(reference: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(reference);
}
