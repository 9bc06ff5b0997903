import { isProblem, Problem } from '../../../errors.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { ConnectVendor, VendorApi } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import type { CommandOutcome, Platform } from '../../provider.ts';
import { bodyOf, createReader, gapsIn, listPage, type Reader, readOne } from './devices.ts';
import { createHook } from './hook.ts';
import { filled, pathOf, placed } from './paths.ts';
import { createPush } from './push.ts';
import type { Description } from './settings.ts';

export type RestCredentials = { token?: string | undefined; user?: string | undefined; password?: string | undefined };

const SAMPLE = 5;

/** @throws Problem `integration_rejected` for credentials that the way of authentication lacks */
export function openRest(baseUrl: string, description: Description, credentials: RestCredentials, connect: ConnectVendor): Platform {
  const api = authenticated(baseUrl, description, credentials, connect);
  const reader = createReader(baseUrl, description);
  const { list, read, create, update, command, configuration, hook } = description;
  return {
    test: async (signal) => {
      const page = await listPage(api, reader, null, signal, true);
      const { devices, total } = page;
      return { account: new URL(baseUrl).host, devices: total, sample: devices.slice(0, SAMPLE), gaps: gapsIn(description, page) };
    },
    ...(list && { list: (cursor, signal) => listPage(api, reader, cursor, signal) }),
    ...(read && { read: (externalId, signal) => readOne(api, reader, externalId, signal) }),
    ...(create && { create: (device, signal) => createOne(api, reader, device, signal) }),
    ...(update && read && { update: (externalId, changes, signal) => updateOne(api, reader, externalId, changes, signal) }),
    ...(description.delete && { delete: (externalId, signal) => remove(api, description, externalId, signal) }),
    ...(command && {
      execute: ({ externalId }, { type, payload }, signal) => execute(api, command, externalId, { type, payload }, signal),
    }),
    ...(command?.outcome && { outcome: ({ externalId }, reference, signal) => outcomeOf(api, command, externalId, reference, signal) }),
    ...(configuration && { push: createPush(api, configuration) }),
    ...(hook && { hook: createHook(hook) }),
  };
}

function authenticated(
  baseUrl: string,
  { auth, timeoutSeconds }: Description,
  credentials: RestCredentials,
  connect: ConnectVendor,
): VendorApi {
  const { token, user, password } = credentials;
  const need = (what: string): never => {
    throw integrationProblem('integration_unauthorized', `Cannot call the platform: auth "${auth.kind}" needs the credential "${what}"`);
  };
  const headers: Record<string, string> = {};
  if (auth.kind === 'bearer') headers.authorization = `Bearer ${token ?? need('token')}`;
  if (auth.kind === 'header') headers[auth.name.toLowerCase()] = token ?? need('token');
  if (auth.kind === 'basic')
    headers.authorization = `Basic ${Buffer.from(`${user ?? need('user')}:${password ?? need('password')}`).toString('base64')}`;
  const secrets = [token, password].filter((secret) => secret !== undefined);
  const api = connect({ baseUrl, headers, secrets, timeoutMs: timeoutSeconds * 1000 });
  if (auth.kind !== 'query') return api;
  const key = { [auth.name]: token ?? need('token') };
  return { send: (call) => api.send({ ...call, query: { ...call.query, ...key } }) };
}

async function createOne(
  api: VendorApi,
  reader: Reader,
  { name, values, marker }: Parameters<NonNullable<Platform['create']>>[0],
  signal: AbortSignal,
) {
  const { create } = reader.description;
  const doing = `create device "${name}"`;
  const placedMarker = create?.markerPointer === undefined ? {} : placed([[create.markerPointer, marker]]);
  const body = { ...bodyOf(reader.description, { name, ...values }), ...placedMarker };
  const answer = await api.send({ doing, method: create?.method ?? 'POST', path: create?.path ?? '/', body, isIdempotent: false, signal });
  const item = pathOf(create?.item ?? '$').first(answer.body ?? null);
  const device = item === undefined ? undefined : reader.toRemote(item);
  if (device !== undefined) return device;
  throw integrationProblem('integration_protocol', `Cannot ${doing}: nothing with an id is at "${create?.item}" of the answer`);
}

async function updateOne(api: VendorApi, reader: Reader, externalId: string, changes: Record<string, Json>, signal: AbortSignal) {
  const { update } = reader.description;
  const doing = `change device "${externalId}"`;
  const path = filled(update?.path ?? '/{id}', { id: externalId });
  await api.send({ doing, method: update?.method ?? 'PATCH', path, body: bodyOf(reader.description, changes), isIdempotent: true, signal });
  const after = await readOne(api, reader, externalId, signal);
  if (after !== undefined) return after;
  throw integrationProblem('integration_not_found', `Cannot ${doing}: the platform does not show it any more`);
}

async function remove(api: VendorApi, description: Description, externalId: string, signal: AbortSignal): Promise<void> {
  const path = filled(description.delete?.path ?? '/{id}', { id: externalId });
  await api.send({ doing: `delete device "${externalId}"`, method: 'DELETE', path, signal }).catch((error: unknown) => {
    if (!isProblem(error, 'integration_not_found')) throw error;
  });
}

type CommandCall = NonNullable<Description['command']>;

async function execute(
  api: VendorApi,
  { method, path, typePointer, payloadPointer, reference }: CommandCall,
  id: string,
  { type, payload }: { type: string; payload: Record<string, Json> },
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const body = placed([
    [typePointer, type],
    [payloadPointer, payload],
  ]);
  const call = { doing: `send command "${type}"`, method, path: filled(path, { id, type }), body, isIdempotent: false, signal } as const;
  const answer = await api.send(call).catch(refusedByDevice);
  if (answer instanceof Problem) return { state: 'failed', result: { code: answer.code, detail: answer.message } };
  if (reference === undefined) return { state: 'completed', result: answer.body ?? {} };
  const found = pathOf(reference).first(answer.body ?? null);
  if (typeof found === 'string' || typeof found === 'number') return { state: 'sent', reference: String(found), result: answer.body };
  throw integrationProblem('integration_protocol', `Cannot follow command "${type}": no reference is at "${reference}" of the answer`);
}

/** Platforms answer so for a device that is away or does not take the command. */
function refusedByDevice(error: unknown): Problem {
  if (isProblem(error, 'integration_conflict', 'integration_rejected', 'integration_not_found')) return error;
  throw error;
}

async function outcomeOf(
  api: VendorApi,
  { outcome }: CommandCall,
  id: string,
  reference: string,
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const path = filled(outcome?.path ?? '/', { id, reference });
  const { body = null } = await api.send({ doing: 'read the outcome of a command', method: 'GET', path, signal });
  const status = pathOf(outcome?.status ?? '$').first(body);
  const isOneOf = (values: readonly Json[] = []) => values.some((one) => one === status);
  if (isOneOf(outcome?.completed)) return { state: 'completed', result: body };
  if (isOneOf(outcome?.failed)) return { state: 'failed', result: body };
  return { state: 'sent', reference, result: body };
}
