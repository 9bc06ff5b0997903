import type { Json } from '../../../wire/text/json.ts';
import { type Context, fieldsOf, GRPC, invalid, notFound, ok, problem, type Route } from './answer.ts';
import { newId, type Project, playDevice, type Setting, tick } from './state.ts';

const TYPES = ['string', 'integer', 'float', 'boolean'] as const;
const KEY = /^[A-Z0-9_]{1,63}$/;
const INT32 = 2 ** 31;

const show = (project: Project, setting: Setting): Json => ({ ...setting, projectId: project.id });

function fits(dataType: Setting['dataType'], value: Json | undefined): boolean {
  if (dataType === 'string') return typeof value === 'string';
  if (dataType === 'boolean') return typeof value === 'boolean';
  if (typeof value !== 'number') return false;
  return dataType === 'float' || (Number.isInteger(value) && value >= -INT32 && value < INT32);
}

/** Not paged. Without a filter the list shows the project's level. */
function list({ project, request: { query } }: Context) {
  const [deviceId, blueprintId] = [query.get('deviceId') ?? undefined, query.get('blueprintId') ?? undefined];
  const found = project.settings.filter((setting) => setting.deviceId === deviceId && setting.blueprintId === blueprintId);
  return { status: 200, body: { list: found.map((setting) => show(project, setting)), total: found.length } };
}

function create({ project, request }: Context) {
  const { key, dataType, value, deviceId, blueprintId } = fieldsOf(request);
  if (typeof key !== 'string' || !KEY.test(key)) return invalid('key must match ^[A-Z0-9_]+$ and have at most 63 characters');
  const type = TYPES.find((known) => known === dataType);
  if (type === undefined) return invalid(`dataType must be one of ${TYPES.join(', ')}`);
  if (!fits(type, value)) return invalid(`value is no ${type}`);
  const at = { ...(typeof deviceId === 'string' ? { deviceId } : {}), ...(typeof blueprintId === 'string' ? { blueprintId } : {}) };
  if (at.deviceId !== undefined && !project.devices.has(at.deviceId)) return notFound('device');
  const sameKey = project.settings.filter((setting) => setting.key === key);
  const base = sameKey.find((setting) => setting.deviceId === undefined && setting.blueprintId === undefined);
  const isOverride = at.deviceId !== undefined || at.blueprintId !== undefined;
  if (isOverride && base === undefined) return problem(400, GRPC.precondition, `setting ${key} does not exist at project level`);
  if (isOverride && base?.dataType !== type) return invalid(`setting ${key} has data type ${base?.dataType}`);
  if (sameKey.some((setting) => setting.deviceId === at.deviceId && setting.blueprintId === at.blueprintId))
    return problem(409, GRPC.exists, `setting ${key} already exists`);
  const now = tick(project);
  const setting: Setting = { id: newId(), key, dataType: type, value: value as Json, ...at, createdAt: now, updatedAt: now };
  project.settings.push(setting);
  deliver(project, setting);
  return ok(show(project, setting));
}

/** Key and type never change. */
function update({ project, request, ids }: Context) {
  const setting = project.settings.find(({ id }) => id === ids[0]);
  if (setting === undefined) return notFound('setting');
  const { value } = fieldsOf(request);
  if (!fits(setting.dataType, value)) return invalid(`value is no ${setting.dataType}`);
  setting.value = value as Json;
  setting.updatedAt = tick(project);
  deliver(project, setting);
  return ok(show(project, setting));
}

function remove({ project, ids }: Context) {
  const setting = project.settings.find(({ id }) => id === ids[0]);
  if (setting === undefined) return notFound('setting');
  project.settings = project.settings.filter(({ id }) => id !== setting.id);
  deliver(project, { ...setting, updatedAt: tick(project) });
  return ok({});
}

/** Devices that are online fetch a change at once. */
function deliver(project: Project, { deviceId, blueprintId, updatedAt }: Setting): void {
  for (const device of deviceId === undefined ? project.devices.values() : [project.devices.get(deviceId)]) {
    if (device === undefined || (blueprintId !== undefined && device.blueprintId !== blueprintId)) continue;
    device.lastOverrideMs = Date.parse(updatedAt);
    playDevice(project, device);
  }
}

export const SETTING_ROUTES: readonly Route[] = [
  ['GET', /^settings$/, list],
  ['POST', /^settings$/, create],
  ['PUT', /^settings\/([^/]+)$/, update],
  ['PATCH', /^settings\/([^/]+)$/, update],
  ['DELETE', /^settings\/([^/]+)$/, remove],
  ['GET', /^settings-data-types$/, () => ({ status: 200, body: { list: [...TYPES], total: TYPES.length } })],
];
