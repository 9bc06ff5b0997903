import { z } from 'zod';
import { serveVendor, type VendorRequest, type VendorResponse } from '../../src/demo/vendors/vendor-server.ts';
import { defineProvider, type RemoteDevice, type RemotePage } from '../../src/integration/provider.ts';
import { createProviders } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';

/** A platform with all that a sync uses: numbered pages with state, reading, creating and writing. It has no vendor's peculiarities. */
export const depot = defineProvider({
  kind: 'depot',
  title: 'Depot',
  settings: z.object({ baseUrl: z.url(), perPage: z.number().int().default(100) }),
  credentials: z.object({ apiKey: z.string().min(8) }),
  fields: {
    name: { kind: 'scalar', writable: true, title: 'Name' },
    tags: { kind: 'set', writable: true, title: 'Tags' },
    room: { kind: 'scalar', writable: true, title: 'Room' },
    battery: { kind: 'scalar', writable: false, title: 'Battery' },
  },
  accountOf: ({ baseUrl }) => baseUrl,
  views: {},
  document: null,
  defaultIntervalSeconds: 900,
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
  open: ({ settings: { baseUrl, perPage }, credentials: { apiKey }, connect }) => {
    const api = connect({ baseUrl, headers: { 'x-api-key': apiKey }, secrets: [apiKey] });
    const one = async (method: 'GET' | 'PATCH' | 'POST', path: string, signal: AbortSignal, body?: Json) => {
      const answer = await api.send({ doing: `${method} ${path}`, method, path, body, signal });
      return remoteOf(answer.body as DepotDevice);
    };
    const list = async (cursor: string | null, signal: AbortSignal): Promise<RemotePage> => {
      const page = Number(cursor ?? 0);
      const answer = await api.send({ doing: 'list the devices', method: 'GET', path: '/devices', query: { page, perPage }, signal });
      const { list: devices, total } = answer.body as { list: DepotDevice[]; total: number };
      const pages = Math.ceil(total / perPage);
      return {
        devices: devices.map(remoteOf),
        next: page + 1 < pages ? String(page + 1) : null,
        total,
        following: Array.from({ length: Math.max(0, pages - page - 1) }, (_, index) => String(page + 1 + index)),
      };
    };
    return {
      test: async (signal) => ({ account: 'depot', devices: (await list(null, signal)).total, sample: [] }),
      list,
      read: async (id, signal) => {
        try {
          return await one('GET', `/devices/${id}`, signal);
        } catch (error) {
          if (error instanceof Error && 'code' in error && error.code === 'integration_not_found') return undefined;
          throw error;
        }
      },
      create: ({ name, values, marker }, signal) => one('POST', '/devices', signal, { ...values, name, hardwareIds: [marker] }),
      update: (id, changes, signal) => one('PATCH', `/devices/${id}`, signal, changes),
    };
  },
});

export const DEPOT = { providers: createProviders([depot]) };
const KEY = 'depot-key-0123456789';

export type DepotDevice = {
  id: string;
  name: string;
  tags: string[];
  room: string | null;
  battery: number;
  hardwareIds: string[];
  online: boolean;
  lastSeenAt: string | null;
  updatedAt: string;
  state: Json;
};

function remoteOf({ id, name, tags, room, battery, hardwareIds, online, lastSeenAt, updatedAt, state }: DepotDevice): RemoteDevice {
  return {
    externalId: id,
    identities: hardwareIds.map((value) => ({ kind: 'hardware', value })),
    values: { name, tags, room, battery },
    connectivity: online ? 'online' : 'offline',
    lastSeenAt: lastSeenAt === null ? null : new Date(lastSeenAt),
    state,
    details: {},
    updatedAt: new Date(updatedAt),
  };
}

export type Depot = Awaited<ReturnType<typeof serveDepot>>;

/** Serves the platform on 127.0.0.1. Its devices may be changed directly, as in its console. */
export async function serveDepot({ devices = 0, latencyMs, port }: { devices?: number; latencyMs?: number; port?: number } = {}) {
  const all = new Map<string, DepotDevice>();
  const add = (device: Partial<DepotDevice> & { name: string }): DepotDevice => {
    const id = device.id ?? `x${String(all.size + 1).padStart(5, '0')}`;
    const added = {
      ...{ id, tags: [], room: 'hall', battery: 80, hardwareIds: [`hw-${id}`], online: true, lastSeenAt: '2026-12-01T00:00:00Z' },
      ...{ updatedAt: new Date().toISOString(), state: { temperature: 20, firmware: '1.0.0', uptime: 1000 } },
      ...device,
    };
    all.set(id, added);
    return added;
  };
  const change = (id: string, values: Partial<DepotDevice>) => {
    const device = all.get(id);
    if (device === undefined) throw new Error(`no device ${id}`);
    Object.assign(device, values, { updatedAt: new Date().toISOString() });
    return device;
  };
  for (let index = 0; index < devices; index += 1) add({ name: `till-${index + 1}` });
  const account = { key: KEY };
  const served = await serveVendor((request) => answer(request, { all, add, change, account }), { latencyMs, port });
  return { ...served, all, add, change, account, settings: { baseUrl: served.url }, credentials: { apiKey: KEY } };
}

type Shop = {
  all: Map<string, DepotDevice>;
  add(device: Partial<DepotDevice> & { name: string }): DepotDevice;
  change(id: string, values: Partial<DepotDevice>): DepotDevice;
  account: { key: string };
};

function answer({ method, path, query, headers, body }: VendorRequest, { all, add, change, account }: Shop): VendorResponse {
  if (headers['x-api-key'] !== account.key) return { status: 401, body: { message: 'invalid key' } };
  const id = path.split('/')[2];
  if (id !== undefined) {
    const device = all.get(id);
    if (device === undefined) return { status: 404, body: { message: 'no such device' } };
    return { status: 200, body: (method === 'PATCH' ? change(id, body as Partial<DepotDevice>) : device) as unknown as Json };
  }
  if (method === 'POST') return { status: 200, body: add(body as { name: string }) as unknown as Json };
  const perPage = Number(query.get('perPage') ?? 100);
  const page = Number(query.get('page') ?? 0);
  const list = [...all.values()].slice(page * perPage, (page + 1) * perPage);
  return { status: 200, body: { list, total: all.size } as unknown as Json };
}
