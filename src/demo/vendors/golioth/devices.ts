import type { Json } from '../../../wire/text/json.ts';
import type { VendorRequest } from '../vendor-server.ts';
import { type Context, fieldsOf, GRPC, invalid, notFound, ok, pageOf, problem, type Route } from './answer.ts';
import { readTree } from './lightdb.ts';
import {
  addDevice,
  effectiveSettings,
  type Fields,
  type GoliothDevice,
  type Project,
  playDevice,
  playUpdate,
  removeDevice,
  tick,
} from './state.ts';

/** `statePath` adds the device's state at that path as `data`. The platform never sets `status`. */
export function showDevice(device: GoliothDevice, statePath: string | null): Fields {
  const { id, name, hardwareIds, tagIds, enabled, createdAt, updatedAt } = device;
  const metadata: Fields = { status: '-' };
  if (device.lastReport !== undefined) metadata.lastReport = device.lastReport;
  if (device.lastSeenOnline !== undefined) metadata.lastSeenOnline = device.lastSeenOnline;
  if (device.settingsStatus !== undefined) metadata.lastSettingsStatus = device.settingsStatus;
  const shown: Fields = { id, name, hardwareIds, tagIds, enabled, createdAt, updatedAt, metadata };
  for (const field of ['blueprintId', 'cohortId', 'certificateId'] as const) {
    const value = device[field];
    if (value !== undefined) shown[field] = value;
  }
  const data = statePath === null ? undefined : readTree(device.tree, statePath);
  if (data !== undefined) shown.data = data;
  return shown;
}

function matches(device: GoliothDevice, query: URLSearchParams): boolean {
  const is = (name: string, value: string | undefined) => !query.has(name) || query.get(name) === value;
  const term = query.get('term');
  return (
    is('deviceName', device.name) &&
    is('blueprintId', device.blueprintId) &&
    is('cohortId', device.cohortId) &&
    is('enabled', String(device.enabled)) &&
    (!query.has('hardwareId') || device.hardwareIds.includes(query.get('hardwareId') ?? '')) &&
    query.getAll('tags').every((tag) => device.tagIds.includes(tag)) &&
    (term === null || device.name.includes(term) || device.hardwareIds.some((id) => id.includes(term)))
  );
}

const FILTERS = ['deviceName', 'hardwareId', 'tags', 'blueprintId', 'cohortId', 'enabled', 'term'];

function listed({ devices, order }: Project, { query }: VendorRequest): GoliothDevice[] | string[] {
  if (!FILTERS.some((name) => query.has(name))) return order;
  return order.filter((id) => {
    const device = devices.get(id);
    return device !== undefined && matches(device, query);
  });
}

function list({ project, request }: Context) {
  const statePath = request.query.get('statePath');
  return pageOf<GoliothDevice | string>(request, listed(project, request), (one) => {
    const device = typeof one === 'string' ? project.devices.get(one) : one;
    return device === undefined ? null : showDevice(device, statePath);
  });
}

function texts(value: Json | undefined): string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? (value as string[]) : undefined;
}

function isNameTaken(project: Project, name: string, except?: string): boolean {
  for (const device of project.devices.values()) if (device.name === name && device.id !== except) return true;
  return false;
}

function create({ project, request }: Context) {
  const body = fieldsOf(request);
  if (typeof body.name !== 'string' || body.name === '') return invalid('name is required');
  if (isNameTaken(project, body.name)) return problem(409, GRPC.exists, 'device already exists');
  const unknown = texts(body.tagIds)?.find((id) => !project.tags.has(id));
  if (unknown !== undefined) return notFound(`tag ${unknown}`);
  const device = addDevice(project, {
    name: body.name,
    ...(texts(body.hardwareIds) === undefined ? {} : { hardwareIds: texts(body.hardwareIds) as string[] }),
    ...(texts(body.tagIds) === undefined ? {} : { tagIds: texts(body.tagIds) as string[] }),
    ...(typeof body.blueprintId === 'string' ? { blueprintId: body.blueprintId } : {}),
    ...(typeof body.cohortId === 'string' ? { cohortId: body.cohortId } : {}),
  });
  return ok(showDevice(device, null));
}

const MERGED: Readonly<Record<string, 'tagIds' | 'hardwareIds'>> = {
  addTagId: 'tagIds',
  removeTagId: 'tagIds',
  addHardwareId: 'hardwareIds',
  removeHardwareId: 'hardwareIds',
};

function patch({ project, request, ids }: Context) {
  const device = project.devices.get(ids[0] ?? '');
  if (device === undefined) return notFound('device');
  const body = fieldsOf(request);
  if (typeof body.name === 'string') {
    if (isNameTaken(project, body.name, device.id)) return problem(409, GRPC.exists, 'device name is taken');
    device.name = body.name;
  }
  if (typeof body.enabled === 'boolean') device.enabled = body.enabled;
  for (const field of ['tagIds', 'hardwareIds'] as const) device[field] = texts(body[field]) ?? device[field];
  for (const [name, field] of Object.entries(MERGED)) {
    const wanted = texts(body[name]) ?? [];
    device[field] = name.startsWith('add')
      ? [...new Set([...device[field], ...wanted])]
      : device[field].filter((id) => !wanted.includes(id));
  }
  for (const field of ['blueprintId', 'cohortId'] as const) {
    const value = body[field];
    if (value === null || value === '') delete device[field];
    else if (typeof value === 'string') device[field] = value;
  }
  device.updatedAt = tick(project);
  if (typeof body.cohortId === 'string') playUpdate(project, device);
  return ok(showDevice(device, null));
}

function one({ project, request, ids }: Context) {
  const device = project.devices.get(ids[0] ?? '');
  return device === undefined ? notFound('device') : ok(showDevice(device, request.query.get('statePath')));
}

function remove({ project, ids }: Context) {
  return removeDevice(project, ids[0] ?? '') ? ok({}) : notFound('device');
}

/** The answer is the device's own: 14 for one that is offline, 12 for a method that it does not know. */
function rpc({ project, request, ids }: Context) {
  const device = project.devices.get(ids[0] ?? '');
  if (device === undefined) return notFound('device');
  const { method, params } = fieldsOf(request);
  if (typeof method !== 'string') return invalid('method is required');
  if (device.behaviour.offline === true) return { status: 200, body: { statusCode: 14, detail: 'device is not connected' } };
  if (device.behaviour.fails === true) return { status: 200, body: { statusCode: 4, detail: 'deadline exceeded' } };
  if (method.startsWith('unknown')) return { status: 200, body: { statusCode: GRPC.unimplemented, detail: `no method ${method}` } };
  playDevice(project, device);
  return { status: 200, body: { statusCode: 0, detail: { method, params: params ?? [] } } };
}

function effective({ project, ids }: Context) {
  const device = project.devices.get(ids[0] ?? '');
  if (device === undefined) return notFound('device');
  const list = effectiveSettings(project, device).map((setting) => ({ ...setting, projectId: project.id }));
  return { status: 200, body: { list, total: list.length } };
}

function activity({ project, request }: Context) {
  return pageOf(request, [...project.devices.values()], ({ id, name, lastReport, lastSeenOnline }) => ({
    deviceId: id,
    deviceName: name,
    ...(lastReport === undefined ? {} : { lastReport }),
    ...(lastSeenOnline === undefined ? {} : { lastSeenOnline }),
  }));
}

export const DEVICE_ROUTES: readonly Route[] = [
  ['GET', /^devices$/, list],
  ['POST', /^devices$/, create],
  ['GET', /^devices\/([^/]+)$/, one],
  ['PATCH', /^devices\/([^/]+)$/, patch],
  ['PUT', /^devices\/([^/]+)$/, patch],
  ['DELETE', /^devices\/([^/]+)$/, remove],
  ['POST', /^devices\/([^/]+)\/rpc$/, rpc],
  ['GET', /^devices\/([^/]+)\/settings$/, effective],
  ['GET', /^device-activity-logs$/, activity],
];
