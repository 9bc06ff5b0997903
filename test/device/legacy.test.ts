import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { telemetryReports } from '../../src/api/legacy/devices.ts';
import { metricsOf, sampledAt } from '../../src/api/legacy/schemas.ts';
import { readOpenApi } from '../support/openapi.ts';
import { type Answer, type Api, openService, type TestService } from '../support/service.ts';

let service: TestService;
let api: Api;
let site: string;

beforeAll(async () => {
  service = await openService();
  api = service.api;
  site = (await api('POST', '/sites', { name: 'store 1' })).body.id;
});
afterAll(() => service.close());

let count = 0;

/** Registers a device with the legacy protocol and returns a client with its credentials. */
async function register(fields: Record<string, unknown> = {}) {
  count += 1;
  const device_id = `pos-${count}`;
  const answer = await api('POST', `/devices/sites/${site}/devices`, {
    device_id,
    name: 'Till',
    device_type: 'pos',
    ip_address: '10.0.0.7',
    ...fields,
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  const headers = { 'x-device-id': device_id, 'x-api-key': answer.body.api_key as string };
  const call = service.apiAs(undefined);
  const as: Api = (method, path, body) => call(method, path, body, headers);
  return { id: device_id, key: headers['x-api-key'], body: answer.body, as };
}

async function dashboard(method: string, path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${service.url}/api${path}`, {
    method,
    headers: { authorization: 'Bearer test-admin-token-of-32-characters', ...headers },
  });
  const body: Answer['body'] = await response.json();
  return { status: response.status, type: response.headers.get('content-type'), body };
}

test('a device is registered below a site, by its id or name, and gets its key once', async () => {
  const device = await register();
  expect(device.body).toMatchObject({
    device_id: device.id,
    name: 'Till',
    device_type: 'pos',
    ip_address: '10.0.0.7',
    site_id: site,
    status: 'OFFLINE',
  });
  const shown = await api('GET', `/devices/${device.id}`);
  expect(shown.body).toMatchObject({ siteId: site, type: 'pos', labels: { ip_address: '10.0.0.7' } });
  expect(JSON.stringify(shown.body)).not.toContain(device.key);
  const named = await api('POST', '/devices/sites/store%201/devices', { device_id: 'pos-by-name' });
  expect(named.body).toMatchObject({ site_id: site, name: 'pos-by-name', ip_address: null });
  expect((await api('POST', '/devices/sites/nowhere/devices', { device_id: 'pos-x' })).status).toBe(404);
  expect((await api('POST', `/devices/sites/${site}/devices`, { device_id: device.id })).status).toBe(409);
});

test('a command passes from pending over sent to completed, and operators get it in the terms of their own API', async () => {
  const device = await register();
  const queued = await api('POST', `/devices/${device.id}/commands`, { command_type: 'run_command', payload: { command: 'ls' } });
  expect(queued.status).toBe(201);
  expect(queued.body).toMatchObject({ command_type: 'run_command', payload: { command: 'ls' }, status: 'pending' });
  const ours = await api('POST', `/devices/${device.id}/commands`, { type: 'ping' });
  expect(ours.body).toMatchObject({ type: 'ping', state: 'queued' });

  const pending = await device.as('GET', '/devices/pending');
  expect(pending.status).toBe(200);
  expect(pending.body.map((command: { command_id: string }) => command.command_id)).toEqual([queued.body.command_id, ours.body.id]);
  expect((await device.as('GET', '/devices/pending')).body).toEqual(pending.body);

  const path = `/devices/${device.id}/commands/${queued.body.command_id}`;
  expect((await device.as('POST', `${path}/ack`)).body.status).toBe('sent');
  expect((await device.as('GET', '/devices/pending')).body).toHaveLength(1);
  const done = { status: 'completed', result: { output: 'a b' }, executed_at: '2026-01-01T00:00:00.123456' };
  expect((await device.as('PUT', `${path}/status`, done)).body).toMatchObject({ status: 'completed', result: { output: 'a b' } });
  expect((await device.as('PUT', `${path}/status`, done)).status).toBe(200);
  expect((await device.as('POST', `${path}/ack`)).body.status).toBe('completed');
  const changed = await device.as('PUT', `${path}/status`, { status: 'failed' });
  expect([changed.status, changed.body.code]).toEqual([409, 'command_closed']);
  const listed = (await api('GET', `/devices/${device.id}/commands`)).body.items.find(
    (item: { id: string }) => item.id === queued.body.command_id,
  );
  expect(listed).toMatchObject({ state: 'completed', result: { output: 'a b' } });
  const types = (await api('GET', `/devices/${device.id}/events`)).body.items.map((event: { type: string }) => event.type);
  expect(types).toEqual(expect.arrayContaining(['command.queued', 'command.state']));
});

test('a command body names its type once, in either API version', async () => {
  const device = await register();
  for (const body of [{}, { type: 'ping', command_type: 'ping' }, { type: 'ping', extra: 1 }]) {
    expect((await api('POST', `/devices/${device.id}/commands`, body)).status).toBe(400);
  }
  const unknown = await api('POST', `/devices/${device.id}/commands`, { command_type: 'format_disk' });
  expect(unknown.body.code).toBe('invalid_request');
});

test('an expired command is no longer pending and cannot be acknowledged', async () => {
  const device = await register();
  const { command_id } = (await api('POST', `/devices/${device.id}/commands`, { command_type: 'ping' })).body;
  await service.database.sql`update commands set expires_at = now() - interval '1 second', state = 'expired' where id = ${command_id}`;
  expect((await device.as('GET', '/devices/pending')).body).toEqual([]);
  expect((await device.as('POST', `/devices/${device.id}/commands/${command_id}/ack`)).status).toBe(409);
});

test('a device can read and change only its own commands', async () => {
  const [one, other] = [await register(), await register()];
  const { command_id } = (await api('POST', `/devices/${one.id}/commands`, { command_type: 'ping' })).body;
  expect((await other.as('GET', '/devices/pending')).body).toEqual([]);
  for (const id of [one.id, other.id]) {
    expect((await other.as('POST', `/devices/${id}/commands/${command_id}/ack`)).status).toBe(404);
    expect((await other.as('PUT', `/devices/${id}/commands/${command_id}/status`, { status: 'completed' })).status).toBe(404);
  }
  expect((await other.as('POST', '/agent/heartbeat', { device_id: one.id })).status).toBe(404);
  expect((await other.as('POST', '/analytics/device-metrics', { device_id: one.id, cpu_percent: 1 })).status).toBe(404);
  expect((await one.as('GET', '/devices/pending')).body[0].status).toBe('pending');
  expect((await api('GET', `/devices/${one.id}`)).body.connectivity).toBe('unknown');
});

test('wrong device credentials are refused, and so is a bearer token', async () => {
  const [one, other] = [await register(), await register()];
  const call = service.apiAs(undefined);
  const attempts: Record<string, string>[] = [
    {},
    { 'x-device-id': one.id },
    { 'x-device-id': one.id, 'x-api-key': other.key },
    { 'x-device-id': one.id, 'x-api-key': 'guess' },
  ];
  for (const headers of attempts) {
    expect((await call('GET', '/devices/pending', undefined, headers)).status).toBe(401);
    expect((await call('POST', '/agent/heartbeat', {}, headers)).status).toBe(401);
  }
  expect((await api('GET', '/devices/pending')).status).toBe(401);
  expect((await one.as('GET', `/devices/${one.id}`)).status).toBe(401);
  expect((await api('POST', '/devices', { id: 'pending' })).status).toBe(400);
});

test('a heartbeat marks a device as online and does not change its reported bundle', async () => {
  const device = await register();
  const digest = 'a'.repeat(64);
  await service.database.sql`update devices set reported_bundle = ${digest}, sync_status = 'in_sync' where id = ${device.id}`;
  const answer = await device.as('POST', '/agent/heartbeat', { device_id: device.id, timestamp: '2026-01-01T00:00:00' });
  expect(answer.body).toMatchObject({ status: 'ok', device_id: device.id });
  const shown = (await api('GET', `/devices/${device.id}`)).body;
  expect(shown).toMatchObject({ connectivity: 'online', reported: { bundle: digest }, syncStatus: 'in_sync' });
  expect(Date.now() - Date.parse(shown.lastSeenAt)).toBeLessThan(60_000);
});

test('measurements become telemetry: numbers only, extra ones flattened, arrays in their order', async () => {
  const device = await register();
  const sample = {
    device_id: device.id,
    cpu_percent: 12.5,
    network_latency_ms: null,
    extra_metrics: { till: { drawer: 3 }, mode: 'day', cpu_percent: 99 },
  };
  expect((await device.as('POST', '/analytics/device-metrics', sample)).body).toEqual({ accepted: 1 });
  const batch = [1, 2, 3].map((queue_depth) => ({ device_id: device.id, queue_depth }));
  expect((await device.as('POST', '/analytics/device-metrics', batch)).body).toEqual({ accepted: 3 });
  const items = (await api('GET', `/devices/${device.id}/telemetry`)).body.items.map((item: { metrics: unknown }) => item.metrics);
  expect(items).toEqual([{ queue_depth: 3 }, { queue_depth: 2 }, { queue_depth: 1 }, { cpu_percent: 12.5, 'till.drawer': 3 }]);
  expect((await device.as('POST', '/analytics/device-metrics', { cpu_percent: 'much' })).status).toBe(400);
  expect((await device.as('POST', '/analytics/device-metrics', [])).status).toBe(400);
});

test('a result with a character that the database cannot store is refused as an error of the request', async () => {
  const device = await register();
  const { command_id } = (await api('POST', `/devices/${device.id}/commands`, { command_type: 'ping' })).body;
  const answer = await device.as('PUT', `/devices/${device.id}/commands/${command_id}/status`, { status: 'completed', result: 'a\u0000b' });
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
});

test('dashboards list, start, stop and refresh devices and get the legacy status values', async () => {
  const source = await api('POST', '/sources', {
    name: 'seed',
    url: 'http://127.0.0.1:9/none.git',
    ref: 'main',
    layout: 'repo',
    pollIntervalSeconds: 300,
  });
  const device = await register();
  await api('PATCH', `/devices/${device.id}`, { sourceId: source.body.id });
  await device.as('POST', '/agent/heartbeat', {});
  const started = await dashboard('POST', `/devices/${device.id}/start`);
  expect(started.body).toMatchObject({ device_id: device.id, status: 'ONLINE', timestamp: expect.any(String) });
  const listed = (await dashboard('GET', '/devices')).body.find((item: { id: string }) => item.id === device.id);
  expect(listed).toMatchObject({ status: 'ONLINE', auto_update: true, check_interval: 300, branch: 'main' });
  expect((await dashboard('POST', `/devices/${device.id}/refresh`)).status).toBe(200);
  expect((await dashboard('POST', `/devices/${device.id}/stop`)).status).toBe(200);
  const status = (await dashboard('GET', `/devices/${device.id}/status`)).body;
  expect(status).toMatchObject({ status: 'ONLINE', auto_update: false, logs: [] });
  await service.database.sql`update devices set sync_status = 'failed' where id = ${device.id}`;
  expect((await dashboard('GET', `/devices/${device.id}/status`)).body.status).toBe('ERROR');
  const actions = (await api('GET', `/audit?subject=device:${device.id}`)).body.items.map((entry: { action: string }) => entry.action);
  expect(actions).toEqual(['device.stop', 'device.refresh', 'device.start', 'device.change', 'device.register']);
});

test('dashboards need a token with a sufficient role, and a missing device gives a problem document', async () => {
  const device = await register();
  expect((await dashboard('GET', '/devices', { authorization: '' })).status).toBe(401);
  const { token } = (await api('POST', '/tokens', { name: 'wall', role: 'viewer' })).body;
  const viewer = { authorization: `Bearer ${token}` };
  expect((await dashboard('GET', '/devices', viewer)).status).toBe(200);
  expect((await dashboard('POST', `/devices/${device.id}/start`, viewer)).status).toBe(403);
  const missing = await dashboard('GET', '/devices/no-such/status');
  expect([missing.status, missing.type]).toEqual([404, 'application/problem+json']);
  expect((await dashboard('GET', `/devices/${device.id}/preview`)).body.code).toBe('not_bound');
});

test('the last hundred log lines of a device are in its status, oldest first', async () => {
  const device = await register();
  const lines = Array.from({ length: 101 }, (_, index) => ({ organization: index, message: `line ${index}` }));
  const [{ organization_id }] = await service.database.sql<
    [{ organization_id: string }]
  >`select organization_id from devices where id = ${device.id}`;
  for (const { message } of lines)
    await service.database
      .sql`insert into device_logs (organization_id, device_id, at, level, message) values (${organization_id}, ${device.id}, now(), 'info', ${message})`;
  const { logs } = (await dashboard('GET', `/devices/${device.id}/status`)).body;
  expect(logs).toHaveLength(100);
  expect([logs[0].message, logs.at(-1).message]).toEqual(['line 1', 'line 100']);
});

test('the operations below /api/v1 are in the OpenAPI document, those of devices with their own credentials', async () => {
  const { operations } = await readOpenApi(service.url);
  const found = (path: string) => operations.find((operation) => operation.path === `/api/v1${path}`)?.operation;
  const fromDevices = [
    '/devices/pending',
    '/devices/{device_id}/commands/{command_id}/ack',
    '/devices/{device_id}/commands/{command_id}/status',
    '/agent/heartbeat',
    '/analytics/device-metrics',
  ];
  for (const path of fromDevices) expect(found(path)?.security, path).toEqual([{ deviceId: [], deviceKey: [] }]);
  expect(found('/devices/sites/{site_id}/devices')).toBeDefined();
});

test('samples have the device’s time if it is plausible, and never two at the same time', () => {
  const now = new Date('2026-05-01T12:00:00Z');
  const at = (timestamp: string | number | null) => sampledAt({ timestamp }, now).toISOString();
  expect(at('2026-05-01T11:00:00.123456')).toBe('2026-05-01T11:00:00.123Z');
  expect(at('2026-05-01T11:00:00+02:00')).toBe('2026-05-01T09:00:00.000Z');
  expect(at(now.getTime() / 1000 - 60)).toBe('2026-05-01T11:59:00.000Z');
  for (const wrong of ['soon', '2027-01-01T00:00:00Z', '1970-01-01T00:00:09Z', 0, 1e300, null]) expect(at(wrong)).toBe(now.toISOString());
  const times = telemetryReports([{}, { timestamp: '2026-05-01T12:00:00Z' }, {}], now).map((report) => report.at);
  expect(times).toEqual(['2026-05-01T11:59:59.998Z', '2026-05-01T11:59:59.999Z', '2026-05-01T12:00:00.000Z']);
});

test('only finite numbers under short names are kept of any measurements', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (extra) => {
      const metrics = metricsOf({ cpu_percent: 5, extra_metrics: extra });
      expect(metrics.cpu_percent).toBe(5);
      expect(Object.keys(metrics).length).toBeLessThanOrEqual(200);
      for (const [name, value] of Object.entries(metrics)) {
        expect(name.length).toBeLessThanOrEqual(64);
        expect(Number.isFinite(value)).toBe(true);
      }
    }),
  );
});
