import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, type Db, type Sql } from '../../src/db/connect.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

/** The queries that the client sends on one connection before the answers, by its default `max_pipeline`. */
const PIPELINE = 100;

let database: TestDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await openTestDatabase();
  await database.sql`create table marks (mark int primary key)`;
  sql = connect(database.url, { max: 1 });
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await database.close();
});

/** A query is sent when it is awaited or executed. */
const one = () => sql<{ one: number }[]>`select 1 as one`;
const inTransaction = (on: Db) => on<{ active: boolean }[]>`select pg_current_xact_id_if_assigned() is not null as active`;

/** porsager/postgres#1210: 3.4.9 without our patch leaves such a transaction open, with the queries of others in it. */
test.each([PIPELINE - 1, PIPELINE, PIPELINE + 1])('a transaction that begins behind %i queries has its connection alone', async (ahead) => {
  await one();
  const before = Array.from({ length: ahead }, () => one().execute());
  const transaction = sql.begin(async (tx) => {
    await tx`insert into marks values (${ahead})`;
    return inTransaction(tx);
  });
  const after = Array.from({ length: 3 }, () => inTransaction(sql).execute());
  expect(await transaction).toEqual([{ active: true }]);
  expect((await Promise.all(before)).every(([row]) => row?.one === 1)).toBe(true);
  expect(await Promise.all(after)).toEqual(Array.from({ length: 3 }, () => [{ active: false }]));
  expect(await database.sql`select 1 from marks where mark = ${ahead}`).toHaveLength(1);
});
