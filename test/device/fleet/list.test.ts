import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEVICE_SORTS, type DeviceSort } from '../../../src/device/store/list.ts';
import { seedDevices } from '../../support/seed-devices.ts';
import { openService, type TestService } from '../../support/service.ts';

const DEVICES = 300;

type Item = Record<string, unknown> & { id: string; name: string; type: string; labels: Record<string, string>; siteId: string | null };

let service: TestService;
let siteIds: string[];
let sourceIds: string[];
let organizationId: string;

beforeAll(async () => {
  service = await openService();
  const { sql } = service.database;
  organizationId = (await sql<{ id: string }[]>`select id from organizations where name = 'default'`)[0]?.id ?? '';
  ({ siteIds, sourceIds } = await seedDevices(sql, organizationId, { devices: DEVICES, sites: 5, sources: 2 }));
  // Devices of equal keys, and keys that need care in a cursor.
  await sql`update devices set name = 'Same "name", ünïcode 💡', site_id = null where id > 'till-000250'`;
  await sql`update devices set updated_at = '2026-01-01T00:00:00.123456Z', last_seen_at = '2026-01-01T00:00:00.000001Z', connectivity = 'offline' where id < 'till-000050'`;
  // None falls silent during the test.
  await sql`update devices set last_seen_at = last_seen_at + interval '1 day' where connectivity = 'online'`;
  await sql`update devices set archived_at = now() where id = 'till-000010'`;
});
afterAll(() => service.close());

async function page(query: string): Promise<{ items: Item[]; nextCursor: string | null }> {
  const { status, body } = await service.api('GET', `/devices?${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

async function walk(query: string, between: (pageNumber: number) => Promise<void> = async () => {}): Promise<Item[]> {
  const all: Item[] = [];
  let cursor = '';
  for (let number = 0; ; number += 1) {
    const { items, nextCursor } = await page(`${query}${cursor}`);
    all.push(...items);
    if (nextCursor === null) return all;
    cursor = `&cursor=${nextCursor}`;
    await between(number);
  }
}

const idsOf = (items: readonly Item[]) => items.map(({ id }) => id);

/** The key of each order, as the page shows it. */
function keyOf(sort: DeviceSort, names: ReadonlyMap<string, string>): (item: Item) => string {
  const keys: Record<DeviceSort, (item: Item) => string> = {
    id: ({ id }) => id,
    name: ({ name }) => name.toLowerCase(),
    status: (item) => String(item.syncStatus),
    lastSeen: (item) => String(item.lastSeenAt ?? ''),
    updated: (item) => String(item.updatedAt),
    site: ({ siteId }) => names.get(siteId ?? '') ?? '',
    type: ({ type }) => type,
  };
  return keys[sort];
}

const bySort = fc.record({
  sort: fc.constantFrom(...DEVICE_SORTS),
  order: fc.constantFrom('asc', 'desc'),
  limit: fc.integer({ min: 20, max: 90 }),
  filter: fc.constantFrom('', '&status=in_sync', '&type=kiosk&type=till', '&label=region%3Dnorth', '&q=7', '&connectivity=offline'),
});

test('the pages of any order and filter have each device once, in that order', async () => {
  const sites: { id: string; name: string }[] = (await service.api('GET', '/sites')).body.items;
  const names = new Map(sites.map(({ id, name }) => [id, name]));
  await fc.assert(
    fc.asyncProperty(bySort, async ({ sort, order, limit, filter }) => {
      const expected = idsOf((await page(`limit=500${filter}`)).items);
      const items = await walk(`limit=${limit}&sort=${sort}&order=${order}${filter}`);
      expect(idsOf(items).toSorted()).toEqual(expected);
      const key = keyOf(sort, names);
      const places = items.map((item) => [key(item), item.id] as const);
      const sorted = places.toSorted(([a, idA], [b, idB]) => (a < b || (a === b && idA < idB) ? -1 : 1));
      // Pages show times in milliseconds, and order them by microseconds.
      if (sort !== 'updated' && sort !== 'lastSeen') expect(places).toEqual(order === 'asc' ? sorted : sorted.toReversed());
      else expect(places.map(([time]) => time)).toEqual((order === 'asc' ? sorted : sorted.toReversed()).map(([time]) => time));
    }),
    { numRuns: 40 },
  );
});

test('devices that stay as they are come once, while others change, come and go between the pages', async () => {
  const { sql } = service.database;
  await fc.assert(
    fc.asyncProperty(bySort, fc.integer({ min: 3, max: 20 }), async ({ sort, order, limit }, share) => {
      const quiet = await sql<
        { id: string }[]
      >`select id from devices where right(id, 3)::int % ${share} > 0 and id like 'till-%' order by id`;
      const items = await walk(`limit=${limit}&sort=${sort}&order=${order}`, async (number) => {
        // Devices that move to the end of the order again and again would prolong the walk for ever.
        if (number > 8) return;
        await sql`
          update devices set name = 'Moved ' || ${number} || id, type = 'moved' || ${number}, updated_at = now(), last_seen_at = now(),
            sync_status = case when sync_status = 'failed' then 'in_sync' else 'failed' end, site_id = ${siteIds[number % 5] ?? null}
          where right(id, 3)::int % ${share} = 0`;
        await sql`delete from devices where id like 'guest-%'`;
        await seedDevices(sql, organizationId, { devices: 20, sites: 0, sources: 0, prefix: 'guest' });
      });
      const found = idsOf(items);
      const once = new Set(quiet.map(({ id }) => id));
      expect(found.filter((id) => once.has(id)).toSorted()).toEqual([...once]);
      if (sort === 'id') expect(new Set(found).size).toBe(found.length);
    }),
    { numRuns: 15 },
  );
  await sql`delete from devices where id like 'guest-%'`;
});

test('a cursor is good for its own list alone', async () => {
  const { nextCursor } = await page('limit=5&sort=name&status=in_sync');
  expect((await page(`limit=7&sort=name&order=asc&status=in_sync&cursor=${nextCursor}`)).items).toHaveLength(7);
  for (const query of ['sort=name', 'sort=type&status=in_sync', 'sort=name&order=desc&status=in_sync', 'sort=name&status=failed']) {
    const { status, body } = await service.api('GET', `/devices?${query}&cursor=${nextCursor}`);
    expect([query, status, body.code]).toEqual([query, 400, 'invalid_request']);
    expect(body.detail).toBe(
      'Cannot use the cursor: it belongs to a list with another filter or order; ask for the first page of this one',
    );
  }
  const garbage = Buffer.from('["x","\\u0000","a"]').toString('base64url');
  for (const cursor of ['x', garbage, `${nextCursor}A`, Buffer.from('till-000001').toString('base64url')])
    expect((await service.api('GET', `/devices?sort=name&status=in_sync&cursor=${cursor}`)).status).toBe(400);
});

test('each filter chooses what its values say, also several', async () => {
  const all = (await page('limit=500')).items;
  const expectIds = async (query: string, matches: (item: Item) => boolean) => {
    const expected = all.filter(matches);
    expect(expected.length, query).toBeGreaterThan(0);
    expect(idsOf((await page(`limit=500&${query}`)).items), query).toEqual(idsOf(expected));
    expect((await service.api('GET', `/devices/counts?${query}`)).body.total, query).toBe(expected.length);
  };
  expect(all).toHaveLength(DEVICES);
  await expectIds('status=failed&status=pending', ({ syncStatus }) => syncStatus === 'failed' || syncStatus === 'pending');
  await expectIds('connectivity=offline', ({ connectivity }) => connectivity === 'offline');
  await expectIds(`site=${siteIds[0]}&site=${siteIds[1]}`, ({ siteId }) => siteId === siteIds[0] || siteId === siteIds[1]);
  await expectIds(`source=${sourceIds[0]}`, ({ sourceId }) => sourceId === sourceIds[0]);
  await expectIds('sourceKind=EXTERNAL', ({ sourceKind }) => sourceKind === 'EXTERNAL');
  await expectIds('adapter=golioth', ({ adapter }) => adapter === 'golioth');
  await expectIds('simulated=true', ({ simulated }) => simulated === true);
  await expectIds('simulated=false', ({ simulated }) => simulated === false);
  await expectIds('archived=true', ({ archivedAt }) => archivedAt !== null);
  await expectIds('label=floor%3D1&label=floor%3D2', ({ labels }) => labels.floor === '1' || labels.floor === '2');
  await expectIds('label=floor%3D1&label=region%3Deast', ({ labels }) => labels.floor === '1' && labels.region === 'east');
  await expectIds('q=L-00001', ({ id, labels }) => id.includes('l-00001') || String(labels.serial).includes('l-00001'));
  await expectIds('q=ünï', ({ name }) => name.includes('ünï'));
  await expectIds('q=same%20%22NAME', ({ name }) => name.includes('Same "name'));
  await expectIds('q=sn1047', ({ labels }) => labels.serial?.startsWith('sn1047') === true);
  await service.database.sql`update devices set held_at = now(), held_by = 'ada' where id = 'till-000003'`;
  expect(idsOf((await page('limit=500&held=true')).items)).toContain('till-000003');
  expect(idsOf((await page('limit=500&held=false')).items)).not.toContain('till-000003');
  expect((await page('q=100%25')).items).toEqual([]);
});

test('words of a device follow its name and labels', async () => {
  await service.api('PATCH', '/devices/till-000004', { name: 'Backroom', labels: { rack: 'R2-D2' } });
  expect(idsOf((await page('q=backroom')).items)).toEqual(['till-000004']);
  expect(idsOf((await page('q=r2-d')).items)).toEqual(['till-000004']);
  await service.api('PATCH', '/devices/till-000004', { labels: {} });
  expect((await page('q=r2-d')).items).toEqual([]);
});

test('a row says which commit runs, and whether its folder at the head has another bundle', async () => {
  const { items } = await page(`limit=500&source=${sourceIds[1]}`);
  const runs = items.map(({ behind, reported, runningCommit, headCommit }) => ({ behind, reported, runningCommit, headCommit }));
  const head = '2'.padStart(40, 'a');
  expect(new Set(runs.map((run) => JSON.stringify(run)))).toEqual(
    new Set([JSON.stringify({ behind: false, reported: { bundle: 'b'.repeat(64) }, runningCommit: head, headCommit: head })]),
  );
  const [old] = (await page(`limit=1&source=${sourceIds[0]}&q=till-000004`)).items;
  expect(old).toMatchObject({ behind: true, reported: { bundle: 'a'.repeat(64) } });
  await service.api('POST', '/devices', { id: 'unbound' });
  expect((await page('q=unbound')).items).toMatchObject([{ behind: null, runningCommit: null, headCommit: null }]);
  await service.api('DELETE', '/devices/unbound');
});

test('counts add up to the total, and name the sites and sources', async () => {
  const { body } = await service.api('GET', '/devices/counts');
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
  for (const kind of ['byStatus', 'byConnectivity', 'bySourceKind', 'byAdapter']) expect([kind, sum(body[kind])]).toEqual([kind, DEVICES]);
  for (const kind of ['bySite', 'bySource', 'byType']) {
    const counted = body[kind].items.reduce((total: number, { count }: { count: number }) => total + count, body[kind].other);
    expect([kind, counted]).toEqual([kind, DEVICES]);
  }
  expect(body.bySource.items.map(({ name }: { name: string }) => name).toSorted()).toEqual(['till-source-1', 'till-source-2']);
  const sites: { value: string | null; name: string | null; count: number }[] = body.bySite.items;
  expect(sites.find(({ value }) => value === null)?.name).toBeNull();
  expect((await service.api('GET', '/devices/counts?q=nobody-has-this')).body).toMatchObject({ total: 0, byStatus: {} });
});

test('more sites than are counted one by one are counted together', async () => {
  const { sql } = service.database;
  await seedDevices(sql, organizationId, { devices: 120, sites: 60, sources: 0, prefix: 'many' });
  const { total, bySite } = (await service.api('GET', '/devices/counts?q=many-')).body;
  expect([total, bySite.items.length, bySite.other]).toEqual([120, 50, 20]);
  await sql`delete from devices where id like 'many-%'`;
});

test.each(['status=nope', 'sort=colour', 'order=up', 'held=yes', 'label=floor', 'site=x', 'integration=nope', `q=${'x'.repeat(201)}`])(
  'refuses %s',
  async (query) => {
    const { status } = await service.api('GET', `/devices?${query}`);
    expect(status).toBe(query.startsWith('integration') ? 404 : 400);
  },
);
