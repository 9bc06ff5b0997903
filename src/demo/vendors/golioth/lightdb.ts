import type { Json } from '../../../wire/text/json.ts';
import { type Context, notFound, ok, type Route } from './answer.ts';
import { type Fields, type GoliothDevice, isFields, playDevice } from './state.ts';

/** LightDB State: one tree, shared by device and cloud, without versions. */

const partsOf = (path: string) => path.split('/').filter((part) => part !== '');

export function readTree(tree: Fields, path: string): Json | undefined {
  let at: Json | undefined = tree;
  for (const part of partsOf(path)) at = isFields(at) ? at[part] : undefined;
  return at;
}

function parentOf(tree: Fields, parts: readonly string[]): Fields {
  let at = tree;
  for (const part of parts) {
    const next = at[part];
    const inner: Fields = isFields(next) ? next : {};
    at[part] = inner;
    at = inner;
  }
  return at;
}

/** PATCH merges objects, PUT and POST replace. */
function write(device: GoliothDevice, path: string, method: string, value: Json): void {
  const parts = partsOf(path);
  const last = parts.pop();
  if (last === undefined) {
    device.tree = isFields(value) ? (method === 'PATCH' ? { ...device.tree, ...value } : value) : device.tree;
    return;
  }
  const parent = parentOf(device.tree, parts);
  const before = parent[last];
  parent[last] = method === 'PATCH' && isFields(before) && isFields(value) ? { ...before, ...value } : value;
}

function remove(device: GoliothDevice, path: string): void {
  const parts = partsOf(path);
  const last = parts.pop();
  if (last === undefined) device.tree = {};
  else delete parentOf(device.tree, parts)[last];
}

function read({ project, ids: [id = '', path = ''] }: Context) {
  const device = project.devices.get(id);
  if (device === undefined) return notFound('device');
  return ok(readTree(device.tree, path) ?? null);
}

function change({ project, request, ids: [id = '', path = ''] }: Context) {
  const device = project.devices.get(id);
  if (device === undefined) return notFound('device');
  if (request.method === 'DELETE') remove(device, path);
  else write(device, path, request.method, request.body ?? null);
  playDevice(project, device);
  return ok(readTree(device.tree, path) ?? null);
}

function changeByTag({ project, request, ids: [tag = '', path = ''] }: Context) {
  if (!project.tags.has(tag)) return notFound('tag');
  const found = [...project.devices.values()].filter(({ tagIds }) => tagIds.includes(tag));
  for (const device of found) {
    if (request.method === 'DELETE') remove(device, path);
    else write(device, path, request.method, structuredClone(request.body ?? null));
    playDevice(project, device);
  }
  return ok({});
}

const ONE = /^devices\/([^/]+)\/data(?:\/(.*))?$/;
const TAGGED = /^devicesByTag\/([^/]+)\/data(?:\/(.*))?$/;

export const LIGHTDB_ROUTES: readonly Route[] = [
  ['GET', ONE, read],
  ...(['PUT', 'PATCH', 'POST', 'DELETE'] as const).flatMap((method): Route[] => [
    [method, ONE, change],
    [method, TAGGED, changeByTag],
  ]),
];
