import { messageOf } from '../../errors.ts';
import { configError, validationTimeout } from '../config-error.ts';
import type { ConfigError } from '../revision.ts';
import { TookTooLong, withinTime } from '../time-limit.ts';
import type { SchemaPlaces } from './closure.ts';
import { findFile, loadSchema } from './closure.ts';
import type { CompiledSchema } from './compile.ts';
import { compileSchema } from './compile.ts';

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
  const { closure, errors, paths } = await loadSchema(places, name);
  const { limits } = places;
  if (closure === null) return { schema: null, errors, dependencies: paths };
  try {
    return { schema: withinTime(limits.maxValidationMs, () => compileSchema(closure)), errors, dependencies: paths };
  } catch (error) {
    if (error instanceof TookTooLong) {
      return { schema: null, errors: [validationTimeout(name, limits.maxValidationMs, 'be compiled')], dependencies: paths };
    }
    const detail = `is not a valid JSON Schema: ${messageOf(error)}`;
    return { schema: null, errors: [configError({ code: 'schema_invalid', file: name, rule: 'compile', detail })], dependencies: paths };
  }
}
