import type { ErrorObject, Options, ValidateFunction } from 'ajv';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { LRUCache } from 'lru-cache';
import { messageOf } from '../../errors.ts';
import type { SchemaClosure } from './closure.ts';
import { schemaUri } from './closure.ts';

/** What a schema says of one value. */
export type SchemaVerdict = {
  errors: ErrorObject[];
  /** JSON pointers of the values that it marks `writeOnly` or `x-secret`. */
  secrets: Set<string>;
};

export type CompiledSchema = {
  check(value: unknown): SchemaVerdict;
  /** A pattern may take exponential time, references may multiply: to be checked within a time limit. */
  mayBeSlow: boolean;
};

/** Compiling takes milliseconds, using microseconds: the same few schemas serve thousands of folders, commit after commit. */
const compiled = new LRUCache<string, CompiledSchema>({ max: 256 });

/**
 * JSON Schema 2020-12, or draft-07 where `$schema` says so; unknown keywords and formats are ignored, as the standard asks.
 * @throws Error with a message for the schema's author when it is no schema
 */
export function compileSchema(closure: SchemaClosure): CompiledSchema {
  const known = compiled.get(closure.key);
  if (known !== undefined) return known;
  const schema = compile(closure);
  compiled.set(closure.key, schema);
  return schema;
}

const options: Options = { allErrors: true, verbose: true, strict: false, logger: false, validateFormats: true, ownProperties: true };

/** Filled by the keywords below while a value is validated; validation is synchronous. */
let marked = new Set<string>();

function compile(closure: SchemaClosure): CompiledSchema {
  const [root] = closure.schemas;
  const ajv = newEngine(root);
  let validate: ValidateFunction;
  try {
    for (const [index, schema] of closure.schemas.entries()) ajv.addSchema(schema, schemaUri(index));
    const found = ajv.getSchema(schemaUri(0));
    if (found === undefined) throw new Error('it is empty');
    validate = found;
  } catch (error) {
    throw new Error(withNames(messageOf(error), closure.names), { cause: error });
  }
  if ('$async' in validate) throw new Error('"$async" is not part of JSON Schema');
  const check = (value: unknown): SchemaVerdict => {
    marked = new Set();
    const isValid = validate(value);
    return { errors: isValid === true ? [] : [...(validate.errors ?? [])], secrets: marked };
  };
  return { check, mayBeSlow: mayBeSlow(closure) };
}

/** Without these keywords the time is that of the schema's size times the value's. */
const SLOW_KEYWORDS = /"(?:pattern|patternProperties|uniqueItems|\$ref|\$dynamicRef|\$recursiveRef)":/;
const MAX_QUICK_CHARS = 16 * 1024;

function mayBeSlow({ names, schemas }: SchemaClosure): boolean {
  if (names.every((name) => name.startsWith('builtin:'))) return false;
  const text = JSON.stringify(schemas);
  return text.length > MAX_QUICK_CHARS || SLOW_KEYWORDS.test(text);
}

function newEngine(root: object | undefined): Ajv {
  const dialect = root !== undefined && '$schema' in root ? String(root.$schema) : '';
  const ajv = dialect.includes('draft-07') ? new Ajv(options) : new Ajv2020(options);
  formats.default(ajv);
  ajv.removeKeyword('writeOnly');
  for (const keyword of ['writeOnly', 'x-secret']) {
    ajv.addKeyword({
      keyword,
      schemaType: 'boolean',
      errors: false,
      validate: (isSecret: boolean, _data: unknown, _schema: unknown, place?: { instancePath: string }) => {
        if (isSecret && place !== undefined) marked.add(place.instancePath);
        return true;
      },
    });
  }
  return ajv;
}

/** The engine speaks of the names under which it got the schemas; the author knows them by file. */
function withNames(message: string, names: readonly string[]): string {
  return names.reduce((text, name, index) => text.replaceAll(schemaUri(index), name), message);
}
