import { isProblem } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import type { FieldTraits, RemoteDevice, RemotePage, Values } from '../../provider.ts';
import { nextOf, queryOf } from './paging.ts';
import { filled, type Path, pathOf, placed } from './paths.ts';
import type { Description, Mapping } from './settings.ts';

/** The paths of a description, compiled once for all devices of an opened platform. */
export type Reader = { baseUrl: string; toRemote(item: Json): RemoteDevice | undefined; description: Description };

type Places = { id: Path; name: Path; fields: [name: string, path: Path][] };

export function fieldsFor({ device }: Pick<Description, 'device'>): Record<string, FieldTraits> {
  const fields = Object.entries(device.fields).map(([name, { kind, pointer, title = name }]) => [
    name,
    { kind, writable: pointer !== undefined, title } as const,
  ]);
  return { name: { kind: 'scalar', writable: device.namePointer !== undefined, title: 'Name' }, ...Object.fromEntries(fields) };
}

export function createReader(baseUrl: string, description: Description): Reader {
  const { device } = description;
  const places: Places = {
    id: pathOf(device.id),
    name: pathOf(device.name),
    fields: Object.entries(device.fields).map(([name, { path }]) => [name, pathOf(path)]),
  };
  const identities = device.identities.map(({ kind, path }) => ({ kind, path: pathOf(path) }));
  const state = device.state === undefined ? undefined : pathOf(device.state);
  const [connectivity, lastSeen, updated] = [device.connectivity, device.lastSeen, device.updated].map((one) => one && pathOf(one.path));
  return {
    ...{ baseUrl, description },
    toRemote: (item) => {
      const externalId = idOf(places.id.first(item));
      if (externalId === undefined) return undefined;
      const shownState = state?.first(item);
      return {
        externalId,
        identities: identities
          .flatMap(({ kind, path }) => path.all(item).flatMap((one) => ({ kind, value: textOf(one) ?? [] })))
          .flatMap(withText),
        values: valuesOf(places, item, externalId),
        connectivity: connectivity === undefined ? 'unknown' : connectivityOf(device, connectivity.first(item)),
        lastSeenAt: lastSeen === undefined ? null : timeOf(lastSeen.first(item), device.lastSeen?.unit ?? 'iso'),
        ...(shownState === undefined ? {} : { state: shownState }),
        details: {},
        updatedAt: updated === undefined ? null : timeOf(updated.first(item), device.updated?.unit ?? 'iso'),
      };
    },
  };
}

function withText({ kind, value }: { kind: 'certificate' | 'hardware'; value: string | never[] }) {
  return typeof value === 'string' ? [{ kind, value }] : [];
}

function valuesOf({ name, fields }: Places, item: Json, externalId: string): Values {
  const values: Values = { name: textOf(name.first(item)) ?? externalId };
  for (const [field, path] of fields) {
    const value = path.first(item);
    if (value !== undefined) values[field] = value;
  }
  return values;
}

function connectivityOf({ connectivity }: Mapping, value: Json | undefined): RemoteDevice['connectivity'] {
  const isOneOf = (values: readonly (string | number | boolean | null)[]) => values.some((one) => one === value);
  if (connectivity === undefined || value === undefined) return 'unknown';
  if (isOneOf(connectivity.online)) return 'online';
  return connectivity.offline.length === 0 || isOneOf(connectivity.offline) ? 'offline' : 'unknown';
}

/** A larger number lost digits when it was parsed, and would stand for several devices. */
export function idOf(value: Json | undefined): string | undefined {
  return typeof value === 'number' && !Number.isSafeInteger(value) ? undefined : textOf(value);
}

function textOf(value: Json | undefined): string | undefined {
  if (typeof value === 'string' && value !== '' && value.length <= 500) return value;
  return typeof value === 'number' ? String(value) : undefined;
}

function timeOf(value: Json | undefined, unit: 'iso' | 's' | 'ms'): Date | null {
  const text = typeof value === 'number' || typeof value === 'string' ? String(value).trim() : '';
  const ms = unit === 'iso' || text === '' ? Date.parse(text) : Number(text) * (unit === 's' ? 1000 : 1);
  // Zero stands for "never" on many platforms.
  return Number.isNaN(ms) || ms <= 0 || ms > 8.64e15 ? null : new Date(ms);
}

/**
 * @param isTrial a person tries the description: a path that finds no list is shown, and is no error
 * @throws Problem `integration_protocol` for items without an id, for an answer without a list, and for a list that repeats its page
 */
export async function listPage(
  api: VendorApi,
  reader: Reader,
  cursor: string | null,
  signal: AbortSignal,
  isTrial = false,
): Promise<RemotePage> {
  const { list } = reader.description;
  if (list === undefined) return { devices: [], next: null, total: 0 };
  const asked = queryOf(list.paging, cursor);
  const path = asked.url === undefined ? list.path : new URL(asked.url, reader.baseUrl.replace(/\/+$/, '') + list.path).href;
  const query = asked.url === undefined ? { ...list.query, ...asked.query } : {};
  const answer = await api.send({ doing: 'list the devices', method: 'GET', path, query, signal });
  if (typeof answer.body !== 'object')
    throw integrationProblem('integration_protocol', 'Cannot list the devices: the answer is neither a JSON object nor a list');
  const items = pathOf(list.items).all(answer.body);
  if (items.length === 0 && cursor === null && !isTrial) checkEmpty(list.items, answer.body);
  const devices = items.flatMap((item) => reader.toRemote(item) ?? []);
  if (devices.length < items.length)
    throw integrationProblem(
      'integration_protocol',
      `Cannot list the devices: ${items.length - devices.length} of ${items.length} items have no id at "${reader.description.device.id}"; an id is a text of 1 to 500 characters or a whole number up to 2^53`,
    );
  const shown = list.total === undefined ? undefined : pathOf(list.total).first(answer.body);
  const total = typeof shown === 'number' && Number.isSafeInteger(shown) && shown >= 0 ? shown : null;
  const next = nextOf(list.paging, cursor, { ids: devices.map(({ externalId }) => externalId), total }, answer);
  return { devices, next, total };
}

/**
 * Some platforms answer an error with status 200. Such an answer must not archive all devices: an account without devices still shows their list. Only the
 * first page tells the two apart, since some platforms leave the list out behind the last one.
 * @throws Problem `integration_protocol`
 */
function checkEmpty(items: string, body: Json): void {
  const container = /^(.+)\[\*\]$/.exec(items.trim())?.[1];
  if (container === undefined) return;
  const found = pathOf(container).first(body);
  if (typeof found === 'object' && found !== null) return;
  throw integrationProblem(
    'integration_protocol',
    `Cannot list the devices: no list is at "${container}" of the answer, and one without devices would be empty`,
  );
}

/** Names the paths of the description that found nothing on this page. One device may lack a value; a path that finds none on a whole page is wrong. */
export function gapsIn({ list, device }: Description, { devices, total }: RemotePage): string[] {
  if (list === undefined) return [];
  if (devices.length === 0) return [`list.items: "${list.items}" found no devices`];
  const found = (is: (one: RemoteDevice) => boolean) => devices.some(is);
  const gaps: [where: string, path: string | undefined, isFound: boolean][] = [
    ['list.total', list.total, total !== null],
    ['device.name', device.name, found(({ values, externalId }) => values.name !== externalId)],
    ['device.state', device.state, found(({ state }) => state !== undefined)],
    ['device.connectivity', device.connectivity?.path, found(({ connectivity }) => connectivity !== 'unknown')],
    ['device.lastSeen', device.lastSeen?.path, found(({ lastSeenAt }) => lastSeenAt !== null)],
    ['device.updated', device.updated?.path, found(({ updatedAt }) => updatedAt !== null)],
    ...device.identities.map(({ path, kind }, at): [string, string, boolean] => [
      `device.identities.${at}`,
      path,
      found(({ identities }) => identities.some((one) => one.kind === kind)),
    ]),
    ...Object.entries(device.fields).map(([name, { path }]): [string, string, boolean] => [
      `device.fields.${name}`,
      path,
      found(({ values }) => values[name] !== undefined),
    ]),
  ];
  return gaps.flatMap(([where, path, isFound]) => (path === undefined || isFound ? [] : [`${where}: "${path}" found nothing`]));
}

export async function readOne(api: VendorApi, reader: Reader, externalId: string, signal: AbortSignal): Promise<RemoteDevice | undefined> {
  const { read } = reader.description;
  if (read === undefined) return undefined;
  const doing = `read device "${externalId}"`;
  try {
    const { body } = await api.send({ doing, method: 'GET', path: filled(read.path, { id: externalId }), signal });
    const item = pathOf(read.item).first(body ?? null);
    const device = item === undefined ? undefined : reader.toRemote(item);
    if (device !== undefined) return device;
    throw integrationProblem('integration_protocol', `Cannot ${doing}: nothing with an id is at "${read.item}" of the answer`);
  } catch (error) {
    if (isProblem(error, 'integration_not_found')) return undefined;
    throw error;
  }
}

/** @throws Problem `integration_unsupported` for a field that the description does not let change */
export function bodyOf({ device }: Description, changes: Values): { [key: string]: Json } {
  return placed(
    Object.entries(changes).map(([name, value]) => {
      const pointer = name === 'name' ? device.namePointer : device.fields[name]?.pointer;
      if (pointer !== undefined) return [pointer, value] as const;
      throw integrationProblem('integration_unsupported', `Cannot write "${name}": the integration's settings name no pointer for it`);
    }),
  );
}
