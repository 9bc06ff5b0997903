import { z } from 'zod';
import { type Json, JsonValue } from '../../../wire/text/json.ts';
import type { Identity } from '../../integration.ts';
import { integrationProblem } from '../../problems.ts';
import type { ConfigurationVerdict, FieldTraits, RemoteDevice, RemotePage, Values } from '../../provider.ts';
import { type Golioth, listOf, PER_PAGE, projectPath, unlessMissing } from './api.ts';
import type { Names } from './names.ts';

export const FIELDS = {
  name: { kind: 'scalar', writable: true, title: 'Name' },
  enabled: { kind: 'scalar', writable: true, title: 'Enabled' },
  tags: { kind: 'set', writable: true, title: 'Tags' },
  blueprint: { kind: 'scalar', writable: false, title: 'Blueprint' },
  cohort: { kind: 'scalar', writable: false, title: 'Cohort' },
} as const satisfies Record<string, FieldTraits>;

const Time = z.coerce.date().optional().catch(undefined);
const Verdict = z.object({
  status: z.string().optional(),
  // Numbers of 64 bits may be texts.
  reportedVersion: z.coerce.number().optional().catch(undefined),
  syncTime: Time,
  statusDetail: z.string().optional().catch(undefined),
  errors: z
    .array(
      z.object({
        key: z.string().catch(''),
        code: z.coerce.number().catch(0),
        codeDescription: z.string().catch(''),
        deviceDetails: z.string().catch(''),
      }),
    )
    .catch([])
    .default([]),
});
export type SettingsStatus = z.output<typeof Verdict>;

export const Device = z.object({
  id: z.string().min(1),
  name: z.string(),
  hardwareIds: z.array(z.string()).default([]),
  tagIds: z.array(z.string()).default([]),
  blueprintId: z.string().optional(),
  cohortId: z.string().nullish(),
  certificateId: z.string().optional(),
  enabled: z.boolean().default(true),
  updatedAt: Time,
  data: JsonValue.optional(),
  metadata: z.object({ lastReport: Time, lastSeenOnline: Time, lastSettingsStatus: Verdict.optional().catch(undefined) }).default({}),
});
export type GoliothDevice = z.output<typeof Device>;
const One = z.object({ data: Device });

/** `statePath`: each device comes with its LightDB State at that path. `onlineAfterSeconds`: a device is online while it was heard of within this time. */
export type DeviceOptions = { statePath: string; onlineSeconds: number };

/** The pages of a larger count would not fit into memory. */
const MAX_DEVICES = 1_000_000;

/** Reads a page of 100 devices with their state. The cursor is the number of the page. */
export async function listDevices(
  golioth: Golioth,
  names: Names,
  options: DeviceOptions,
  cursor: string | null,
  signal: AbortSignal,
): Promise<RemotePage> {
  const page = cursor === null ? 0 : Number(cursor);
  const query = { page, perPage: PER_PAGE, statePath: options.statePath };
  const call = { doing: 'list the devices', method: 'GET', path: projectPath(golioth, 'devices'), query, signal } as const;
  const { list, total = list.length } = await golioth.read(call, listOf(Device));
  if (total > MAX_DEVICES)
    throw integrationProblem('integration_protocol', `Cannot list the devices: the platform counts ${total}, more than ${MAX_DEVICES}`);
  const pages = Math.ceil(total / PER_PAGE);
  const devices = await Promise.all(list.map((device) => toRemote(device, names, options, signal)));
  return {
    devices,
    // Devices that are deleted during the walk shift the pages: a full page may have one after it, whatever the total said at first.
    next: page + 1 < pages || list.length === PER_PAGE ? String(page + 1) : null,
    total,
    following: page === 0 ? Array.from({ length: Math.max(0, pages - 1) }, (_, index) => String(index + 1)) : undefined,
  };
}

/** @returns undefined for a device that does not exist */
export async function findDevice(golioth: Golioth, externalId: string, signal: AbortSignal): Promise<GoliothDevice | undefined> {
  const path = projectPath(golioth, 'devices', externalId);
  const call = { doing: `read device "${externalId}"`, method: 'GET', path, signal } as const;
  return (await golioth.read(call, One).catch(unlessMissing(undefined)))?.data;
}

export async function readDevice(
  golioth: Golioth,
  names: Names,
  options: DeviceOptions,
  externalId: string,
  signal: AbortSignal,
): Promise<RemoteDevice | undefined> {
  const path = projectPath(golioth, 'devices', externalId);
  const call = { doing: `read device "${externalId}"`, method: 'GET', path, query: { statePath: options.statePath }, signal } as const;
  const found = (await golioth.read(call, One).catch(unlessMissing(undefined)))?.data;
  return found === undefined ? undefined : toRemote(found, names, options, signal);
}

/** Not repeated after a lost answer: the caller looks for the marker, which is a hardware id of the new device, first. */
export async function createDevice(
  golioth: Golioth,
  names: Names,
  options: DeviceOptions,
  { name, values, marker }: { name: string; values: Values; marker: string },
  signal: AbortSignal,
): Promise<RemoteDevice> {
  const tagIds = await names.idsOf(textsIn(values.tags), signal);
  const body = { name, hardwareIds: [marker], ...(tagIds.length === 0 ? {} : { tagIds }) };
  const call = { doing: `create device "${name}"`, method: 'POST', path: projectPath(golioth, 'devices'), body, signal } as const;
  const { data } = await golioth.read(call, One);
  if (values.enabled === false) return updateDevice(golioth, names, options, data.id, { enabled: false }, signal);
  return toRemote(data, names, options, signal);
}

/** Writes the changed fields only, and tags as additions and removals, so that a tag that somebody adds meanwhile stays. */
export async function updateDevice(
  golioth: Golioth,
  names: Names,
  options: DeviceOptions,
  externalId: string,
  changes: Values,
  signal: AbortSignal,
): Promise<RemoteDevice> {
  const doing = `change device "${externalId}"`;
  checkFields(changes);
  const body: { [key: string]: Json } = {};
  if (typeof changes.name === 'string') body.name = changes.name;
  if (typeof changes.enabled === 'boolean') body.enabled = changes.enabled;
  if (changes.tags !== undefined) {
    const present = (await findDevice(golioth, externalId, signal))?.tagIds ?? [];
    const wanted = await names.idsOf(textsIn(changes.tags), signal);
    const [added, removed] = [wanted.filter((id) => !present.includes(id)), present.filter((id) => !wanted.includes(id))];
    if (added.length > 0) body.addTagId = added;
    if (removed.length > 0) body.removeTagId = removed;
  }
  if (Object.keys(body).length > 0)
    await golioth.api.send({ doing, method: 'PATCH', path: projectPath(golioth, 'devices', externalId), body, signal });
  const after = await readDevice(golioth, names, options, externalId, signal);
  if (after === undefined) throw integrationProblem('integration_not_found', `Cannot ${doing}: it does not exist any more`);
  return after;
}

const WRITABLE: Readonly<Record<string, (value: Json) => boolean>> = {
  name: (value) => typeof value === 'string' && value !== '',
  enabled: (value) => typeof value === 'boolean',
  tags: (value) => Array.isArray(value) && value.every((tag) => typeof tag === 'string' && tag !== ''),
};

/** A change that is not written must not look like one that is. */
function checkFields(changes: Values): void {
  for (const [field, value] of Object.entries(changes)) {
    const fits = WRITABLE[field];
    if (fits === undefined)
      throw integrationProblem(
        'integration_unsupported',
        `Cannot write field "${field}" to Golioth: must be one of ${Object.keys(WRITABLE).join(', ')}`,
      );
    if (!fits(value))
      throw integrationProblem(
        'integration_rejected',
        `Cannot write field "${field}" to Golioth: its value has the wrong type, or is empty`,
      );
  }
}

export async function deleteDevice(golioth: Golioth, externalId: string, signal: AbortSignal): Promise<void> {
  const path = projectPath(golioth, 'devices', externalId);
  await golioth.api.send({ doing: `delete device "${externalId}"`, method: 'DELETE', path, signal }).catch(unlessMissing(undefined));
}

function textsIn(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

async function toRemote(device: GoliothDevice, names: Names, { onlineSeconds }: DeviceOptions, signal: AbortSignal): Promise<RemoteDevice> {
  const { id, name, enabled, metadata, data } = device;
  const tags = await Promise.all(device.tagIds.map((tag) => names.tag(tag, signal)));
  const values: Values = { name, enabled, tags: tags.toSorted() };
  if (device.blueprintId !== undefined) values.blueprint = await names.blueprint(device.blueprintId, signal);
  if (typeof device.cohortId === 'string' && device.cohortId !== '') values.cohort = await names.cohort(device.cohortId, signal);
  const verdict = verdictOf(metadata.lastSettingsStatus);
  return {
    externalId: id,
    identities: identitiesOf(device),
    values,
    ...livenessOf(metadata, onlineSeconds),
    ...(data === undefined ? {} : { state: data }),
    ...(verdict === undefined ? {} : { verdict }),
    // Times of contact change with every report, and a device with changed details is written anew.
    details: { hardwareIds: device.hardwareIds },
    updatedAt: device.updatedAt ?? null,
  };
}

/** By certificate, then by hardware id. A name changes, and gets a random suffix where it is taken. */
function identitiesOf({ certificateId, hardwareIds }: GoliothDevice): Identity[] {
  const hardware = hardwareIds.map((value) => ({ kind: 'hardware' as const, value }));
  return certificateId === undefined ? hardware : [{ kind: 'certificate', value: certificateId }, ...hardware];
}

/** The platform has no flag for it: its own `status` is always `-`. */
function livenessOf({ lastReport, lastSeenOnline }: GoliothDevice['metadata'], onlineSeconds: number) {
  const last = Math.max(lastReport?.getTime() ?? 0, lastSeenOnline?.getTime() ?? 0);
  if (last === 0) return { connectivity: 'unknown' as const, lastSeenAt: null };
  const isOnline = Date.now() - last < onlineSeconds * 1000;
  return { connectivity: isOnline ? ('online' as const) : ('offline' as const), lastSeenAt: new Date(last) };
}

function verdictOf(status: SettingsStatus | undefined): ConfigurationVerdict | undefined {
  if (status === undefined) return undefined;
  const known = { 'in-sync': 'in_sync', 'out-of-sync': 'out_of_sync' } as const;
  const errors = status.errors.map((error) => ({ key: error.key, code: String(error.code), detail: describe(error) }));
  return { status: known[status.status as keyof typeof known] ?? 'unknown', at: status.syncTime ?? null, errors };
}

/** Codes of the device's SDK. */
const CODES = ['ok', 'unknown key', 'invalid key', 'wrong format', 'out of range', 'text too long', 'failed'];

export function describe({ code, codeDescription, deviceDetails }: SettingsStatus['errors'][number]): string {
  const said = codeDescription === '' ? (CODES[code] ?? `code ${code}`) : codeDescription;
  return deviceDetails === '' ? said : `${said} (${deviceDetails})`;
}
