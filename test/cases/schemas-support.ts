import { prepareRevision } from '../../src/prepare/prepare.ts';
import type { ConfigError, PreparedRevision } from '../../src/revision/revision.ts';
import type { Files } from '../revision/memory-source.ts';
import { MemorySource } from '../revision/memory-source.ts';

export const D4 = 'http://json-schema.org/draft-04/schema#';
export const D6 = 'http://json-schema.org/draft-06/schema#';
export const D7 = 'http://json-schema.org/draft-07/schema#';
export const D19 = 'https://json-schema.org/draft/2019-09/schema';
export const D20 = 'https://json-schema.org/draft/2020-12/schema';

export function manifest(schema: string, file: string): string {
  return `apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - files: ${file}\n    schema: ${schema}\n`;
}

export async function prepare(files: Files, layout: 'repo' | 'fleet' = 'repo'): Promise<PreparedRevision> {
  const source = new MemorySource();
  return prepareRevision(source, { commit: source.commit(files), layout, previous: null, builtinSchemas: new Map() });
}

/** The errors of a repository with one file and one schema, which may be the text of a file. */
export async function errorsOf(schema: unknown, text: string, name = 'a.json', more: Files = {}): Promise<ConfigError[]> {
  const written = typeof schema === 'string' ? schema : JSON.stringify(schema, null, 2);
  const files = { 'bellwether.yaml': manifest('schemas/s.json', name), 'schemas/s.json': written, [name]: text, ...more };
  return (await prepare(files)).paths[0]?.errors ?? [];
}
