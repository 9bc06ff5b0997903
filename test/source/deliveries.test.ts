import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { ensureOrganization } from '../../src/organization/store.ts';
import { pruneHookDeliveries } from '../../src/source/deliveries-store.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let organizationId: string;

beforeAll(async () => {
  database = await openTestDatabase();
  organizationId = await ensureOrganization(database.sql, newId(), 'deliveries');
});

afterAll(() => database.close());

async function sourceWithDeliveries(deliveries: readonly { count: number; verdict: string; daysAgo: number }[]): Promise<string> {
  const id = newId();
  await database.sql`
    insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds)
    values (${organizationId}, ${id}, ${id}, 'https://git.example.com/a.git', 'main', 'repo', 60)`;
  for (const { count, verdict, daysAgo } of deliveries) {
    await database.sql`
      insert into hook_deliveries (organization_id, source_id, delivery_id, provider, event, verdict, received_at)
      select ${organizationId}, ${id}, uuid_v7()::text, 'gitlab', 'push', ${verdict}, now() - make_interval(days => ${daysAgo}) from generate_series(1, ${count}::int)`;
  }
  return id;
}

async function left(sourceId: string): Promise<Record<string, number>> {
  const rows = await database.sql<{ what: string; count: number }[]>`
    select verdict || case when received_at < now() - interval '30 days' then ', old' else ', new' end as what, count(*)::int as count
    from hook_deliveries where source_id = ${sourceId} group by 1`;
  return Object.fromEntries(rows.map((row) => [row.what, row.count]));
}

test('genuine deliveries older than a month are deleted in batches, except the last ones of each source', async () => {
  const busy = await sourceWithDeliveries([
    { count: 1_500, verdict: 'accepted', daysAgo: 40 },
    { count: 1_500, verdict: 'other_ref', daysAgo: 35 },
    { count: 3, verdict: 'unauthorized', daysAgo: 35 },
    { count: 120, verdict: 'accepted', daysAgo: 1 },
  ]);
  const quiet = await sourceWithDeliveries([{ count: 130, verdict: 'accepted', daysAgo: 300 }]);
  const young = await sourceWithDeliveries([{ count: 5, verdict: 'accepted', daysAgo: 300 }]);
  expect(await pruneHookDeliveries(database.sql, 30, 100)).toBe(3_030);
  expect(await left(busy)).toEqual({ 'accepted, new': 120, 'unauthorized, old': 3 });
  expect(await left(quiet)).toEqual({ 'accepted, old': 100 });
  expect(await left(young)).toEqual({ 'accepted, old': 5 });
  expect(await pruneHookDeliveries(database.sql, 30, 100)).toBe(0);
});
