import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { newId } from '../../../src/ids.ts';
import { seedDevices } from '../../support/seed-devices.ts';
import { openService, type TestService } from '../../support/service.ts';

const DEVICES = 200;

let service: TestService;
let organizationId: string;
let siteIds: string[];

beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  organizationId = (await service.database.sql<{ id: string }[]>`select id from organizations where name = 'default'`)[0]?.id ?? '';
});
beforeEach(async () => {
  const { sql } = service.database;
  await sql`delete from devices`;
  ({ siteIds } = await seedDevices(sql, organizationId, { devices: DEVICES, sites: 3, sources: 2, prefix: `f${newId().slice(-8)}` }));
});
afterAll(() => service.close());

type Body = Record<string, unknown>;

const bulk = (body: Body) => service.api('POST', '/devices:bulk', body);

/** The dry run, and then the action with the number that it showed. */
async function confirmed(body: Body): Promise<{ matching: number; willChange: number; sample: string[]; changed: number }> {
  const seen = (await bulk({ ...body, dryRun: true })).body;
  const { status, body: answer } = await bulk({ ...body, expected: seen.willChange, token: seen.token });
  expect(status, JSON.stringify(answer)).toBe(200);
  return { ...seen, changed: answer.willChange };
}

const count = async (query: string): Promise<number> => (await service.api('GET', `/devices/counts?${query}`)).body.total;
const eventsOf = async (type: string): Promise<{ subject: string }[]> =>
  service.database
    .sql`select subject from events where type = ${type} and subject in (select 'device:' || id from devices) order by subject`;
const auditOf = async (action: string) => {
  const { items } = (await service.api('GET', '/audit?subject=devices')).body;
  return items.filter((entry: { action: string }) => entry.action === action)[0];
};

test('a dry run counts and changes nothing', async () => {
  const before = (await service.api('GET', '/devices?limit=500')).body;
  const { body } = await bulk({ action: 'hold', filter: { type: ['kiosk'] }, dryRun: true });
  expect(body.matching).toBe(await count('type=kiosk'));
  expect(body.willChange).toBe(await count('type=kiosk&held=false'));
  expect(body.sample).toHaveLength(5);
  expect((await service.api('GET', '/devices?limit=500')).body).toEqual(before);
});

test('hold and release: the same rows, events and words as for one device', async () => {
  const [one = ''] = (await service.api('GET', '/devices?held=false&limit=1&status=in_sync&order=desc')).body.items.map(
    ({ id }: { id: string }) => id,
  );
  const single = (await service.api('POST', `/devices/${one}/hold`, { reason: 'storm' })).body;
  const held = await confirmed({ action: 'hold', filter: { status: ['in_sync'] }, parameters: { reason: 'storm' } });
  expect(held.changed).toBe(held.willChange);
  expect(held.changed).toBeGreaterThan(50);
  const { items } = (await service.api('GET', '/devices?limit=500&held=true&q=')).body;
  const other = items.find(({ id }: { id: string }) => id === held.sample[0]);
  expect([other.syncStatus, other.hold.by, other.hold.reason]).toEqual([single.syncStatus, single.hold.by, 'storm']);
  expect(await eventsOf('device.held')).toHaveLength(held.changed + 1);
  expect(await auditOf('device.bulk_hold')).toMatchObject({
    outcome: 'ok',
    detail: { changed: held.changed, expected: held.changed, filter: { status: ['in_sync'] }, parameters: { reason: 'storm' } },
  });
  const before = await count('held=true');
  const released = await confirmed({ action: 'release', filter: {} });
  expect([released.changed, await count('held=true')]).toEqual([before, 0]);
  expect(await eventsOf('device.released')).toHaveLength(before);
  expect((await service.api('GET', `/devices/${held.sample[0]}`)).body).toMatchObject({ syncStatus: 'in_sync', hold: null });
});

test('start and stop change those that are not in that state', async () => {
  const stopped = await confirmed({ action: 'stop', filter: {} });
  expect([stopped.matching, stopped.changed]).toEqual([DEVICES, DEVICES - DEVICES / 20]);
  const started = await confirmed({ action: 'start', filter: { status: ['in_sync', 'pending'] } });
  expect(started.changed).toBe(await count('status=in_sync&status=pending'));
  expect((await confirmed({ action: 'start', filter: { status: ['in_sync', 'pending'] } })).changed).toBe(0);
  expect(await eventsOf('device.stopped')).toHaveLength(stopped.changed);
  expect(await eventsOf('device.started')).toHaveLength(started.changed);
});

test('label and move', async () => {
  const labelled = await confirmed({
    action: 'label',
    filter: { label: ['region=north'] },
    parameters: { set: { ring: 'early' }, remove: ['floor'] },
  });
  expect(labelled.changed).toBe(DEVICES / 4);
  const { items } = (await service.api('GET', '/devices?label=ring%3Dearly&limit=500')).body;
  expect(items).toHaveLength(DEVICES / 4);
  expect(items.every(({ labels }: { labels: object }) => !('floor' in labels) && 'region' in labels)).toBe(true);
  expect((await confirmed({ action: 'label', filter: {}, parameters: { remove: ['nobody-has-it'] } })).changed).toBe(0);
  const moved = await confirmed({ action: 'move', filter: { site: [siteIds[0]] }, parameters: { siteId: siteIds[1] } });
  expect([moved.changed, await count(`site=${siteIds[0]}`)]).toEqual([moved.matching, 0]);
  expect((await confirmed({ action: 'move', filter: { site: [siteIds[1]] }, parameters: { siteId: null } })).changed).toBeGreaterThan(
    moved.changed,
  );
  const nowhere = await bulk({ action: 'move', filter: {}, parameters: { siteId: newId() }, expected: 0 });
  expect([nowhere.status, nowhere.body.code]).toEqual([400, 'invalid_request']);
});

test('retry opens an attempt for each failed device whose folder has a bundle', async () => {
  await service.database.sql`update devices set sync_status = 'failed', quarantined_bundle = repeat('b', 64) where right(id, 2) = '07'`;
  const failed = (await count('status=failed')) + (await count('status=rolled_back'));
  const retried = await confirmed({ action: 'retry', filter: {} });
  expect(retried.changed).toBe(failed);
  const [row] = await service.database.sql`
    select count(*)::int as n, count(distinct device_id)::int as devices from deployments where kind = 'retry' and state = 'queued'`;
  expect(row).toEqual({ n: failed, devices: failed });
  expect(await eventsOf('deployment.queued')).toHaveLength(failed);
});

test('refuses when the number is another one than was confirmed, and then changes nothing', async () => {
  const { willChange } = (await bulk({ action: 'stop', filter: {}, dryRun: true })).body;
  const [first] = (await service.api('GET', '/devices?limit=1')).body.items;
  await service.api('POST', `/devices/${first.id}/stop`);
  const refused = await bulk({ action: 'stop', filter: {}, expected: willChange });
  expect([refused.status, refused.body.code]).toEqual([409, 'bulk_changed']);
  expect(refused.body.detail).toContain(`${willChange - 1} devices would change now, and ${willChange} were confirmed`);
  expect(
    (await service.api('GET', '/devices?limit=500')).body.items.filter(({ following }: { following: boolean }) => following),
  ).toHaveLength(willChange - 1);
  expect((await bulk({ action: 'stop', filter: {}, expected: willChange, tolerance: 1 })).body.willChange).toBe(willChange - 1);
});

test('a repeated request with its Idempotency-Key has the effect and the answer of the first', async () => {
  const body = { action: 'hold', filter: {}, expected: await count('held=false') };
  const headers = { 'idempotency-key': 'bulk-1' };
  const first = await service.api('POST', '/devices:bulk', body, headers);
  const again = await service.api('POST', '/devices:bulk', body, headers);
  expect([again.status, again.body]).toEqual([first.status, first.body]);
  expect(await eventsOf('device.held')).toHaveLength(first.body.willChange);
});

test('ids choose devices, of this organization alone', async () => {
  const ids = (await service.api('GET', '/devices?limit=3')).body.items.map(({ id }: { id: string }) => id);
  expect(await confirmed({ action: 'label', ids: [...ids, 'nobody'], parameters: { set: { a: 'b' } } })).toMatchObject({
    matching: 3,
    changed: 3,
  });
});

test.each([
  ['no filter', { action: 'stop', expected: 0 }],
  ['filter and ids', { action: 'stop', filter: {}, ids: ['a'], expected: 0 }],
  ['no number', { action: 'stop', filter: {} }],
  ['an unknown action', { action: 'delete', filter: {}, expected: 0 }],
  ['parameters of another action', { action: 'stop', filter: {}, parameters: { reason: 'x' }, expected: 0 }],
  ['a label without a change', { action: 'label', filter: {}, expected: 0 }],
  ['a move without a site', { action: 'move', filter: {}, expected: 0 }],
  ['an unknown filter', { action: 'stop', filter: { colour: ['red'] }, expected: 0 }],
  ['a token of another action', { action: 'stop', filter: {}, expected: 0, token: 'x' }],
])('refuses %s', async (_what, body) => {
  const { status, body: answer } = await bulk(body);
  expect([status, answer.code]).toEqual([400, 'invalid_request']);
});
