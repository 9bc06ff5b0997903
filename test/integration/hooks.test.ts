import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sql } from '../../src/db/connect.ts';
import { OFFLINE_AFTER_SECONDS } from '../../src/device/device.ts';
import { markSilentDevicesOffline } from '../../src/device/store.ts';
import { forgetHooks } from '../../src/integration/hooks.ts';
import { BUILT_IN, createProviders } from '../../src/integration/registry.ts';
import type { DeviceUpdate } from '../../src/wire/live.ts';
import { insertExternalDevice } from '../support/external-device.ts';
import { ADMIN_TOKEN, eventually, openService, type TestService } from '../support/service.ts';
import { testPlatform } from '../support/test-platform.ts';

const SECRET = 'a-secret-of-the-platform';
let service: TestService;
let sql: Sql;
let clients: Socket[] = [];
let integration: { id: string; slug: string; hookUrl: string };

beforeAll(async () => {
  // Without a controller, the jobs stay where the test can see them. Tests send more wrong hooks than a sender may.
  const env = { ROLE: 'api', RATE_LIMIT_REFUSED: '1000' };
  service = await openService(env, { providers: createProviders([testPlatform, ...BUILT_IN.all()]) });
  sql = service.app.services.store.sql;
});
afterAll(async () => {
  for (const client of clients) client.disconnect();
  clients = [];
  await service.close();
});
beforeEach(async () => {
  await sql`delete from devices`;
  await sql`delete from device_services`;
  await sql`delete from pgboss.job where name = 'integration'`;
  integration = await addIntegration(service, SECRET);
});

async function addIntegration({ api, database }: TestService, secret: string | null) {
  const made = await api('POST', '/integrations', {
    type: 'testing',
    settings: { apiUrl: 'http://127.0.0.1:9/' },
    credentials: { token: 'a-token' },
  });
  expect(made.status).toBe(201);
  if (secret !== null) expect((await api('POST', `/integrations/${made.body.id}/hook-secret`, { secret })).status).toBe(201);
  await database.sql`delete from pgboss.job where name = 'integration'`;
  return made.body as typeof integration;
}

const addDevice = (id: string, externalId: string, to = integration) => insertExternalDevice(sql, { integrationId: to.id, id, externalId });

async function post(body: unknown, { secret = SECRET, to = integration }: { secret?: string; to?: { hookUrl: string } } = {}) {
  const response = await fetch(to.hookUrl, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: secret === '' ? {} : { 'x-platform-secret': secret },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function deviceRow(id: string) {
  const [row] = await sql`
    select connectivity, last_seen_at as "lastSeenAt", integration_metadata -> 'state' as state from devices where id = ${id}`;
  return row;
}
const jobs = async () =>
  (await sql<{ key: string }[]>`select data ->> 'key' as key from pgboss.job where name = 'integration'`).map(({ key }) => key);
const updates = async () => (await sql`select 1 from events where type = 'device.status'`).length;

test('a hook shows its devices online with their state at once, and requests one sync', async () => {
  await addDevice('till-7', 'e7');
  const client = io(`${service.url}/live`, { transports: ['websocket'], auth: { token: ADMIN_TOKEN }, forceNew: true });
  clients.push(client);
  const seen: DeviceUpdate[] = [];
  client.on('device_update', (update: DeviceUpdate) => seen.push(update));
  await client.timeout(60_000).emitWithAck('subscribe', { topics: ['devices'] });
  const answer = await post({ id: 'n1', devices: [{ externalId: 'e7', state: { battery: 81 } }, { externalId: 'unknown' }] });
  expect(answer).toEqual({ status: 202, body: { accepted: true, outcome: 'accepted', deliveryId: 'n1', devices: 1 } });
  expect(await deviceRow('till-7')).toMatchObject({ connectivity: 'online', state: { battery: 81 }, lastSeenAt: expect.any(Date) });
  await eventually('device_update', async () => seen.find(({ device_id }) => device_id === 'till-7'));
  expect(seen[0]).toMatchObject({ status: 'ONLINE', connectivity: 'online' });
  expect(await jobs()).toEqual([integration.id]);
});

test('a hook of another state is shown, one of the same state is only a sign of life', async () => {
  await addDevice('till-7', 'e7');
  const before = await updates();
  for (const [id, battery] of [
    ['n1', 80],
    ['n2', 80],
    ['n3', 79],
  ])
    await post({ id, devices: [{ externalId: 'e7', state: { battery } }] });
  expect((await updates()) - before).toBe(2);
  expect(await deviceRow('till-7')).toMatchObject({ state: { battery: 79 } });
});

test('an older message changes nothing, and a message from the future counts as now', async () => {
  await addDevice('till-7', 'e7');
  const at = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();
  await post({ id: 'n1', devices: [{ externalId: 'e7', seenAt: at(86_400), state: 'new' }] });
  const row = await deviceRow('till-7');
  expect(row?.lastSeenAt.getTime()).toBeLessThanOrEqual(Date.now() + 1_000);
  await post({ id: 'n2', devices: [{ externalId: 'e7', seenAt: at(-600), state: 'old' }] });
  expect(await deviceRow('till-7')).toEqual(row);
});

test('the last entry of a device counts, a huge state is left to the sync, and so are devices beyond 1,000', async () => {
  for (const n of [1, 2, 3]) await addDevice(`till-${n}`, `e${n}`);
  const twice = [
    { externalId: 'e1', state: 'first' },
    { externalId: 'e1', state: 'last' },
    { externalId: 'e2', state: 'x'.repeat(200_000) },
  ];
  const others = Array.from({ length: 1_000 }, (_, n) => ({ externalId: `other-${n}` }));
  expect((await post({ id: 'n1', devices: [...twice, ...others, { externalId: 'e3' }] })).body.devices).toBe(2);
  expect(await deviceRow('till-1')).toMatchObject({ connectivity: 'online', state: 'last' });
  expect(await deviceRow('till-2')).toMatchObject({ connectivity: 'online', state: null });
  expect(await deviceRow('till-3')).toMatchObject({ connectivity: 'unknown' });
});

test('a message of long ago shows no device online', async () => {
  await addDevice('till-7', 'e7');
  await post({ id: 'n1', devices: [{ externalId: 'e7', seenAt: new Date(Date.now() - 600_000).toISOString(), state: 'old' }] });
  expect(await deviceRow('till-7')).toMatchObject({ connectivity: 'unknown', state: 'old' });
});

test('the silence of an external device is judged by its platform, and not by the time limit of our own devices', async () => {
  await addDevice('till-7', 'e7');
  await service.api('POST', '/devices', { id: 'local-1' });
  await sql`update devices set connectivity = 'online', last_seen_at = now() - interval '1 hour'`;
  expect((await markSilentDevicesOffline(sql, OFFLINE_AFTER_SECONDS)).map(({ id }) => id)).toEqual(['local-1']);
});

describe('a hook is taken once', () => {
  test('by its id', async () => {
    await addDevice('till-7', 'e7');
    const body = { id: 'n1', devices: [{ externalId: 'e7', state: 1 }] };
    expect((await post(body)).body.outcome).toBe('accepted');
    await sql`update devices set last_seen_at = now() - interval '1 hour', connectivity = 'offline' where id = 'till-7'`;
    expect(await post(body)).toEqual({ status: 202, body: { accepted: false, outcome: 'duplicate', deliveryId: 'n1', devices: 0 } });
    expect(await deviceRow('till-7')).toMatchObject({ connectivity: 'offline' });
  });

  test('by its content within a window, where it has no id', async () => {
    await addDevice('till-7', 'e7');
    const body = { devices: [{ externalId: 'e7', state: 1 }] };
    const outcomes = [(await post(body)).body.outcome, (await post(body)).body.outcome];
    outcomes.push((await post({ devices: [{ externalId: 'e7', state: 2 }] })).body.outcome);
    expect(outcomes).toEqual(['accepted', 'duplicate', 'accepted']);
    await sql`update integration_hooks set received_at = received_at - interval '61 seconds'`;
    expect((await post(body)).body.outcome).toBe('accepted');
  });

  test('also when it comes several times at once', async () => {
    await addDevice('till-7', 'e7');
    const answers = await Promise.all(Array.from({ length: 8 }, () => post({ id: 'n1', devices: [{ externalId: 'e7' }] })));
    expect(answers.map(({ body }) => body.outcome).sort()).toEqual(['accepted', ...Array(7).fill('duplicate')]);
  });

  test('and is forgotten when its window is over', async () => {
    await post({ id: 'n1' });
    await post({});
    await sql`update integration_hooks set received_at = received_at - interval '1 hour'`;
    await forgetHooks(sql);
    expect((await sql`select delivery from integration_hooks`).map(({ delivery }) => delivery)).toEqual(['id:n1']);
    await sql`update integration_hooks set received_at = received_at - interval '8 days'`;
    await forgetHooks(sql);
    expect(await sql`select 1 from integration_hooks`).toHaveLength(0);
  });
});

test('a storm of hooks requests one sync, and brings the next one of the schedule forward', async () => {
  for (let n = 0; n < 5; n += 1) await post({ id: `n${n}` });
  await sql`delete from pgboss.job where name = 'integration'`;
  await sql`update device_services set next_run_at = now() + interval '1 hour'`;
  await post({ id: 'later' });
  expect(await jobs()).toEqual([]);
  const [row] = await sql`select next_run_at < now() + interval '31 seconds' as soon, requested_by as by from device_services`;
  expect(row).toEqual({ soon: true, by: 'hook' });
});

describe('a hook that is not proven is not processed', () => {
  test.each([
    ['another secret', { secret: 'another-secret-of-16' }],
    ['no secret', { secret: '' }],
  ])('with %s', async (_what, options) => {
    await addDevice('till-7', 'e7');
    const answer = await post({ id: 'n1', devices: [{ externalId: 'e7' }] }, options);
    expect(answer).toMatchObject({ status: 401, body: { code: 'hook_unauthorized' } });
    expect(await deviceRow('till-7')).toMatchObject({ connectivity: 'unknown' });
    expect(await sql`select 1 from integration_hooks`).toHaveLength(0);
    expect(await jobs()).toEqual([]);
  });

  test('where the integration has no secret, which an empty one does not match either', async () => {
    const bare = await addIntegration(service, null);
    for (const secret of ['', SECRET])
      expect(await post({}, { to: bare, secret })).toMatchObject({
        status: 401,
        body: { detail: expect.stringContaining('set its hook secret') },
      });
  });

  test('by the secret of another integration, and a device of another integration stays as it is', async () => {
    const other = await addIntegration(service, 'the-secret-of-the-other');
    await addDevice('theirs', 'e7', other);
    expect((await post({}, { to: other })).status).toBe(401);
    expect((await post({ devices: [{ externalId: 'e7' }] })).body).toMatchObject({ outcome: 'accepted', devices: 0 });
    expect(await deviceRow('theirs')).toMatchObject({ connectivity: 'unknown' });
  });

  test('of an unknown integration, or a malformed id', async () => {
    for (const id of ['01890000-0000-7000-8000-000000000000', 'testing', "'"])
      expect(await post({}, { to: { hookUrl: `${service.url}/hooks/integrations/${id}` } })).toMatchObject({
        status: 404,
        body: { code: 'not_found' },
      });
  });

  test('that cannot be read, or is too large', async () => {
    expect(await post({ devices: 'x' })).toMatchObject({ status: 400, body: { code: 'hook_malformed' } });
    expect(await post('not json')).toMatchObject({ status: 400, body: { code: 'hook_malformed' } });
    const deep = `${'['.repeat(80)}${']'.repeat(80)}`;
    for (const body of ['['.repeat(100_000), `{"devices":[{"externalId":"e7","state":${deep}}]}`])
      expect(await post(body)).toMatchObject({ status: 400, body: { code: 'hook_malformed' } });
    expect(await post(' '.repeat(1024 * 1024 + 1))).toMatchObject({ status: 413, body: { code: 'hook_too_large' } });
  });
});

test('after a sync that failed, a hook requests none before the time of the next one', async () => {
  await addDevice('till-7', 'e7');
  await sql`update device_services set failures = 1, next_run_at = now() + interval '1 hour'`;
  expect((await post({ id: 'n1', devices: [{ externalId: 'e7' }] })).body).toMatchObject({ outcome: 'accepted', devices: 1 });
  expect(await deviceRow('till-7')).toMatchObject({ connectivity: 'online' });
  expect(await jobs()).toEqual([]);
  const [{ waits } = { waits: false }] = await sql<{ waits: boolean }[]>`
    select next_run_at > now() + interval '50 minutes' as waits from device_services`;
  expect(waits).toBe(true);
});

test('an integration that is switched off ignores its hooks, and one that waits for credentials takes them', async () => {
  await addDevice('till-7', 'e7');
  await sql`update device_services set blocked_reason = 'expired'`;
  expect((await post({ id: 'n1', devices: [{ externalId: 'e7' }] })).body.outcome).toBe('accepted');
  await sql`update device_services set is_active = false`;
  expect(await post({ id: 'n2' })).toMatchObject({ status: 202, body: { accepted: false, outcome: 'ignored' } });
  await sql`update device_services set is_active = true`;
  await sql`update organizations set device_sync_enabled = false`;
  expect((await post({ id: 'n3' })).body.outcome).toBe('ignored');
  await sql`update organizations set device_sync_enabled = true`;
});

test('an archived device stays archived and unseen', async () => {
  await addDevice('till-7', 'e7');
  await sql`update devices set archived_at = now()`;
  await post({ id: 'n1', devices: [{ externalId: 'e7', state: 1 }] });
  expect(await deviceRow('till-7')).toMatchObject({ connectivity: 'unknown', lastSeenAt: null });
});

test('a hook of Golioth shows the device that its header names, with a body of any kind', async () => {
  const made = await service.api('POST', '/integrations', {
    type: 'golioth',
    settings: { projectId: 'field', apiUrl: 'http://127.0.0.1:9/v1' },
    credentials: { apiKey: 'a-key-of-golioth' },
  });
  expect((await service.api('POST', `/integrations/${made.body.id}/hook-secret`, { secret: SECRET })).status).toBe(201);
  for (const n of [1, 2]) await addDevice(`meter-${n}`, `g${n}`, made.body);
  const send = async (headers: Record<string, string>) => {
    // Devices also send CBOR, whose bytes may look like nested JSON.
    const response = await fetch(made.body.hookUrl, { method: 'POST', body: Buffer.alloc(200, '['), headers });
    return { status: response.status, outcome: ((await response.json()) as { outcome?: string }).outcome };
  };
  const from = (id: string) => ({ 'x-bellwether-secret': SECRET, 'ce-source': id, 'ce-type': 'io.golioth.data.v1/.s/meter' });
  expect(await send(from('g1'))).toEqual({ status: 202, outcome: 'accepted' });
  expect(await send(from('g1'))).toEqual({ status: 202, outcome: 'duplicate' });
  expect(await send(from('g2'))).toEqual({ status: 202, outcome: 'accepted' });
  expect(await send({ ...from('g2'), 'x-bellwether-secret': 'another-secret-of-16' })).toMatchObject({ status: 401 });
  expect(await send({ 'x-bellwether-secret': SECRET })).toMatchObject({ status: 400 });
  for (const n of [1, 2]) expect(await deviceRow(`meter-${n}`)).toMatchObject({ connectivity: 'online' });
});

test('a sender of wrong secrets and unknown ids is slowed down, and its genuine hooks still pass', async () => {
  await using strict = await openService({ ROLE: 'api', RATE_LIMIT_REFUSED: '1' }, { providers: createProviders([testPlatform]) });
  const to = await addIntegration(strict, SECRET);
  const unknown = { hookUrl: `${strict.url}/hooks/integrations/01890000-0000-7000-8000-000000000000` };
  const wrong = async (n: number) => (await post({}, n % 2 === 0 ? { to: unknown } : { to, secret: 'another-secret-of-16' })).status;
  const statuses: number[] = [];
  for (let n = 0; n < 20; n += 1) statuses.push(await wrong(n));
  expect(statuses.slice(0, 2)).toEqual([404, 401]);
  expect(statuses.at(-1)).toBe(429);
  expect(await post({ id: 'n1' }, { to })).toMatchObject({ status: 202, body: { outcome: 'accepted' } });
});
