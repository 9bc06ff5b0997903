import { readdirSync, readFileSync } from 'node:fs';
import type { SchemaSource } from './resources.ts';

/** The published metaschemas of all drafts and their vocabularies. */
const DIRECTORY = new URL('../../../schemas/json-schema/', import.meta.url);

let sources: ReadonlyMap<string, SchemaSource> | undefined;

/** A metaschema by its URI, which may miss the empty fragment and say https for http; they are never fetched. */
export function metaschemaOf(uri: string): SchemaSource | null {
  sources ??= readAll();
  return sources.get(keyOf(uri)) ?? null;
}

function readAll(): Map<string, SchemaSource> {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.json'));
  return new Map(
    names.map((name) => {
      const value: { $id?: string; id?: string } = JSON.parse(readFileSync(new URL(name, DIRECTORY), 'utf8'));
      const uri = (value.$id ?? value.id ?? '').replace(/#$/, '');
      return [keyOf(uri), { name: uri, uri, value, draft: '2020-12' }];
    }),
  );
}

function keyOf(uri: string): string {
  return uri.replace(/^https:/, 'http:').replace(/#.*$/, '');
}
