import { toPointer } from '../../document/document.ts';
import { jsonText } from '../../document/exact.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { TookTooLong } from '../meter/cpu-limit.ts';
import { Meter } from '../meter/meter.ts';
import type { SchemaFault } from './check/visit.ts';
import type { SchemaLoad, SchemaPlaces } from './closure.ts';
import { findFile, loadSchema } from './closure.ts';
import type { CompiledSchema, FaultInSchema } from './compile.ts';
import { compileSchema, mayBeSlow } from './compile.ts';
import { shareable, wordingOf } from './wording.ts';

export type FoundSchema = {
  schema: CompiledSchema | null;
  errors: ConfigError[];
  /** Repository paths that decided: read, or looked for in vain. */
  dependencies: string[];
};

/** Finds schemas by the name that a manifest gives them; each is read and compiled once per revision. */
export type SchemaLoader = {
  /** Looks in these folders in their order, then at the root of the repository. */
  find(name: string, folders: readonly string[]): Promise<FoundSchema>;
};

export function schemaLoader(places: SchemaPlaces): SchemaLoader {
  const loaded = new Map<string, Promise<FoundSchema>>();
  const load = (place: string): Promise<FoundSchema> => {
    const known = loaded.get(place) ?? loadAndCompile(places, place);
    loaded.set(place, known);
    return known;
  };
  return {
    find: async (name, folders) => {
      if (name.startsWith('builtin:')) return load(name);
      const tried: string[] = [];
      for (const folder of new Set([...folders, ''])) {
        const path = folder === '' ? name : `${folder}/${name}`;
        tried.push(path);
        if ((await findFile(places, path)) === null) continue;
        const found = await load(path);
        return { ...found, dependencies: [...tried, ...found.dependencies] };
      }
      const detail = `is not there: looked for ${tried.map((path) => JSON.stringify(path)).join(', ')}`;
      return { schema: null, errors: [configError({ code: 'schema_missing', file: '', rule: 'schema', detail })], dependencies: tried };
    },
  };
}

async function loadAndCompile(places: SchemaPlaces, name: string): Promise<FoundSchema> {
  const dependencies: string[] = [];
  const meter = new Meter(places.budget, name);
  try {
    const load = await loadSchema(places, name, dependencies, meter);
    const { closure, errors } = load;
    if (closure === null) return { schema: null, errors, dependencies };
    const isQuick = !mayBeSlow(closure);
    const compilation = meter.run(isQuick, ({ within }) => within(() => compileSchema(closure)));
    if (compilation.ok) return { schema: compilation.schema, errors, dependencies };
    return { schema: null, errors: onePerPlace(compilation.faults.map((fault) => faultError(fault, load))), dependencies };
  } catch (error) {
    if (error instanceof TookTooLong)
      return { schema: null, errors: [meter.error(name, 'be compiled')], dependencies: [...dependencies, ...meter.others()] };
    // The end of the stack, or a text that is too long.
    if (!(error instanceof RangeError)) throw error;
    const detail = `is too complex for a schema: ${error.message}`;
    return { schema: null, errors: [configError({ code: 'schema_invalid', file: name, rule: 'compile', detail })], dependencies };
  }
}

/** A schema of nothing but errors need not show all of them. */
const MAX_SCHEMA_ERRORS = 20;

/** A metaschema reports one place through each of its vocabularies and alternatives. */
function onePerPlace(errors: readonly ConfigError[]): ConfigError[] {
  const first = new Map(errors.toReversed().map((error) => [`${error.file} ${error.pointer}`, error]));
  const ordered = [...first.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  // An error that no alternative fits adds nothing to the reason.
  const isSummary = ({ rule, file, pointer }: ConfigError): boolean =>
    rule === 'anyOf' && ordered.some((other) => other.file === file && other.pointer.startsWith(`${pointer}/`));
  return ordered.filter((error) => !isSummary(error)).slice(0, MAX_SCHEMA_ERRORS);
}

function faultError(found: FaultInSchema, load: SchemaLoad): ConfigError {
  const { file } = found;
  if ('path' in found) {
    const { path, rule, actual, detail } = found;
    const place = { code: 'schema_invalid' as const, file, line: load.lineOf(file, path), pointer: toPointer(path) };
    return configError({ ...place, rule, actual: shareable(actual), detail: `is ${jsonText(actual)}, ${detail}` });
  }
  const { fault, draft } = found;
  const path = fault.member === undefined ? fault.path : [...fault.path, fault.member];
  const { detail, actual, limit } = wordingOf(fault, false);
  const place = { code: 'schema_invalid' as const, file, line: load.lineOf(file, path), pointer: toPointer(path) };
  return configError({ ...place, rule: fault.keyword, actual, limit, detail: `${listOfSchemas(found) ?? detail} (JSON Schema ${draft})` });
}

/** The most frequent surprise of the newest draft. */
function listOfSchemas({ fault, draft }: Extract<FaultInSchema, { fault: SchemaFault }>): string | null {
  if (draft !== '2020-12' || fault.path.at(-1) !== 'items' || !Array.isArray(fault.value)) return null;
  return 'is a list, must be one schema: write "prefixItems", or name an older draft in "$schema"';
}
