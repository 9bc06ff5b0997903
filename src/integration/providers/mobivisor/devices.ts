import { createHash } from 'node:crypto';
import { z } from 'zod';
import { isProblem } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi } from '../../api.ts';
import type { Identity } from '../../integration.ts';
import { integrationProblem } from '../../problems.ts';
import type { FieldTraits, RemoteDevice, RemotePage, Values } from '../../provider.ts';
import { type Fields, idOf, pathOf, readList, readObject } from './answers.ts';

const field = (title: string, writable = false): FieldTraits => ({ kind: 'scalar', writable, title });

/** Only `name` and `status` are proven. All others are left out where the platform does not show them. */
export const FIELDS = {
  name: field('Name'),
  status: field('Status'),
  description: field('Description', true),
  imei: field('IMEI', true),
  model: field('Model'),
  manufacturer: field('Manufacturer'),
  serialNumber: field('Serial number'),
  osVersion: field('Version of the system'),
} as const satisfies Record<string, FieldTraits>;

const PER_PAGE = 100;
const SAMPLE = 5;
/** A server that answers new ids for ever would never end the walk: 1,000,000 devices. */
const MAX_PAGES = 10_000;

/** A page of the list: its number, and short hashes of the ids of the first page and of the one before. */
const Cursor = z.object({ page: z.number().int().min(1).max(MAX_PAGES), first: z.array(z.string()), last: z.array(z.string()) });

/**
 * Reads one page of devices. Nobody knows whether the platform pages: one that ignores `page` answers all devices, or the same ones again and again.
 * The walk therefore ends at the first page without new ids, and not at a short page, since the platform may cap `per_page`.
 */
export async function listDevices(api: VendorApi, cursor: string | null, signal: AbortSignal): Promise<RemotePage> {
  const before = cursor === null ? { page: 0, first: [], last: [] } : parseCursor(cursor);
  const records = await readPage(api, before.page, PER_PAGE, signal);
  const known = new Set([...before.first, ...before.last]);
  const added = records.filter((record) => !known.has(short(record.id)));
  // More devices than were asked for are all devices.
  const isOver = added.length === 0 || records.length > PER_PAGE || before.page === MAX_PAGES;
  const last = records.map(({ id }) => short(id));
  const next = { page: before.page + 1, first: before.page === 0 ? last : before.first, last };
  return {
    devices: added.map(({ id, record }) => toDevice(id, record)),
    next: isOver ? null : JSON.stringify(next),
    total: records.length > PER_PAGE ? records.length : null,
  };
}

/** Devices for a person who tests the connection. `devices`: their number, where the platform answered all of them. */
export async function sampleDevices(api: VendorApi, signal: AbortSignal): Promise<{ devices: number | null; sample: RemoteDevice[] }> {
  const records = await readPage(api, 0, SAMPLE, signal);
  const sample = records.slice(0, SAMPLE).map(({ id, record }) => toDevice(id, record));
  return { devices: records.length === SAMPLE ? null : records.length, sample };
}

function parseCursor(cursor: string): z.output<typeof Cursor> {
  const parsed = z
    .string()
    .transform((text, c) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        c.addIssue({ code: 'custom', message: 'must be JSON' });
        return z.NEVER;
      }
    })
    .pipe(Cursor)
    .safeParse(cursor);
  if (parsed.success) return parsed.data;
  throw integrationProblem('integration_protocol', 'Cannot continue the walk of the devices: its cursor is of another version; begin anew');
}

/** Eight characters of base64 are 48 bits: two of 200 ids are equal once in 14 thousand million pages. */
function short(id: string): string {
  return createHash('sha256').update(id).digest('base64').slice(0, 8);
}

async function readPage(api: VendorApi, page: number, perPage: number, signal: AbortSignal): Promise<{ id: string; record: Fields }[]> {
  const call = { doing: 'list the devices', method: 'GET', path: '/devices', query: { page, per_page: perPage }, signal } as const;
  const records = await readList(api, call, 'devices', page > 0);
  // A record without an id cannot be the same device tomorrow.
  return records.flatMap((record) => {
    const id = idOf(record);
    return id === undefined ? [] : [{ id, record }];
  });
}

/** Reads the device as the platform shows it. @throws Problem `integration_not_found` */
export function readRecord(api: VendorApi, externalId: string, signal: AbortSignal): Promise<Fields> {
  return readObject(api, { doing: 'read the device', method: 'GET', path: pathOf`/devices/${externalId}`, signal });
}

/** @returns undefined for a device that is gone */
export async function readDevice(api: VendorApi, externalId: string, signal: AbortSignal): Promise<RemoteDevice | undefined> {
  try {
    return await readShown(api, externalId, signal);
  } catch (error) {
    if (isProblem(error, 'integration_not_found')) return undefined;
    throw error;
  }
}

/** @throws Problem `integration_protocol` for a record without an id: an empty answer must not look like a device that has lost its values */
async function readShown(api: VendorApi, externalId: string, signal: AbortSignal): Promise<RemoteDevice> {
  const record = await readRecord(api, externalId, signal);
  if (idOf(record) !== undefined) return toDevice(externalId, record);
  throw integrationProblem('integration_protocol', `Cannot read the device "${externalId}": the answer is no record of a device`);
}

/** A device that is gone counts as deleted: the answer to an earlier request may be lost. */
export async function deleteDevice(api: VendorApi, externalId: string, signal: AbortSignal): Promise<void> {
  try {
    await api.send({ doing: 'delete the device', method: 'DELETE', path: pathOf`/devices/${externalId}`, signal });
  } catch (error) {
    if (!isProblem(error, 'integration_not_found')) throw error;
  }
}

/** Writes the description and the IMEI, each by a call of its own. @returns the device afterwards */
export async function updateDevice(api: VendorApi, externalId: string, changes: Values, signal: AbortSignal): Promise<RemoteDevice> {
  for (const [name, value] of Object.entries(changes)) {
    const path = WRITES[name];
    if (path === undefined)
      throw integrationProblem(
        'integration_unsupported',
        `Cannot write field "${name}" to Mobivisor: its API writes ${Object.keys(WRITES).join(' and ')} only`,
      );
    // The platform refuses an empty text, so that a value cannot be removed.
    if (typeof value !== 'string' || value === '')
      throw integrationProblem('integration_rejected', `Cannot write field "${name}" to Mobivisor: must be a text that is not empty`);
    await api.send({ doing: `write the ${name} of the device`, method: 'PUT', path: path(externalId), body: { [name]: value }, signal });
  }
  return readShown(api, externalId, signal);
}

const WRITES: Readonly<Record<string, (externalId: string) => string>> = {
  description: (externalId) => pathOf`/devices/${externalId}/description`,
  imei: (externalId) => pathOf`/devices/${externalId}/imei`,
};

function toDevice(externalId: string, record: Fields): RemoteDevice {
  const values = Object.fromEntries(
    Object.keys(FIELDS).flatMap((name): [string, Json][] => {
      const value = record[name];
      return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [[name, value]] : [];
    }),
  );
  return {
    externalId,
    identities: identitiesOf(record),
    values: { name: externalId, ...values },
    connectivity: connectivityOf(record.status),
    lastSeenAt: null,
    details: typeof record.environment === 'string' ? { environment: record.environment } : {},
    updatedAt: null,
  };
}

/** A serial number stays with the hardware when the device is enrolled again. An IMEI can be edited, so it comes second. */
function identitiesOf({ serialNumber, imei }: Fields): Identity[] {
  const identities: Identity[] = [];
  if (typeof serialNumber === 'string' && serialNumber.trim().length >= 6)
    identities.push({ kind: 'hardware', value: `serial:${serialNumber.trim()}` });
  if (typeof imei === 'string' && /^\d{14,16}$/.test(imei)) identities.push({ kind: 'hardware', value: `imei:${imei}` });
  return identities;
}

/** The platform's words for a status are not published. A word that names a connection is believed, and no other. */
function connectivityOf(status: Json | undefined): RemoteDevice['connectivity'] {
  if (typeof status !== 'string') return 'unknown';
  if (/^(?:online|connected)$/i.test(status)) return 'online';
  return /^(?:offline|disconnected)$/i.test(status) ? 'offline' : 'unknown';
}
