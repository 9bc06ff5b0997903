import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, type Sql } from '../../src/db/connect.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openRelay, type Relay } from '../support/relay.ts';
import { eventually } from '../support/service.ts';

let database: TestDatabase;
let relay: Relay;
let sql: Sql;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql`create table marks (mark int not null)`;
  const url = new URL(database.url);
  relay = await openRelay(() => `${url.searchParams.get('host')}/.s.PGSQL.5432`);
  sql = connect(`postgresql://${url.username}@127.0.0.1:${relay.port}${url.pathname}`, { max: 1 });
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await relay.close();
  await database.close();
});

const answers = async () => expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
const fails = (work: Promise<unknown>) =>
  expect(work).rejects.toMatchObject({ code: expect.stringMatching(/^(CONNECTION_CLOSED|ECONNRESET|57P01)$/) });

test('a transaction whose connection is lost fails, and the next query uses a new connection', async () => {
  for (let round = 0; round < 10; round += 1) {
    await fails(
      sql.begin(async (tx) => {
        await tx`insert into marks values (1)`;
        relay.breakAll();
        await tx`select pg_sleep(60)`;
      }),
    );
    await answers();
  }
  expect(await sql`select 1 from marks`).toEqual([]);
});

test('a transaction that the server ends fails, and the next query is answered', async () => {
  for (let round = 0; round < 10; round += 1) {
    await fails(sql.begin((tx) => tx`select pg_terminate_backend(pg_backend_pid())`));
    await answers();
  }
});

test('a transaction does not continue on the connection that replaces its own', async () => {
  const replaced = Promise.withResolvers<void>();
  const work = sql.begin(async (tx) => {
    await tx`insert into marks values (2)`;
    relay.breakAll();
    await replaced.promise;
    await tx`insert into marks values (3)`;
  });
  await fails(work);
  await answers();
  replaced.resolve();
  await answers();
  await answers();
  expect(await sql`select mark from marks`).toEqual([]);
});

test('writes during the loss of a connection do not block later queries', async () => {
  const backend = async () => (await sql<{ pid: number }[]>`select pg_backend_pid() as pid`)[0]?.pid;
  for (let round = 0; round < 20; round += 1) {
    const pid = await backend();
    const terminated = database.sql`select pg_terminate_backend(${pid!})`.execute();
    const asked: Promise<unknown>[] = [];
    // The connection may end in any turn of the event loop.
    for (let turn = 0; turn < 40; turn += 1) {
      asked.push(backend().catch(() => undefined));
      await new Promise((done) => setImmediate(done));
    }
    await Promise.all([terminated, ...asked]);
    await eventually('a new connection answers', async () => {
      const now = await backend().catch(() => undefined);
      return now !== undefined && now !== pid;
    });
  }
});

test('a new connection that is lost while it queries types is replaced, without an unhandled rejection', async () => {
  const url = new URL(database.url);
  let cuts = 3;
  const cutting = await openRelay(
    () => `${url.searchParams.get('host')}/.s.PGSQL.5432`,
    (data) => data.includes('typcategory') && cuts-- > 0,
  );
  const rejected: unknown[] = [];
  const note = (error: unknown) => rejected.push(error);
  process.on('unhandledRejection', note);
  const own = connect(`postgresql://${url.username}@127.0.0.1:${cutting.port}${url.pathname}`, { max: 1 });
  try {
    await eventually('an answer', async () => {
      const rows = await own<{ names: string[] }[]>`select array['a', 'b'] as names`.catch(() => undefined);
      return rows?.[0]?.names.join() === 'a,b';
    });
    expect(cuts).toBeLessThan(0);
    expect(rejected).toEqual([]);
  } finally {
    process.off('unhandledRejection', note);
    await own.end({ timeout: 1 });
    await cutting.close();
  }
});
