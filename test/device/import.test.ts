import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { ensureOrganization } from '../../src/organization/store.ts';
import { folder, openScene } from '../support/scene.ts';
import { ADMIN_TOKEN, type Answer, eventually } from '../support/service.ts';

let scene: Awaited<ReturnType<typeof openScene>>;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene[Symbol.asyncDispose]());

type Sent = { type?: string; query?: string; token?: string; headers?: Record<string, string> };

async function send(body: string | Uint8Array<ArrayBuffer> | ReadableStream, sent: Sent = {}): Promise<Answer> {
  const { type = 'text/csv', query = '', token = ADMIN_TOKEN, headers = {} } = sent;
  const response = await fetch(`${scene.service.url}/api/v1/devices:import${query}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': type, ...headers },
    body,
    ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
  } as RequestInit);
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const lines = (values: unknown[]) => values.map((value) => JSON.stringify(value)).join('\n');
const JSON_LINES = 'application/x-ndjson';

const count = async (like: string): Promise<number> => {
  const [row] = await scene.service.database.sql<[{ count: number }]>`select count(*)::int as count from devices where id like ${like}`;
  return row.count;
};

/** Polls with the device's key. */
const knows = async (id: string, apiKey: string): Promise<boolean> =>
  (await fetch(`${scene.service.url}/agent/v1/desired?wait=0`, { headers: { 'x-device-id': id, 'x-api-key': apiKey } })).status < 400;

test('CSV: devices are registered in the order of the rows, each with a key that works', async () => {
  const site = (await scene.api('POST', '/sites', { name: 'Bern' })).body.id;
  const csv = `id,name,type,siteId,simulated,label.floor,label.zone\r\ncsv-b,"Till ""B"", ground",pos,${site},,0,\r\ncsv-a,,,,true,,"north\nwest"\r\n`;
  const answer = await send(csv, { type: 'text/csv; charset=utf-8' });
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({
    registered: 2,
    refused: [],
    devices: [
      { row: 1, id: 'csv-b' },
      { row: 2, id: 'csv-a' },
    ],
  });
  const first = (await scene.api('GET', '/devices/csv-b')).body;
  expect(first).toMatchObject({
    name: 'Till "B", ground',
    type: 'pos',
    siteId: site,
    simulated: false,
    labels: { floor: '0' },
    sourceId: null,
  });
  const second = (await scene.api('GET', '/devices/csv-a')).body;
  expect(second).toMatchObject({ name: 'csv-a', type: 'device', siteId: null, simulated: true, labels: { zone: 'north\nwest' } });
  for (const { id, apiKey } of answer.body.devices) expect(await knows(id, apiKey)).toBe(true);
  expect(await knows('csv-a', answer.body.devices[0].apiKey)).toBe(false);
});

test('partial: every refused row has its errors, and the others are registered', async () => {
  await scene.api('POST', '/devices', { id: 'part-there' });
  const answer = await send(
    `${lines([{ id: 'part-1' }, { id: 'UPPER', labels: { 'a~b': 1 } }, { id: 'part-1', name: 'again' }, { id: 'pending' }])}\n{"id":\n\n${lines(
      [
        { id: 'part-there' },
        { id: 'part-adapter', adapter: 'fax' },
        { id: 'part-homeless', siteId: newId(), sourceId: newId() },
        { id: 'part-nul', name: 'a\u0000' },
        { id: 'part-10', labels: { floor: '2' } },
      ],
    )}`,
    { type: JSON_LINES },
  );
  expect(answer.status).toBe(200);
  expect(answer.body.devices.map(({ row, id }: { row: number; id: string }) => [row, id])).toEqual([
    [1, 'part-1'],
    [10, 'part-10'],
  ]);
  const pointers = answer.body.refused.map(({ row, errors }: { row: number; errors: { pointer: string }[] }) => [
    row,
    ...errors.map((e) => e.pointer),
  ]);
  expect(pointers).toEqual([
    [2, '/id', '/labels/a~0b'],
    [3, '/id'],
    [4, '/id'],
    [5, ''],
    [6, '/id'],
    [7, '/adapter'],
    [8, '/sourceId', '/siteId'],
    [9, ''],
  ]);
  expect(answer.body.refused[1].errors).toEqual([{ pointer: '/id', detail: 'is also the id of row 1' }]);
  expect(await count('part-%')).toBe(3);
});

test('atomic: one refused row prevents all registrations; without one, all rows are registered', async () => {
  const csv = 'id,start\natom-1,\natom-2,maybe\natom-3\n';
  const refused = await send(csv, { query: '?mode=atomic' });
  expect(refused.headers.get('content-type')).toBe('application/problem+json');
  expect([refused.status, refused.body.code]).toEqual([422, 'import_refused']);
  expect(refused.body.refused).toEqual([
    { row: 2, errors: [{ pointer: '/start', detail: expect.any(String) }] },
    { row: 3, errors: [{ pointer: '', detail: 'line 4 has 1 fields, must have 2 like the header' }] },
  ]);
  expect(await count('atom-%')).toBe(0);
  expect((await send('id\natom-1\natom-2\n', { query: '?mode=atomic' })).body.registered).toBe(2);
  // Errors that only the database can find also roll back.
  expect((await send('id\natom-3\natom-2\n', { query: '?mode=atomic' })).body.refused).toMatchObject([{ row: 2 }]);
  expect(await count('atom-%')).toBe(2);
});

test('devices of a fleet get their folders and a deployment at once; other devices of the source do not change', async () => {
  const files = {
    'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "sites/*/*"\n',
    ...folder({ vlan: 7 }, 'sites/bern/imp-1/'),
    ...folder({ vlan: 8 }, 'sites/bern/imp-0/'),
  };
  await scene.host.createRepository('fleet-of-imports');
  const source = (await scene.api('POST', '/sources', { name: 'imports', url: scene.host.urlOf('fleet-of-imports'), layout: 'fleet' }))
    .body;
  const commit = await scene.host.commit('fleet-of-imports', files);
  await scene.api('POST', `/sources/${source.id}/sync`);
  await eventually('the source is read', async () => (await scene.sourceNow(source.id)).headCommit === commit);
  await eventually(
    'its rollout is complete',
    async () => (await scene.api('GET', `/rollouts?sourceId=${source.id}`)).body.items[0]?.state === 'completed',
  );
  const rows = [
    { id: 'imp-1', sourceId: source.id },
    { id: 'imp-2', sourceId: source.id },
    { id: 'imp-3', sourceId: source.id, start: false },
  ];
  // Another device of the source lacks its bundle. Its rollout has to deploy that, not the import.
  await scene.api('POST', '/devices', { id: 'imp-0', sourceId: source.id, start: false });
  await scene.service.database.sql`update devices set following = true where id = 'imp-0'`;
  expect((await send(lines(rows), { type: JSON_LINES })).body.registered).toBe(3);
  const shown = await Promise.all(rows.map(async ({ id }) => (await scene.api('GET', `/devices/${id}`)).body));
  expect(shown.map(({ path, following }) => [path, following])).toEqual([
    ['sites/bern/imp-1', true],
    ['devices/imp-2', true],
    ['devices/imp-3', false],
  ]);
  expect(shown[0].desired).toMatchObject({ bundle: expect.any(String), deploymentId: expect.any(String) });
  expect(shown[1].desired).toBeNull();
  expect((await scene.api('GET', '/devices/imp-0')).body).toMatchObject({ path: 'sites/bern/imp-0', following: true, desired: null });
});

test('a text that is not a table of devices is refused as a whole', async () => {
  const long = `id\n${Array.from({ length: 10_001 }, (_, at) => `many-${at}`).join('\n')}`;
  const cases: [Promise<Answer>, number, string][] = [
    [send('id,nmae\na,b\n'), 400, 'invalid_request'],
    [send('id,id\na,b\n'), 400, 'invalid_request'],
    [send('name\na\n'), 400, 'invalid_request'],
    [send(''), 400, 'invalid_request'],
    [send('id\n"whole-1\n'), 400, 'malformed_csv'],
    [send(new Uint8Array([0x69, 0x64, 0x0a, 0xff, 0x0a])), 400, 'malformed_text'],
    [send('{}', { type: 'application/json' }), 415, 'unsupported_format'],
    [send(long), 413, 'too_many_rows'],
    [send(`id\nbig,${'x'.repeat(10 * 1024 * 1024)}`), 413, 'too_large'],
    [send('id\nwhole-2\n', { query: '?mode=some' }), 400, 'invalid_request'],
    [send('id\nwhole-3\n', { token: 'nonsense' }), 401, 'unauthorized'],
  ];
  for (const [answer, status, code] of cases) expect([(await answer).status, (await answer).body.code]).toEqual([status, code]);
  expect(await count('many-%')).toBe(0);
  expect(await count('whole-%')).toBe(0);
});

test('only operators and admins import', async () => {
  const viewer = (await scene.api('POST', '/tokens', { name: 'looker', role: 'viewer' })).body.token;
  expect((await send('id\nlook-1\n', { token: viewer })).status).toBe(403);
  expect(await count('look-%')).toBe(0);
});

test("another organization's site and source do not exist, and ids of its devices are free", async () => {
  const { sql } = scene.service.database;
  const [stranger, site, source] = [await ensureOrganization(sql, newId(), 'strangers'), newId(), newId()];
  await sql`insert into sites (organization_id, id, name) values (${stranger}, ${site}, 'theirs')`;
  await sql`insert into devices (organization_id, id, name, type) values (${stranger}, 'both-1', 'theirs', 'pos')`;
  const answer = await send(`id,siteId\nboth-1,\nboth-2,${site}\n`);
  expect(answer.body).toMatchObject({
    registered: 1,
    devices: [{ id: 'both-1' }],
    refused: [{ row: 2, errors: [{ pointer: '/siteId' }] }],
  });
  expect((await send(`id,sourceId\nboth-3,${source}\n`)).body.refused).toMatchObject([{ errors: [{ pointer: '/sourceId' }] }]);
});

test('the same import with the same Idempotency-Key returns the same keys and registers no second devices', async () => {
  const headers = { 'idempotency-key': 'import-once' };
  const first = await send('id\nonce-1\nonce-2\n', { headers });
  const second = await send('id\nonce-1\nonce-2\n', { headers });
  expect(first.body.registered).toBe(2);
  expect(second.body).toEqual(first.body);
  expect(second.headers.get('idempotent-replayed')).toBe('true');
});

test('each device has an audit line and an event, as with a single registration', async () => {
  await send('id\ntold-1\ntold-2\n');
  const audit = (await scene.api('GET', '/audit?subject=device:told-2')).body.items;
  expect(audit).toMatchObject([{ action: 'device.register', actor: 'token:admin' }]);
  const [imported] = (await scene.api('GET', '/audit?subject=devices')).body.items;
  expect(imported).toMatchObject({ action: 'device.import', detail: { mode: 'partial', rows: 2 } });
  const [event] = await scene.service.database.sql`select type from events where subject = 'device:told-2'`;
  expect(event).toEqual({ type: 'device.registered' });
});

test('one request can register 10,000 devices in a stream above the size limit of other requests', async () => {
  const rows = Array.from({ length: 10_000 }, (_, at) => ({
    id: `mass-${String(at).padStart(5, '0')}`,
    labels: { note: 'x'.repeat(200) },
  }));
  const text = new TextEncoder().encode(lines(rows));
  expect(text.length).toBeGreaterThan(2 * 1024 * 1024);
  let at = 0;
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(text.subarray(at, at + 65_521));
      at += 65_521;
      if (at >= text.length) controller.close();
    },
  });
  const started = performance.now();
  const answer = await send(stream, { type: JSON_LINES });
  const seconds = (performance.now() - started) / 1000;
  expect(answer.body.devices.map(({ id }: { id: string }) => id)).toEqual(rows.map(({ id }) => id));
  expect(new Set(answer.body.devices.map(({ apiKey }: { apiKey: string }) => apiKey)).size).toBe(10_000);
  expect(await count('mass-%')).toBe(10_000);
  expect(seconds).toBeLessThan(20);
});
