import { newId } from '../../src/ids.ts';
import { idsIn, listOf } from '../support/collections.ts';
import { DEVICES, type Golden, openGolden } from './golden.ts';
import { Ref } from './json.ts';
import type { Caller, Request } from './requests.ts';

/** Objects of every kind in the service, so that requests can take effect, and their names. */
export type World = {
  credentialsOf(caller: Caller): Record<string, string>;
  /** The path with the ids of its parameters. */
  pathOf(request: Request): Promise<string>;
  /** Resolves the references in a query or body. */
  resolver(request: Request): Promise<(ref: Ref) => string>;
  /** Runs between two rounds. */
  restore(): Promise<void>;
  close(): Promise<void>;
};

export async function openWorld(url: string, databaseUrl: string): Promise<World> {
  const golden = await openGolden(url, databaseUrl);
  const names = createNames(golden);
  return {
    credentialsOf: (caller): Record<string, string> => {
      if (caller.kind === 'anonymous') return {};
      if (caller.kind === 'device') return golden.keys[caller.index] ?? {};
      return { authorization: `Bearer ${golden.tokens[caller.kind]}` };
    },
    pathOf: (request) => pathOf(golden, names, request),
    resolver: async (request) => {
      const found = new Map<string, readonly string[]>();
      for (const { collection } of refsIn([request.query, request.body]))
        if (!found.has(collection)) found.set(collection, await names.find(collection, 'id', request));
      return ({ collection, index }) => chosen(found.get(collection) ?? [], index);
    },
    restore: async () => {
      await golden.restore();
      names.forget();
    },
    close: golden.close,
  };
}

type Names = { find(collection: string, field: string, request: Request): Promise<readonly string[]>; forget(): void };

/** Existing objects by the path of their list, which is read once in a round. */
function createNames({ admin, ids, commit }: Golden): Names {
  const lists = new Map<string, Promise<string[]>>();
  const listed = (collection: string, field: string): Promise<string[]> => {
    const name = `${collection} ${field}`;
    const known = lists.get(name) ?? idsIn((path) => admin('GET', path), collection, field);
    lists.set(name, known);
    return known;
  };
  return {
    find: async (collection, field, request) => {
      if (collection === 'url' || collection === 'platform') return ids[collection] ?? [];
      if (collection === 'commit') return [commit()];
      if (collection === 'own device') return [actingDevice(request)];
      const found = await listed(collection.replace('{id}', actingDevice(request)), field);
      return [...new Set([...(ids[listOf(collection)] ?? []), ...found])];
    },
    forget: () => lists.clear(),
  };
}

async function pathOf({ ids }: Golden, names: Names, request: Request): Promise<string> {
  const { operation, params } = request;
  const segments = operation.path.split('/').slice(1);
  let path = '';
  for (const [at, segment] of segments.entries()) {
    const name = /^\{(\w+)\}$/.exec(segment)?.[1];
    const value = name === undefined ? segment : (params[name] ?? 0);
    if (typeof value === 'string') {
      path += `/${value}`;
      continue;
    }
    const own = name === 'device_id' && request.as.kind === 'device';
    const found = await names.find(own ? 'own device' : path, name ?? 'id', request);
    const lasting = ids[listOf(path)];
    const isLast = at === segments.length - 1;
    // Golden objects stay, and only they certainly have objects below them.
    const wanted =
      operation.method === 'DELETE' && isLast ? found.filter((id) => !lasting?.includes(id)) : isLast || own ? found : (lasting ?? found);
    path += `/${encodeURIComponent(chosen(wanted, value))}`;
  }
  return path;
}

/** An unused id, if the list is empty. */
function chosen(found: readonly string[], index: number): string {
  return found[index % found.length] ?? newId();
}

function actingDevice({ as, params }: Request): string {
  if (as.kind === 'device') return DEVICES[as.index] ?? '';
  return DEVICES[typeof params.id === 'number' ? params.id % DEVICES.length : 0] ?? '';
}

function refsIn(value: unknown): Ref[] {
  if (value instanceof Ref) return [value];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  return Object.values(value).flatMap(refsIn);
}
