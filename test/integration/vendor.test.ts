import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type MobivisorServer, startMobivisor } from '../../src/demo/vendors/mobivisor/server.ts';
import { type Answering, serveVendor } from '../../src/demo/vendors/vendor-server.ts';
import { BUILT_IN, createProviders } from '../../src/integration/registry.ts';
import { insertExternalDevice } from '../support/external-device.ts';
import { type Api, openService, type TestService } from '../support/service.ts';
import { testPlatform } from '../support/test-platform.ts';

let service: TestService;
let api: Api;
let vendor: Answering;
let facts: unknown;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' }, { providers: createProviders([testPlatform, ...BUILT_IN.all()]) });
  api = service.api;
  vendor = await serveVendor(({ path, query }) => ({ status: 200, body: { path, query: Object.fromEntries(query), facts } as never }));
});
afterAll(async () => {
  await vendor.close();
  await service.close();
});
beforeEach(async () => {
  const { sql } = service.app.services.store;
  await sql`delete from devices`;
  await sql`delete from device_services`;
  vendor.requests.length = 0;
  vendor.faults.length = 0;
  facts = { battery: 81 };
});

async function add(
  deviceId: string,
  externalId: string,
  body: object = { type: 'testing', settings: { apiUrl: vendor.url }, credentials: { token: 'a-token' } },
) {
  const made = await api('POST', '/integrations', body);
  expect(made.status).toBe(201);
  const { sql } = service.app.services.store;
  const known = await sql`select 1 from devices where id = ${deviceId}`;
  if (known.length === 0) await insertExternalDevice(sql, { integrationId: made.body.id, id: deviceId, externalId });
  else
    await sql`
      insert into device_service_assignments (organization_id, service_id, device_id, external_id)
      select organization_id, id, ${deviceId}, ${externalId} from device_services where id = ${made.body.id}`;
  return made.body as { id: string; slug: string };
}

test('a device shows its platform, with its views and abilities', async () => {
  const { id } = await add('till-7', 'e7');
  const answer = await api('GET', '/devices/till-7/vendor');
  expect(answer).toMatchObject({
    status: 200,
    body: {
      deviceId: 'till-7',
      externalId: 'e7',
      integration: { id, slug: 'testing', type: 'testing', title: 'Testing' },
      abilities: { hook: true, push: false },
      views: [
        { name: 'facts', title: 'Facts', cacheSeconds: 60 },
        { name: 'moments', title: 'Moments', cacheSeconds: 0 },
      ],
    },
  });
});

test('a view is asked once within its time, for each query', async () => {
  await add('till-7', 'e7');
  const show = (query = '') => api('GET', `/devices/till-7/vendor/facts${query}`);
  const first = await show();
  expect(first).toMatchObject({
    status: 200,
    body: { view: 'facts', title: 'Facts', problem: null, ageSeconds: 0, data: { path: '/facts/e7', facts: { battery: 81 } } },
  });
  facts = { battery: 80 };
  expect((await show()).body).toMatchObject({ at: first.body.at, data: { facts: { battery: 81 } } });
  expect((await show('?page=2')).body.data).toMatchObject({ query: { page: '2' }, facts: { battery: 80 } });
  expect(vendor.requests).toHaveLength(2);
  const parallel = await Promise.all(Array.from({ length: 5 }, () => show('?page=3')));
  expect(parallel.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect(vendor.requests).toHaveLength(3);
});

test('secrets of any platform are replaced', async () => {
  await add('till-7', 'e7');
  facts = { wifiPassword: 'hunter22', deep: [{ apiToken: 'abcdef123456' }], url: 'https://a:sesame12@example.com/' };
  const { body } = await api('GET', '/devices/till-7/vendor/facts');
  expect(body.data.facts).toEqual({ wifiPassword: '[redacted]', deep: [{ apiToken: '[redacted]' }], url: '[redacted]' });
});

describe('while the platform is away', () => {
  test('the last known view is shown with its age and the reason', async () => {
    await add('till-7', 'e7');
    await api('GET', '/devices/till-7/vendor/moments');
    vendor.faults.push({ do: { is: 'answer', response: { status: 500, body: 'out of order' } } });
    const stale = await api('GET', '/devices/till-7/vendor/moments');
    expect(stale).toMatchObject({
      status: 200,
      body: {
        data: { facts: { battery: 81 } },
        problem: { code: 'integration_server_error', detail: expect.stringContaining('out of order') },
      },
    });
    expect((await api('GET', '/devices/till-7/vendor/moments')).body.problem).toBeNull();
  });

  test('without a last known view, the error names the platform', async () => {
    await add('till-7', 'e7');
    vendor.faults.push({ do: { is: 'hang' } });
    const answer = await api('GET', '/devices/till-7/vendor/facts');
    expect(answer).toMatchObject({ status: 504, body: { code: 'integration_timeout' } });
  });

  test('refused credentials block the integration, and the last known view is shown', async () => {
    const { id } = await add('till-7', 'e7');
    await api('GET', '/devices/till-7/vendor/moments');
    vendor.faults.push({ do: { is: 'answer', response: { status: 401, body: 'expired' } } });
    expect((await api('GET', '/devices/till-7/vendor/moments')).body.problem.code).toBe('integration_unauthorized');
    expect((await api('GET', `/integrations/${id}`)).body.state).toBe('blocked');
    const requests = vendor.requests.length;
    expect((await api('GET', '/devices/till-7/vendor/moments')).body.problem.code).toBe('integration_blocked');
    expect(vendor.requests).toHaveLength(requests);
  });

  test('a device that is gone there is no reason for the last known view', async () => {
    await add('till-7', 'e7');
    await api('GET', '/devices/till-7/vendor/moments');
    vendor.faults.push({ do: { is: 'answer', response: { status: 404, body: '' } } });
    expect(await api('GET', '/devices/till-7/vendor/moments')).toMatchObject({ status: 422, body: { code: 'integration_not_found' } });
  });
});

test('a device of several platforms shows the primary one, or the one that is named', async () => {
  await add('till-7', 'e7');
  const second = await add('till-7', 'f7');
  expect((await api('GET', '/devices/till-7/vendor')).body.externalId).toBe('e7');
  expect((await api('GET', '/devices/till-7/vendor?integration=testing_2')).body).toMatchObject({
    externalId: 'f7',
    integration: { id: second.id },
  });
  expect((await api('GET', '/devices/till-7/vendor/facts?integration=testing_2')).body.data).toMatchObject({
    path: '/facts/f7',
    query: {},
  });
  expect((await api('GET', '/devices/till-7/vendor?integration=golioth')).status).toBe(404);
});

test('a device without a platform, an unknown view, and too long a parameter are refused', async () => {
  await add('till-7', 'e7');
  await api('POST', '/devices', { id: 'local-1' });
  expect(await api('GET', '/devices/local-1/vendor')).toMatchObject({
    status: 404,
    body: { detail: 'Cannot find integration of device "local-1"' },
  });
  expect((await api('GET', '/devices/nobody/vendor')).status).toBe(404);
  expect(await api('GET', '/devices/till-7/vendor/policies')).toMatchObject({
    status: 422,
    body: { code: 'integration_unsupported', detail: expect.stringContaining('facts, moments') },
  });
  expect((await api('GET', `/devices/till-7/vendor/facts?x=${'x'.repeat(300)}`)).status).toBe(400);
  expect(vendor.requests).toEqual([]);
});

test('viewers may see views, and strangers may not', async () => {
  await add('till-7', 'e7');
  const token = async (role: string) => (await api('POST', '/tokens', { name: role, role })).body.token as string;
  expect((await service.apiAs(await token('viewer'))('GET', '/devices/till-7/vendor/facts')).status).toBe(200);
  expect((await service.apiAs(undefined)('GET', '/devices/till-7/vendor/facts')).status).toBe(401);
});

describe('Mobivisor', () => {
  let mobivisor: MobivisorServer;
  beforeAll(async () => {
    mobivisor = await startMobivisor();
  });
  afterAll(() => mobivisor.close());

  test('is made by the environment, and reached with its token', async () => {
    mobivisor.addDevice({ name: 'till 8' });
    const env = {
      ROLE: 'api',
      EXTERNAL_PROVIDER: 'mobivisor',
      MOBIVISOR_API_URL: mobivisor.url,
      MOBIVISOR_API_TOKEN: mobivisor.credentials.token ?? '',
    };
    await using first = await openService(env);
    const tested = await first.api('POST', '/integrations/mobivisor/test', {});
    expect(tested).toMatchObject({ status: 200, body: { account: '127.0.0.1' } });
    expect(tested.body.sample).toHaveLength(mobivisor.account.devices.size);
  });

  test('shows policies, apps, kiosk mode and commands of a device', async () => {
    const externalId = mobivisor.addDevice({ name: 'till 7', values: { model: 'TC52', osVersion: '14', kioskMode: true } });
    const { settings, credentials } = mobivisor;
    await add('till-7', externalId, { type: 'mobivisor', settings, credentials });
    const { body } = await api('GET', '/devices/till-7/vendor');
    expect(body.abilities).toMatchObject({ push: 'unverified', hook: false });
    const names = (body.views as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual(['policies', 'installed-apps', 'system-apps', 'kiosk', 'commands']);
    const answers = await Promise.all(names.map((name) => api('GET', `/devices/till-7/vendor/${name}`)));
    expect(answers.map(({ body: { data } }) => data)).toMatchObject([
      { policies: [{ name: 'Baseline' }] },
      { apps: [{}, {}] },
      { apps: [{ package: 'com.android.settings' }] },
      { settings: { kioskMode: true } },
      { commands: [] },
    ]);
  });
});
