import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { clearStale, sourcesToEvaluate, stalePaths } from '../../src/revision/stale-paths-store.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
const organizationId = newId();
const site = newId();
/** A fleet that depends on devices, one that does not, and a repository of one device. */
const sources = { layered: newId(), plain: newId(), single: newId() };

beforeAll(async () => {
  database = await openTestDatabase();
  const { sql } = database;
  await sql`insert into organizations (id, name) values (${organizationId}, 'stale')`;
  await sql`insert into sites (organization_id, id, name) values (${organizationId}, ${site}, 'berlin')`;
  for (const [name, id] of Object.entries(sources)) {
    const layout = name === 'single' ? 'repo' : 'fleet';
    await sql`insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds, per_device, status, head_commit, prepared_commit)
      values (${organizationId}, ${id}, ${name}, 'https://git.example.com/x', 'main', ${layout}, 60, ${name === 'layered'}, 'ok', 'c', 'c')`;
  }
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.sql`delete from devices`;
  await database.sql`delete from stale_paths`;
});

const insert = (ids: string[], source: keyof typeof sources = 'layered') =>
  database.sql`insert into devices (organization_id, id, name, type, source_id, path)
    select ${organizationId}, id, id, 'till', ${sources[source]}, 'devices/' || id from unnest(${ids}::text[]) as id`;
const owner = (source: keyof typeof sources = 'layered') => ({ organizationId, sourceId: sources[source] });
const marked = async (source: keyof typeof sources = 'layered') =>
  (await stalePaths(database.sql, owner(source))).paths.map(({ path }) => path);
const clear = async () => clearStale(database.sql, owner(), (await stalePaths(database.sql, owner())).paths);

test('devices that come, go, or move mark their folders, in fleets only', async () => {
  await insert(['a', 'b', 'c']);
  await insert(['p'], 'plain');
  await insert(['s'], 'single');
  expect([await marked(), await marked('plain'), await marked('single')]).toEqual([
    ['devices/a', 'devices/b', 'devices/c'],
    ['devices/p'],
    [],
  ]);
  await clear();
  expect(await marked()).toEqual([]);
  await database.sql`delete from devices where id = 'b'`;
  expect(await marked()).toEqual(['devices/b']);
  await database.sql`update devices set path = 'devices/new' where id = 'c'`;
  await database.sql`update devices set source_id = null, path = null where id = 'a'`;
  expect(await marked()).toEqual(['devices/a', 'devices/b', 'devices/c', 'devices/new']);
});

test('what configuration may depend on marks the folder when it is another, and nothing else does', async () => {
  await insert(['a']);
  const marks = async (change: string): Promise<boolean> => {
    await clear();
    await database.sql.unsafe(`update devices set ${change} where id = 'a'`);
    return (await marked()).length > 0;
  };
  for (const change of [`name = 'x'`, `type = 'x'`, `labels = '{"role":"pos"}'`, `site_id = '${site}'`])
    expect(await marks(change), change).toBe(true);
  for (const change of [
    `labels = '{"role":"pos"}', name = name`,
    'last_seen_at = now()',
    `sync_status = 'pending', version = version + 1`,
    `site_id = '${site}'`,
  ])
    expect(await marks(change), change).toBe(false);
});

test('a site that gets another name marks the folders of its devices', async () => {
  await insert(['a', 'b']);
  await database.sql`update devices set site_id = ${site} where id = 'b'`;
  await clear();
  await database.sql`update sites set name = 'hamburg' where id = ${site}`;
  expect(await marked()).toEqual(['devices/b']);
});

test('a change that comes while a folder is evaluated outlasts the evaluation', async () => {
  await insert(['a', 'b']);
  const { paths } = await stalePaths(database.sql, owner());
  await database.sql`update devices set labels = '{"role":"pos"}' where id = 'a'`;
  await clearStale(database.sql, owner(), paths);
  expect(await marked()).toEqual(['devices/a']);
});

test('sources are to be evaluated while they have marks, depend on devices, are not held, and their head is prepared', async () => {
  expect(await sourcesToEvaluate(database.sql)).toEqual([]);
  await insert(['a']);
  await insert(['p'], 'plain');
  expect(await sourcesToEvaluate(database.sql)).toEqual([sources.layered]);
  expect((await stalePaths(database.sql, owner())).isDue).toBe(true);
  expect((await stalePaths(database.sql, owner('plain'))).isDue).toBe(false);
  const { sql } = database;
  for (const [set, unset] of [
    ['held_at = now()', 'held_at = null'],
    [`head_commit = 'd'`, `head_commit = 'c'`],
    [`status = 'failing'`, `status = 'ok'`],
  ] as const) {
    await sql.unsafe(`update sources set ${set} where name = 'layered'`);
    expect(await sourcesToEvaluate(sql), set).toEqual([]);
    await sql.unsafe(`update sources set ${unset} where name = 'layered'`);
  }
  expect(await sourcesToEvaluate(sql)).toEqual([sources.layered]);
});

test('a source that is deleted leaves no marks, and a device that changes waits for no lock of its source', async () => {
  const { sql } = database;
  await insert(['a']);
  await clear();
  await sql.begin(async (tx) => {
    await tx`select 1 from sources where id = ${sources.layered} for update`;
    await sql`update devices set labels = '{"lane":"1"}' where id = 'a'`;
  });
  expect(await marked()).toEqual(['devices/a']);
  const gone = newId();
  await sql`insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds) values (${organizationId}, ${gone}, 'gone', 'x', 'main', 'fleet', 60)`;
  await sql`update devices set source_id = ${gone} where id = 'a'`;
  await sql`update devices set source_id = null where id = 'a'`;
  await sql`delete from sources where id = ${gone}`;
  expect(await sql`select 1 from stale_paths where source_id = ${gone}`).toHaveLength(0);
});
