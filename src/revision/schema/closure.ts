import { isProblem } from '../../git/problems.ts';
import { sha256Hex } from '../../wire/bundle.ts';
import { segmentFault } from '../../wire/path.ts';
import { configError, documentError } from '../config-error.ts';
import type { Document } from '../document/document.ts';
import { isRecord, syntaxOf, toPointer } from '../document/document.ts';
import { parseDocument } from '../document/parse.ts';
import type { RevisionLimits } from '../limits.ts';
import type { ObjectCache } from '../object-cache.ts';
import type { ConfigError } from '../revision.ts';
import type { BuiltinSchemas } from './builtin.ts';

/** A schema and the files that it reaches by `$ref`, ready to be compiled: every reference between them is rewritten to `schemaUri`. */
export type SchemaClosure = {
  /** Equal keys mean equal content and references, wherever the files lie. */
  key: string;
  /** Rewritten; the first is the schema itself. */
  schemas: object[];
  /** Path in the repository, or `builtin:<name>`, by index. */
  names: string[];
};

export type SchemaLoad = {
  closure: SchemaClosure | null;
  errors: ConfigError[];
  /** Repository paths that were read or looked for in vain. */
  paths: string[];
};

export type SchemaPlaces = { objects: ObjectCache; rootTreeOid: string; builtins: BuiltinSchemas; limits: RevisionLimits };

/** Schemas nest twice per level of what they describe. */
const SCHEMA_DEPTH_FACTOR = 2;
const BUILTIN = 'builtin:';
/** A path of references inside these is data, not a schema. */
const DATA_KEYWORDS = new Set(['const', 'enum', 'default', 'examples', 'example']);
/** The members of these are named by the author: a property may be called "$ref". */
const NAME_KEYWORDS = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']);
const META_SCHEMA = /^https?:\/\/json-schema\.org\/draft(\/2020-12|-07)\/schema#?/;

export function schemaUri(index: number): string {
  return `bellwether:/schema/${index}.json`;
}

/** Reads a schema (a repository path or `builtin:<name>`) and all that it refers to. Nothing is fetched from anywhere else. */
export async function loadSchema(places: SchemaPlaces, name: string): Promise<SchemaLoad> {
  const files: SchemaFile[] = [];
  const indexes = new Map([[name, 0]]);
  const load: SchemaLoad = { closure: null, errors: [], paths: [] };
  for (const [wanted] of indexes) {
    const file = await readSchemaFile(places, wanted, load);
    if (file === null) return load;
    files.push(file);
    for (const reference of file.references) {
      const target = localTarget(wanted, reference.file);
      if (target !== null && !indexes.has(target)) indexes.set(target, indexes.size);
    }
    if (indexes.size > places.limits.maxSchemaFiles) {
      const detail = `reaches more than ${places.limits.maxSchemaFiles} files by "$ref"`;
      load.errors.push(
        configError({ code: 'schema_invalid', file: name, rule: 'maxSchemaFiles', limit: places.limits.maxSchemaFiles, detail }),
      );
      return load;
    }
  }
  load.closure = link(files, indexes, load.errors);
  return load;
}

/** What stands at a path of the repository and is no folder; null when nothing does. */
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

type Reference = { holder: Record<string, unknown>; keyword: string; file: string; fragment: string; path: string[] };

type SchemaFile = {
  name: string;
  sha256: string;
  schema: object;
  id: string | null;
  innerIds: Set<string>;
  references: Reference[];
  document: Document;
};

async function readSchemaFile(places: SchemaPlaces, name: string, load: SchemaLoad): Promise<SchemaFile | null> {
  const refuse = (code: string, rule: string, detail: string): null => {
    load.errors.push(configError({ code, file: name, rule, detail }));
    return null;
  };
  if (!name.startsWith(BUILTIN)) load.paths.push(name);
  const bytes = await readBytes(places, name);
  if (bytes === 'missing') return refuse('schema_missing', 'schema', 'is not there, but is needed as a schema');
  if (bytes === 'irregular') return refuse('path', 'symlink', 'is a link, must be a file');
  if (bytes === 'too_large') return refuse('too_large', 'maxBytes', `has more than ${places.limits.maxSchemaBytes} bytes`);
  const maxDocumentDepth = places.limits.maxDocumentDepth * SCHEMA_DEPTH_FACTOR;
  const parsed = parseDocument(bytes, syntaxOf(name) ?? 'json', { ...places.limits, maxDocumentDepth });
  if (!parsed.ok) {
    load.errors.push(documentError(name, parsed.fault));
    return null;
  }
  const schema = parsed.document.value;
  if (!isRecord(schema)) return refuse('schema_invalid', 'type', 'is not a schema: it must be an object');
  const file: SchemaFile = {
    name,
    sha256: sha256Hex(bytes),
    schema,
    id: null,
    innerIds: new Set(),
    references: [],
    document: parsed.document,
  };
  if (typeof schema.$id === 'string') {
    file.id = schema.$id.replace(/#$/, '');
    delete schema.$id;
  }
  collect(file, schema, [], false);
  return file;
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

/** Gathers the references and inner ids of a schema. Bounded by the depth at which the document was parsed. */
function collect(file: SchemaFile, node: unknown, path: string[], areNames: boolean): void {
  if (Array.isArray(node)) {
    for (const [index, item] of node.entries()) collect(file, item, [...path, String(index)], false);
    return;
  }
  if (!isRecord(node)) return;
  for (const [key, value] of Object.entries(node)) {
    const inner = [...path, key];
    if (areNames) collect(file, value, inner, false);
    else if ((key === '$ref' || key === '$dynamicRef') && typeof value === 'string')
      file.references.push(reference(node, key, value, inner));
    else if (key === '$id' && typeof value === 'string') file.innerIds.add(value.replace(/#$/, ''));
    else if (!DATA_KEYWORDS.has(key)) collect(file, value, inner, NAME_KEYWORDS.has(key));
  }
}

function reference(holder: Record<string, unknown>, keyword: string, value: string, path: string[]): Reference {
  const hash = value.indexOf('#');
  return { holder, keyword, path, file: hash === -1 ? value : value.slice(0, hash), fragment: hash === -1 ? '' : value.slice(hash) };
}

/** The file that a reference from `from` means, or null when it stays inside its own file or is a URL. */
function localTarget(from: string, file: string): string | null {
  if (file.startsWith(BUILTIN)) return file;
  if (file === '' || from.startsWith(BUILTIN) || hasScheme(file)) return null;
  const names = file.startsWith('/') ? [] : from.split('/').slice(0, -1);
  for (const part of decoded(file).split('/')) {
    if (part === '..' && names.pop() === undefined) return null;
    if (part !== '..' && part !== '.' && part !== '') names.push(part);
  }
  return names.length > 0 && names.every((part) => segmentFault(part) === null) ? names.join('/') : null;
}

function decoded(file: string): string {
  try {
    return decodeURIComponent(file);
  } catch {
    return file;
  }
}

function hasScheme(file: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(file) || file.startsWith('//');
}

function link(files: SchemaFile[], indexes: Map<string, number>, errors: ConfigError[]): SchemaClosure | null {
  const ids = new Map(files.flatMap((file, index) => (file.id === null ? [] : [[file.id, index] as const])));
  const keys: string[] = [];
  for (const [index, file] of files.entries()) {
    Object.assign(file.schema, { $id: schemaUri(index) });
    const targets: string[] = [];
    for (const item of file.references) {
      if (item.file === '' || file.innerIds.has(item.file) || META_SCHEMA.test(item.file)) continue;
      const target = ids.get(item.file) ?? indexes.get(localTarget(file.name, item.file) ?? '');
      if (target === undefined) errors.push(unresolved(file, item));
      else item.holder[item.keyword] = schemaUri(target) + item.fragment;
      targets.push(String(target));
    }
    keys.push(`${file.sha256}:${targets.join(',')}`);
  }
  if (errors.length > 0) return null;
  return { key: keys.join(' '), schemas: files.map((file) => file.schema), names: files.map((file) => file.name) };
}

function unresolved(file: SchemaFile, { path, file: target }: Reference): ConfigError {
  const remote = hasScheme(target);
  const line = file.document.lineOf(path);
  const detail = `is ${JSON.stringify(target)}, must be a file of this repository${remote ? ': schemas are never fetched from elsewhere' : ''}`;
  const code = remote ? 'schema_remote_ref' : 'schema_missing';
  return configError({ code, file: file.name, line, pointer: toPointer(path), rule: '$ref', actual: target, detail });
}
