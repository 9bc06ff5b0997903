import { readdir, readFile } from 'node:fs/promises';

/** Text of the schemas that a manifest names as `builtin:<name>`, by name. */
export type BuiltinSchemas = ReadonlyMap<string, string>;

const SUFFIX = '.schema.json';
/** These describe manifests, not devices. */
const MANIFEST_SCHEMAS = new Set(['manifest', 'fleet']);

export async function loadBuiltinSchemas(directory = new URL('../../../schemas/', import.meta.url)): Promise<BuiltinSchemas> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length));
  const wanted = names.filter((name) => !MANIFEST_SCHEMAS.has(name)).sort();
  return new Map(await Promise.all(wanted.map(async (name) => [name, await readFile(new URL(name + SUFFIX, directory), 'utf8')] as const)));
}
