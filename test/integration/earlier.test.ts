import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Api, eventually, openService, type TestService } from '../support/service.ts';

let service: TestService;
let api: Api;
beforeAll(async () => {
  service = await openService();
  api = service.api;
});
afterAll(() => service.close());

const PATH = '/profile/integrations';
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);

test('nothing to sync is refused with 400', async () => {
  expect(await api('POST', `${PATH}/sync-all`)).toMatchObject({ status: 400, body: { detail: expect.stringContaining('there are none') } });
});

test('the journey of the earlier system: read, add two, list, change, status, primary, sync all, remove', async () => {
  expect((await api('GET', PATH)).body).toEqual({ primary_device: 'manual', devices_enabled: true, devices: [] });
  const strava = await api('POST', PATH, { device_type: 'strava', device_name: 'My Strava' });
  expect(strava).toMatchObject({
    status: 201,
    body: {
      device_id: 'strava',
      device_type: 'strava',
      device_name: 'My Strava',
      sync_config: { sync_interval_hours: 2, auto_sync_enabled: true, last_sync: null, sync_error: null },
      is_primary: true,
      connected_at: time,
    },
  });
  const apple = { device_type: 'apple', device_name: 'My watch', sync_interval_hours: 4, auto_sync_enabled: false };
  expect(await api('POST', PATH, apple)).toMatchObject({ status: 201, body: { device_id: 'apple', is_primary: false } });
  expect((await api('GET', PATH)).body).toMatchObject({
    primary_device: 'strava',
    devices_enabled: true,
    devices: [{ device_id: 'strava' }, { device_id: 'apple', sync_config: { sync_interval_hours: 4, auto_sync_enabled: false } }],
  });
  const changed = await api('PUT', `${PATH}/apple`, { device_name: 'Watch', sync_interval_hours: 6, auto_sync_enabled: true });
  expect(changed).toMatchObject({
    status: 200,
    body: { device_name: 'Watch', sync_config: { sync_interval_hours: 6, auto_sync_enabled: true } },
  });
  expect(await api('GET', `${PATH}/apple/sync-status`)).toMatchObject({ status: 200, body: { device_id: 'apple' } });
  expect(await api('POST', `${PATH}/apple/set-primary`)).toMatchObject({ status: 200, body: { primary_device: 'apple' } });
  expect((await api('GET', PATH)).body.primary_device).toBe('apple');
  expect(await api('POST', `${PATH}/sync-all`)).toMatchObject({
    status: 200,
    body: { message: expect.any(String), results: { strava: 'queued', apple: 'queued' } },
  });
  expect((await api('DELETE', `${PATH}/strava`)).status).toBe(204);
  expect((await api('GET', PATH)).body).toMatchObject({ primary_device: 'apple', devices: [{ device_id: 'apple', is_primary: true }] });
  expect((await api('DELETE', `${PATH}/apple`)).status).toBe(400);
});

test('ids count up, the primary falls to the next one, and the last one cannot go', async () => {
  for (const device_name of ['A', 'B']) await api('POST', PATH, { device_type: 'manual', device_name });
  expect((await api('GET', PATH)).body.devices.map(({ device_id }: { device_id: string }) => device_id)).toEqual([
    'apple',
    'manual',
    'manual_2',
  ]);
  expect((await api('DELETE', `${PATH}/apple`)).status).toBe(204);
  expect((await api('GET', PATH)).body.primary_device).toBe('manual');
});

test('to sync all leaves out one that is not synced by itself, and is refused with 400 while syncing is off', async () => {
  expect((await api('PUT', `${PATH}/manual_2`, { auto_sync_enabled: false })).status).toBe(200);
  expect((await api('POST', `${PATH}/sync-all`)).body.results).toEqual({ manual: 'queued', manual_2: 'skipped_disabled' });
  expect((await api('PUT', '/integrations/settings', { syncingEnabled: false })).status).toBe(200);
  expect(await api('POST', `${PATH}/sync-all`)).toMatchObject({ status: 400, body: { detail: expect.stringContaining('switched off') } });
  expect((await api('PUT', '/integrations/settings', { syncingEnabled: true })).status).toBe(200);
});

test('a manual integration syncs with success; one without an address says what is missing', async () => {
  await api('POST', PATH, { device_type: 'garmin', device_name: 'G' });
  await api('POST', `${PATH}/sync-all`);
  const statusOf = async (id: string, status: string) =>
    eventually(`${id} is ${status}`, async () => {
      const { body } = await api('GET', `${PATH}/${id}/sync-status`);
      return body.sync_status === status && body;
    });
  expect(await statusOf('manual', 'success')).toMatchObject({ last_sync: time, next_sync: time, message: null });
  expect((await statusOf('garmin', 'error')).message).toContain('set settings.baseUrl');
});

test.each([
  [{ device_type: 'fitbit', device_name: 'F' }, 'must be one of garmin, xiaomi, strava, apple, manual'],
  [{ device_type: 'garmin', device_name: '' }, '/device_name'],
  [{ device_type: 'garmin', device_name: 'G', sync_interval_hours: 25 }, '/sync_interval_hours'],
  [{ device_type: 'garmin', device_name: 'G', sync_interval_hours: 0 }, '/sync_interval_hours'],
])('%j is refused with 400', async (body, reason) => {
  const answer = await api('POST', PATH, body);
  expect(answer.status).toBe(400);
  expect(JSON.stringify(answer.body)).toContain(reason);
});

test('an unknown one is not found', async () => {
  for (const [method, path] of [
    ['PUT', `${PATH}/none`],
    ['DELETE', `${PATH}/none`],
    ['GET', `${PATH}/none/sync-status`],
    ['POST', `${PATH}/none/set-primary`],
  ] as const)
    expect((await api(method, path, method === 'PUT' ? {} : undefined)).status).toBe(404);
});
