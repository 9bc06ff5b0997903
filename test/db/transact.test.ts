import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Store, transact, type Unit } from '../../src/event/transact.ts';
import { openHeap } from '../../src/heap.ts';
import { newId } from '../../src/ids.ts';
import { openTestStore, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/service.ts';

let database: TestDatabase;
let store: Store;
let organizationId: string;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ database, store, organizationId, close } = await openTestStore());
  for (const name of ['a', 'b'])
    await database.sql`insert into sites (organization_id, id, name) values (${organizationId}, ${newId()}, ${name})`;
});
afterAll(() => close());

test('two transactions that deadlock both take effect once', async () => {
  let [arrived, runs] = [0, 0];
  const both = Promise.withResolvers<void>();
  const rename =
    (first: string, second: string) =>
    async ({ tx, emit }: Unit) => {
      runs += 1;
      await tx`select 1 from sites where name = ${first} for update`;
      arrived += 1;
      if (arrived === 2) both.resolve();
      await both.promise;
      await tx`select 1 from sites where name = ${second} for update`;
      emit({ organizationId, type: 'device.changed', subject: `device:${first}`, data: { fields: [] } });
    };
  await Promise.all([transact(store, rename('a', 'b')), transact(store, rename('b', 'a'))]);
  expect(runs).toBe(3);
  const events = await database.sql<{ subject: string }[]>`select subject from events order by subject`;
  expect(events.map(({ subject }) => subject)).toEqual(['device:a', 'device:b']);
});

test('any other error ends a transaction at the first attempt and leaves no change', async () => {
  let runs = 0;
  const work = async ({ tx }: Unit) => {
    runs += 1;
    await tx`insert into sites (organization_id, id, name) values (${organizationId}, ${newId()}, 'c')`;
    await tx`select 1 / 0`;
  };
  await expect(transact(store, work)).rejects.toThrow('division by zero');
  expect([runs, await database.sql`select 1 from sites where name = 'c'`]).toEqual([1, []]);
});

test('memory of a transaction is released after it, although its statements were the first of their kind', async () => {
  const { collect } = openHeap();
  const used = async () => {
    const revision = { folders: Array.from({ length: 100 }, (_, n) => ({ n })) };
    await transact(store, async ({ tx }) => {
      await tx`select ${revision.folders.length}::int as folders`;
    });
    return new WeakRef(revision);
  };
  const revision = await used();
  await eventually('its memory is released', async () => {
    collect();
    return revision.deref() === undefined || undefined;
  });
});
