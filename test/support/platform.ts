import { z } from 'zod';
import { serveVendor } from '../../src/demo/vendors/vendor-server.ts';
import { defineProvider, type RemoteDevice } from '../../src/integration/provider.ts';
import { createProviders } from '../../src/integration/registry.ts';

/** A small platform of the tests: `GET /:project/devices`, with a bearer token. It has no vendor's peculiarities. */
export const shelf = defineProvider({
  kind: 'shelf',
  title: 'Shelf',
  settings: z.object({ baseUrl: z.url(), project: z.string().min(1).default('field') }),
  credentials: z.object({ apiKey: z.string().min(8) }),
  fields: {
    name: { kind: 'scalar', writable: true, title: 'Name' },
    tags: { kind: 'set', writable: true, title: 'Tags' },
    battery: { kind: 'scalar', writable: false, title: 'Battery' },
  },
  views: { policies: { title: 'Policies', cacheSeconds: 60 } },
  document: null,
  defaultIntervalSeconds: 900,
  fromEnvironment: ({ apiUrl, apiToken }) => ({ settings: { baseUrl: apiUrl }, credentials: { apiKey: apiToken } }),
  abilities: {
    list: true,
    create: true,
    update: true,
    delete: false,
    push: false,
    nativeConfirm: false,
    dryRun: false,
    execute: false,
    hook: false,
  },
  open: ({ settings: { baseUrl, project }, credentials: { apiKey }, connect }) => {
    const api = connect({ baseUrl, headers: { authorization: `Bearer ${apiKey}` }, secrets: [apiKey], timeoutMs: 1_000 });
    const list = async (signal: AbortSignal): Promise<RemoteDevice[]> => {
      const { body } = await api.send({ doing: 'list the devices', method: 'GET', path: `/${project}/devices`, signal });
      return (body as { id: string; name: string }[]).map(({ id, name }) => ({
        externalId: id,
        identities: [],
        values: { name },
        connectivity: 'unknown',
        lastSeenAt: null,
        details: {},
        updatedAt: null,
      }));
    };
    return {
      test: async (signal) => {
        const devices = await list(signal);
        return { account: `project ${project}`, devices: devices.length, sample: devices };
      },
      list: async (_cursor, signal) => ({ devices: await list(signal), next: null, total: null }),
    };
  },
});

export const SHELF_KEY = 'shelf-key-0123456789';

/** The providers of a service that knows this platform alone. */
export const SHELF = { providers: createProviders([shelf]) };

export type Shelf = Awaited<ReturnType<typeof serveShelf>>;

/** Serves the platform with this many devices. `key` may be changed, as by an expiry. */
export async function serveShelf(devices = 7) {
  const account = { key: SHELF_KEY };
  const served = await serveVendor(({ headers, path }) => {
    if (headers.authorization !== `Bearer ${account.key}`)
      return { status: 401, body: { error: `token ${headers.authorization} expired` } };
    if (!path.endsWith('/devices')) return { status: 404 };
    return { status: 200, body: Array.from({ length: devices }, (_, index) => ({ id: `d-${index}`, name: `Device ${index}` })) };
  });
  return { ...served, account, settings: { baseUrl: served.url, project: 'field' }, credentials: { apiKey: SHELF_KEY } };
}
