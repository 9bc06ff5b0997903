import { afterEach, expect, test } from 'vitest';
import { createDepot, openScene, type Scene, syncOnce } from '../sync/support.ts';

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

const deviceOf = async ({ service }: Scene, id: string) => (await service.api('GET', `/devices/${id}`)).body;

test('an import mirrors the devices with their state, follows their changes, and writes nothing for those that are unchanged', async () => {
  scene = await openScene({}, 250);
  const first = await scene.sync();
  expect(first).toMatchObject({ status: 'succeeded', operation: 'walk', details: { seen: 250, created: 250, pages: 3, failed: 0 } });
  expect(await deviceOf(scene, 'till-7')).toMatchObject({
    name: 'till-7',
    sourceKind: 'EXTERNAL',
    connectivity: 'online',
    integrationMetadata: {
      provider: 'depot',
      integration: 'depot',
      external_id: 'x00007',
      sync_status: 'active',
      attributes: { tags: [], room: 'hall', battery: 80 },
      state: { temperature: 20 },
    },
  });
  scene.depot.change('x00007', { name: 'Till seven', battery: 12 });
  scene.depot.change('x00008', { online: false });
  const second = await scene.sync();
  expect(second.details).toMatchObject({ seen: 250, created: 0, updated: 1, unchanged: 249 });
  expect(await deviceOf(scene, 'till-7')).toMatchObject({ name: 'Till seven', integrationMetadata: { attributes: { battery: 12 } } });
  expect((await deviceOf(scene, 'till-8')).connectivity).toBe('offline');
  const log = await scene.service.api('GET', `/integrations/depot/sync-log?kind=devices&device=till-7&run=${second.runId}`);
  expect(log.body.items).toMatchObject([{ operation: 'update', details: { name: { side: 'local', from: 'till-7', to: 'Till seven' } } }]);
  expect((await scene.sync()).details).toMatchObject({ updated: 0, unchanged: 250 });
});

test('an import overwrites an edit of this side, and the log keeps what was overwritten', async () => {
  scene = await openScene({}, 1);
  await scene.sync();
  await scene.service.api('PATCH', '/devices/till-1', { name: 'mine' });
  const run = await scene.sync();
  expect((await deviceOf(scene, 'till-1')).name).toBe('till-1');
  const log = await scene.service.api('GET', `/integrations/depot/sync-log?kind=devices&run=${run.runId}`);
  expect(log.body.items[0].details.name).toEqual({ side: 'local', from: 'mine', to: 'till-1', overwritten: 'mine' });
});

test('an export writes the fewest fields, and creates assigned devices at the platform once, also after a lost answer', async () => {
  scene = await openScene({ direction: 'export' }, 1);
  await scene.sync();
  const { service, depot } = scene;
  const changed = await service.api('PATCH', '/devices/till-1', { attributes: { room: 'cellar' } });
  expect(changed).toMatchObject({ status: 200, body: { integrationMetadata: { attributes: { room: 'cellar' } } } });
  expect((await scene.sync()).details).toMatchObject({ exported: 1, failed: 0 });
  expect(depot.all.get('x00001')?.room).toBe('cellar');
  expect(depot.requests.filter(({ method }) => method === 'PATCH').map(({ body }) => body)).toEqual([{ room: 'cellar' }]);

  await service.api('POST', '/devices', { id: 'own-1', name: 'Own one' });
  depot.faults.push({ method: 'POST', do: { is: 'lost_answer' } });
  const assigned = await service.api('POST', '/integrations/depot/assignments', { deviceId: 'own-1' });
  expect(assigned.status).toBe(201);
  await scene.sync();
  expect([...depot.all.values()].filter(({ name }) => name === 'Own one')).toHaveLength(1);
  await service.database.sql`update device_service_assignments set retry_at = now() where external_id is null`;
  await scene.sync();
  const mine = [...depot.all.values()].filter(({ name }) => name === 'Own one');
  expect(mine).toMatchObject([{ hardwareIds: ['bellwether-own-1'] }]);
  expect(await deviceOf(scene, 'own-1')).toMatchObject({ sourceKind: 'LOCAL', integrationMetadata: { external_id: mine[0]?.id } });
  expect((await service.api('GET', '/devices?limit=100')).body.items).toHaveLength(2);
});

test('attributes are checked against the fields that the integration carries to the platform', async () => {
  scene = await openScene({ direction: 'both' }, 1);
  await scene.sync();
  const wrong = await scene.service.api('PATCH', '/devices/till-1', { attributes: { battery: 3, tags: 'x', rom: 1 } });
  expect(wrong.status).toBe(400);
  expect(wrong.body.errors.map((error: { pointer: string }) => error.pointer)).toEqual([
    '/attributes/battery',
    '/attributes/tags',
    '/attributes/rom',
  ]);
});

test('both sides may edit different fields, and edits of the same field are a conflict that a person resolves', async () => {
  scene = await openScene({ direction: 'both', strategy: 'manual', fieldRules: { tags: { strategy: 'merge' } } }, 3);
  await scene.sync();
  const { service, depot } = scene;
  await service.api('PATCH', '/devices/till-1', { name: 'here', attributes: { tags: ['a'] } });
  depot.change('x00001', { room: 'roof', tags: ['b'] });
  await service.api('PATCH', '/devices/till-2', { attributes: { room: 'here' } });
  depot.change('x00002', { room: 'there' });
  await service.api('PATCH', '/devices/till-3', { attributes: { room: 'here' } });
  depot.change('x00003', { room: 'there' });
  expect((await scene.sync()).details).toMatchObject({ conflicts: 2, resolved: 1, exported: 1 });
  expect(await deviceOf(scene, 'till-1')).toMatchObject({
    name: 'here',
    integrationMetadata: { attributes: { room: 'roof', tags: ['a', 'b'] } },
  });
  expect(depot.all.get('x00001')).toMatchObject({ name: 'here', room: 'roof', tags: ['a', 'b'] });

  const open = (await service.api('GET', '/conflicts?state=open&integration=depot')).body.items;
  open.sort((one: { deviceId: string }, other: { deviceId: string }) => (one.deviceId < other.deviceId ? 1 : -1));
  expect(open).toMatchObject([
    { deviceId: 'till-3', field: 'room', base: 'hall', local: 'here', remote: 'there' },
    { deviceId: 'till-2', field: 'room', base: 'hall', local: 'here', remote: 'there' },
  ]);
  const [third, second] = open;
  const own = await service.api('POST', `/conflicts/${second.id}/resolve`, { choice: 'value', value: 'yard' });
  expect(own).toMatchObject({ status: 200, body: { state: 'resolved', resolution: 'value', value: 'yard', resolvedBy: 'token:admin' } });
  expect((await service.api('POST', '/conflicts:resolve', { ids: [third.id, second.id], choice: 'local' })).body).toEqual({
    resolved: [third.id],
    skipped: [second.id],
  });
  expect(await service.api('POST', `/conflicts/${third.id}/resolve`, { choice: 'remote' })).toMatchObject({
    status: 409,
    body: { code: 'conflict_not_open' },
  });
  await scene.settle();
  expect(depot.all.get('x00002')?.room).toBe('yard');
  expect(depot.all.get('x00003')?.room).toBe('here');
  expect((await scene.sync()).details).toMatchObject({ conflicts: 0, resolved: 0, updated: 0, exported: 0 });
  const decided = (await service.api('GET', '/integrations/depot/conflicts?state=resolved')).body.items;
  expect(decided).toHaveLength(3);
  expect(decided).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ field: 'tags', resolution: 'merge', resolvedBy: 'strategy:merge', value: ['a', 'b'] }),
      expect.objectContaining({ deviceId: 'till-3', resolution: 'local' }),
      expect.objectContaining({ deviceId: 'till-2', resolution: 'value' }),
    ]),
  );
});

test('a person decides about the values that they saw, and only as the direction carries', async () => {
  scene = await openScene({ direction: 'both', strategy: 'manual' }, 2);
  await scene.sync();
  const { service, depot } = scene;
  for (const [id, external] of [
    ['till-1', 'x00001'],
    ['till-2', 'x00002'],
  ] as const) {
    await service.api('PATCH', `/devices/${id}`, { attributes: { room: 'here' } });
    depot.change(external, { room: 'there' });
  }
  await scene.sync();
  const openOnes = async () =>
    (await service.api('GET', '/conflicts?state=open')).body.items as { id: string; version: string; deviceId: string }[];
  const seen = await openOnes();
  const first = seen.find(({ deviceId }) => deviceId === 'till-1');
  depot.change('x00001', { room: 'cellar' });
  await scene.sync();
  const stale = await service.api('POST', `/conflicts/${first?.id}/resolve`, { choice: 'local', version: first?.version });
  expect(stale).toMatchObject({ status: 409, body: { code: 'conflict_changed', detail: expect.stringContaining('other values') } });
  const versions = Object.fromEntries(seen.map(({ id, version }) => [id, version]));
  const many = (await service.api('POST', '/conflicts:resolve', { ids: Object.keys(versions), versions, choice: 'remote' })).body;
  expect(many).toEqual({ resolved: seen.filter(({ id }) => id !== first?.id).map(({ id }) => id), skipped: [first?.id] });
  const [now] = await openOnes();
  expect(now).toMatchObject({ deviceId: 'till-1', remote: 'cellar' });

  await service.api('PATCH', '/integrations/depot', { direction: 'import' });
  const against = await service.api('POST', `/conflicts/${now?.id}/resolve`, { choice: 'local', version: now?.version });
  expect(against).toMatchObject({ status: 400, body: { detail: expect.stringContaining('only imported now') } });
  await scene.sync();
  expect(await openOnes()).toEqual([]);
  expect((await deviceOf(scene, 'till-1')).integrationMetadata.attributes.room).toBe('cellar');
});

test('a device is archived after two walks without it, and returns with its history', async () => {
  scene = await openScene({}, 3);
  await scene.sync();
  const { depot } = scene;
  const lost = depot.all.get('x00002');
  depot.all.delete('x00002');
  expect((await scene.sync()).details.archived).toBe(0);
  expect((await scene.sync()).details.archived).toBe(1);
  expect(await deviceOf(scene, 'till-2')).toMatchObject({
    archivedAt: expect.any(String),
    integrationMetadata: { sync_status: 'archived' },
  });
  if (lost !== undefined) depot.all.set('x00002', lost);
  expect((await scene.sync()).details).toMatchObject({ restored: 1, created: 0 });
  expect(await deviceOf(scene, 'till-2')).toMatchObject({ archivedAt: null, integrationMetadata: { sync_status: 'active' } });
});

test('a device that the platform shows under a new id stays one device, and one that only has the same name does not', async () => {
  scene = await openScene({}, 2);
  await scene.sync();
  const { depot, service } = scene;
  depot.all.delete('x00001');
  depot.add({ id: 'y1', name: 'till-1', hardwareIds: ['hw-x00001'] });
  depot.add({ id: 'y2', name: 'till-2', hardwareIds: ['other'] });
  expect((await scene.sync()).details).toMatchObject({ created: 1 });
  expect(await deviceOf(scene, 'till-1')).toMatchObject({ integrationMetadata: { external_id: 'y1' } });
  const ids = (await service.api('GET', '/devices')).body.items.map((device: { id: string }) => device.id);
  expect(ids).toEqual(['depot-y2', 'till-1', 'till-2']);
});

test('pages that shift during a walk neither double a device nor archive one', async () => {
  scene = await openScene({}, 500);
  await scene.sync();
  const { depot } = scene;
  for (let walk = 0; walk < 2; walk += 1) {
    const [first] = depot.all.keys();
    depot.faults.push({ path: /devices/, do: { is: 'run', what: () => void depot.all.delete(first ?? '') } });
    await scene.sync();
  }
  const rows = await scene.service.database.sql<{ archived: number; all: number }[]>`
    select count(*) filter (where archived_at is not null)::int as archived, count(*)::int as all from devices`;
  expect(rows[0]).toEqual({ archived: 1, all: 500 });
});

test('an outage ends the run with its reason, a storm of 429 is waited out, and refused credentials stop the integration', async () => {
  scene = await openScene({}, 150);
  const { depot, service } = scene;
  depot.faults.push({ times: 3, do: { is: 'answer', response: { status: 429, headers: { 'retry-after': '0' } } } });
  expect(await scene.sync()).toMatchObject({ status: 'succeeded', details: { created: 150 } });
  depot.faults.push({ times: 50, do: { is: 'answer', response: { status: 503 } } });
  expect(await scene.sync()).toMatchObject({ status: 'failed', error: { code: 'integration_unavailable' } });
  expect((await deviceOf(scene, 'till-1')).archivedAt).toBeNull();
  depot.faults.length = 0;
  service.app.services?.platforms.isolation.reset(scene.id);
  depot.account.key = 'another';
  await service.api('PUT', '/integrations/depot/credentials', { credentials: depot.credentials });
  expect(await scene.sync()).toMatchObject({ status: 'failed', error: { code: 'integration_unauthorized' } });
  expect((await service.api('GET', '/integrations/depot')).body).toMatchObject({ state: 'blocked' });
  expect((await service.api('POST', '/integrations/depot/sync')).body.code).toBe('integration_blocked');
});

test('a device that cannot be written is recorded with its next try, and the others are written', async () => {
  scene = await openScene({ direction: 'both' }, 3);
  await scene.sync();
  const { depot, service } = scene;
  for (const id of ['till-1', 'till-2', 'till-3']) await service.api('PATCH', `/devices/${id}`, { attributes: { room: 'yard' } });
  depot.faults.push({
    method: 'PATCH',
    path: /x00002/,
    do: { is: 'answer', response: { status: 400, body: { message: 'no such room' } } },
  });
  const run = await scene.sync();
  expect(run).toMatchObject({ status: 'succeeded', details: { exported: 2, failed: 1 } });
  const { items } = (await service.api('GET', '/integrations/depot/assignments')).body;
  expect(items[1]).toMatchObject({ deviceId: 'till-2', error: { code: 'integration_rejected' }, failures: 1, retryAt: expect.any(String) });
  await service.database.sql`update device_service_assignments set retry_at = now() where retry_at is not null`;
  await scene.sync();
  expect(depot.all.get('x00002')?.room).toBe('yard');
});

test('devices whose ids differ by capital letters alone are different ones', async () => {
  scene = await openScene();
  for (const id of ['ab3', 'aB3', 'Ab3']) scene.depot.add({ id, name: 'Sensor 1' });
  expect((await scene.sync()).details).toMatchObject({ created: 3, failed: 0 });
  const { items } = (await scene.service.api('GET', '/devices')).body;
  expect(
    items.map(({ integrationMetadata }: { integrationMetadata: { external_id: string } }) => integrationMetadata.external_id).sort(),
  ).toEqual(['Ab3', 'aB3', 'ab3']);
});

test('a conflict about a field that is not synced any more is closed', async () => {
  scene = await openScene({ direction: 'both', strategy: 'manual' }, 1);
  await scene.sync();
  const { service, depot, id } = scene;
  await service.api('PATCH', '/devices/till-1', { attributes: { room: 'here' } });
  depot.change('x00001', { room: 'there' });
  expect((await scene.sync()).details).toMatchObject({ conflicts: 1 });
  expect((await service.api('PATCH', `/integrations/${id}`, { fields: ['name'] })).status).toBe(200);
  await scene.sync();
  const { items } = (await service.api('GET', '/integrations/depot/conflicts?state=open')).body;
  expect(items).toEqual([]);
});

test('two integrations of one account show each device once, also when they meet it at once, and none is archived while one of them shows it', async () => {
  scene = await openScene({ direction: 'both' }, 250);
  const { service, depot, id } = scene;
  const other = await createDepot(service, depot, { direction: 'both', name: 'Second' });
  await Promise.all([scene.sync(), syncOnce(service, other)]);
  const count = async () => (await service.database.sql`select 1 from devices`).length;
  expect(await count()).toBe(250);
  expect((await service.database.sql`select 1 from device_service_assignments`).length).toBe(500);
  depot.add({ name: 'till-251' });
  for (const one of [id, other]) await syncOnce(service, one);
  expect(await count()).toBe(251);

  const empty = await service.api('PATCH', `/integrations/${id}`, { settings: { baseUrl: `${depot.url}/empty` } });
  expect(empty.status).toBe(200);
  depot.faults.push({ path: /^\/empty/, times: 100, do: { is: 'answer', response: { status: 200, body: { list: [], total: 0 } } } });
  for (const _ of [1, 2, 3]) expect((await scene.sync()).details).toMatchObject({ seen: 0, archived: 0 });
  depot.all.delete('x00001');
  for (const archived of [0, 1]) expect((await syncOnce(service, other)).details).toMatchObject({ archived });
});
