import { createHmac } from 'node:crypto';
import type { Json } from '../../../wire/text/json.ts';
import { type DeviceBehaviour, serveVendor, type VendorRequest, type VendorResponse, type VendorServer } from '../vendor-server.ts';

type Fields = { [key: string]: Json };
type Device = {
  id: string;
  title: string;
  serial: string;
  labels: Json[];
  seen: number;
  reported?: Json;
  config: Json | null;
  behaviour: DeviceBehaviour;
};

/** The ways of paging that platforms have. */
export const PAGING_STYLES = ['none', 'page', 'offset', 'cursor', 'link'] as const;
export type PagingStyle = (typeof PAGING_STYLES)[number];

export type RestServer = VendorServer & {
  configOf(externalId: string): Json | null;
  /** A hook as the platform sends it. */
  hook(externalId: string, secret: string): { headers: Record<string, string>; body: string };
};

const TOKEN = 'rest-token-0123456789';
const PAGE = 50;
const HOOK_HEADER = 'x-signature';

/** Plays a platform with a plain JSON API, and describes it as an operator would in the settings of an integration. */
export async function openRestPlatform({ paging = 'page', port }: { paging?: PagingStyle; port?: number } = {}): Promise<RestServer> {
  const devices = new Map<string, Device>();
  let last = 0;
  const served = await serveVendor((request) => answer(devices, paging, request, () => (last += 1)), { port });
  const deviceOf = (id: string): Device => {
    const found = devices.get(id);
    if (found === undefined) throw new Error(`Cannot find device "${id}" of the played platform`);
    return found;
  };
  return {
    ...served,
    settings: descriptionOf(served.url, paging),
    credentials: { token: TOKEN },
    addDevice: ({ name, values = {}, state, online = true }) => {
      last += 1;
      const device = newDevice(last, name);
      if (Array.isArray(values.labels)) device.labels = values.labels;
      if (state !== undefined) device.reported = state;
      device.behaviour = { offline: !online };
      devices.set(device.id, device);
      return device.id;
    },
    removeDevice: (id) => void devices.delete(id),
    change: (id, values) => change(deviceOf(id), { attributes: values, ...(values.name === undefined ? {} : { title: values.name }) }),
    shown: (id) => {
      const found = devices.get(id);
      return found === undefined ? undefined : { name: found.title, labels: found.labels };
    },
    behave: (id, behaviour) => {
      deviceOf(id).behaviour = behaviour;
    },
    configOf: (id) => deviceOf(id).config,
    hook: (id, secret) => {
      const body = JSON.stringify({ event: 'seen', devices: [{ id }] });
      return {
        headers: { [HOOK_HEADER]: `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`, 'x-delivery': `d-${id}` },
        body,
      };
    },
  };
}

function newDevice(number: number, title: string): Device {
  return {
    id: `dev-${number}`,
    title,
    serial: `sn-${number}`,
    labels: [],
    seen: Math.floor(Date.now() / 1000),
    config: null,
    behaviour: {},
  };
}

function descriptionOf(url: string, paging: PagingStyle): Record<string, Json> {
  const kinds: Record<PagingStyle, Json> = {
    none: { kind: 'none' },
    page: { kind: 'page', size: PAGE },
    offset: { kind: 'offset', size: PAGE },
    cursor: { kind: 'cursor', next: '$.meta.next', sizeParameter: 'limit', size: PAGE },
    link: { kind: 'link', sizeParameter: 'per_page', size: PAGE },
  };
  return {
    baseUrl: `${url}/api`,
    list: { path: '/devices', items: '$.items[*]', total: '$.meta.total', paging: kinds[paging] },
    device: {
      name: '$.title',
      namePointer: '/title',
      identities: [{ kind: 'hardware', path: '$.serial' }],
      connectivity: { path: '$.online', online: [true], offline: [false] },
      lastSeen: { path: '$.seen', unit: 's' },
      state: '$.reported',
      fields: { labels: { path: '$.attributes.labels', kind: 'set', pointer: '/attributes/labels' } },
    },
    read: { path: '/devices/{id}' },
    create: { path: '/devices', markerPointer: '/serial' },
    update: { path: '/devices/{id}' },
    delete: { path: '/devices/{id}' },
    configuration: {
      write: { path: '/devices/{id}/config' },
      check: { path: '/devices/{id}/config/check' },
      read: { path: '/devices/{id}/config', item: '$.config' },
    },
    command: { path: '/devices/{id}/commands' },
    hook: { proof: { kind: 'hmac', header: HOOK_HEADER, prefix: 'sha256=' }, deliveryHeader: 'x-delivery', devices: '$.devices[*].id' },
  };
}

function show({ id, title, serial, labels, seen, reported, behaviour }: Device): Fields {
  return {
    id,
    title,
    serial,
    online: behaviour.offline !== true,
    seen,
    attributes: { labels },
    ...(reported === undefined ? {} : { reported }),
  };
}

function change(device: Device, body: Fields): void {
  if (typeof body.title === 'string') device.title = body.title;
  if (typeof body.serial === 'string') device.serial = body.serial;
  const attributes = body.attributes as Fields | undefined;
  if (Array.isArray(attributes?.labels)) device.labels = attributes.labels;
}

const refused = (status: number, message: string): VendorResponse => ({ status, body: { error: { message } } });

function answer(devices: Map<string, Device>, paging: PagingStyle, request: VendorRequest, next: () => number): VendorResponse {
  if (request.headers.authorization !== `Bearer ${TOKEN}`) return refused(401, 'token is missing or wrong');
  const [, id, part] = /^\/api\/devices(?:\/([^/]+)(?:\/(\w+)(?:\/check)?)?)?$/.exec(request.path) ?? ['', undefined, undefined];
  if (!request.path.startsWith('/api/devices')) return refused(404, 'no such path');
  const body = (typeof request.body === 'object' && request.body !== null ? request.body : {}) as Fields;
  if (id === undefined) return request.method === 'POST' ? create(devices, body, next()) : list(devices, paging, request);
  const device = devices.get(id);
  if (device === undefined) return refused(404, 'no such device');
  if (part === 'config') return configure(device, request);
  if (part === 'commands') return command(device, body);
  if (request.method === 'DELETE') devices.delete(id);
  if (request.method === 'PATCH') change(device, body);
  return { status: 200, body: show(device) };
}

function create(devices: Map<string, Device>, body: Fields, number: number): VendorResponse {
  const device = newDevice(number, '');
  change(device, body);
  if ([...devices.values()].some(({ title }) => title === device.title)) return refused(409, 'the title is taken');
  devices.set(device.id, device);
  return { status: 201, body: show(device) };
}

/** A device refuses keys by its configuration staying as it was. */
function configure(device: Device, { method, body = null }: VendorRequest): VendorResponse {
  if (method !== 'GET') {
    if (typeof body !== 'object' || body === null || 'invalid' in body) return refused(422, 'the configuration is invalid');
    const isRefused = device.behaviour.refuses?.some((key) => key in body) ?? false;
    if (method === 'PUT' && device.behaviour.offline !== true && !isRefused) device.config = body;
  }
  return { status: 200, body: { config: device.config } };
}

function command(device: Device, body: Fields): VendorResponse {
  if (device.behaviour.offline === true) return refused(409, 'the device is offline');
  if (device.behaviour.fails === true) return refused(422, 'the device failed');
  return { status: 200, body: { done: body.type ?? null } };
}

function list(devices: Map<string, Device>, paging: PagingStyle, { query }: VendorRequest): VendorResponse {
  const all = [...devices.values()];
  const size = paging === 'none' ? all.length : PAGE;
  const from = {
    none: 0,
    page: (Number(query.get('page') ?? 1) - 1) * size,
    offset: Number(query.get('offset') ?? 0),
    cursor: Number(query.get('cursor') ?? 0),
    link: Number(query.get('from') ?? 0),
  }[paging];
  const items = all.slice(from, from + size).map(show);
  const after = from + size < all.length ? from + size : null;
  const meta: Fields = { total: all.length, ...(paging === 'cursor' ? { next: after === null ? null : String(after) } : {}) };
  const headers: Record<string, string> =
    paging === 'link' && after !== null ? { link: `</api/devices?from=${after}&per_page=${size}>; rel="next"` } : {};
  return { status: 200, headers, body: { items, meta } };
}
