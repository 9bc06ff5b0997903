import { afterEach, beforeEach, expect, test } from 'vitest';
import { JOBS_CHANNEL, openQueue, type Queue } from '../../src/db/queue.ts';
import { createLog } from '../../src/log.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/service.ts';

const log = createLog('silent');
let database: TestDatabase;
let queue: Queue;

beforeEach(async () => {
  database = await openTestDatabase();
  queue = await openQueue(database.url, database.sql, database.notifier, log);
});

afterEach(async () => {
  await queue.close();
  await database.close();
});

/** Handles the queue `source`. Jobs of the key `held` wait for `release`. */
async function startWork(concurrency: number) {
  const begun: string[] = [];
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let [together, most] = [0, 0];
  await queue.work('source', concurrency, async (key) => {
    begun.push(key);
    if (key !== 'held') return;
    together += 1;
    most = Math.max(most, together);
    await held;
    together -= 1;
  });
  return { begun, release, most: () => most };
}

const activeOnRecord = async (): Promise<string[]> => {
  const [row] = await database.sql<[{ keys: string[] | null }]>`select singletons_active as keys from pgboss.queue where name = 'source'`;
  return row.keys ?? [];
};

test('a job is announced when its transaction commits', async () => {
  const heard: string[] = [];
  const listener = await database.sql.listen(JOBS_CHANNEL, (name) => heard.push(name));
  await database.sql.begin((tx) => queue.enqueue(tx, 'rollout', 'key'));
  await eventually('it is heard of', async () => heard.length > 0);
  expect(heard).toEqual(['rollout']);
  await listener.unlisten();
});

test('a wake-up does not wait for statistics about jobs that were active some seconds ago', async () => {
  await queue.close();
  // pg-boss counts jobs every five seconds and leaves this state when it counts during the work.
  await database.sql`update pgboss.queue set singletons_active = '{key}', monitor_on = pgboss.job_now(), monitor_claim_on = pgboss.job_now()`;
  queue = await openQueue(database.url, database.sql, database.notifier, log);
  const onRecord = Promise.withResolvers<string[]>();
  await queue.work('source', 2, async () => onRecord.resolve(await activeOnRecord()));
  await queue.enqueue(database.sql, 'source', 'key');
  expect(await onRecord.promise).toEqual(['key']);
});

test('one job of a key is active and one waits for its end, while jobs of other keys run', async () => {
  const { begun, release, most } = await startWork(2);
  await queue.enqueue(database.sql, 'source', 'held');
  await eventually('the job is active', async () => begun.length === 1);
  expect(await queue.enqueue(database.sql, 'source', 'held')).toBe(true);
  expect(await queue.enqueue(database.sql, 'source', 'held')).toBe(false);
  for (const key of ['a', 'b']) await queue.enqueue(database.sql, 'source', key);
  await eventually('the other keys are handled', async () => begun.length === 3);
  expect([...begun].sort()).toEqual(['a', 'b', 'held']);
  release();
  await eventually('the one that waited is handled', async () => begun.length === 4);
  expect([begun.filter((key) => key === 'held').length, most()]).toEqual([2, 1]);
  await eventually('nothing is left', async () => Object.keys(await queue.depths()).length === 0);
});

test('a failure to enqueue a job again after its commit is logged, and the caller continues', async () => {
  const logged: { level: string; msg: string }[] = [];
  const note = (level: string) => (_fields: object, msg: string) => logged.push({ level, msg });
  const recording = { ...log, debug: note('debug'), error: note('error'), warn: note('warn') } as unknown as typeof log;
  const failing = (error: Error) => ({ unsafe: () => Promise.reject(error) }) as unknown as typeof database.sql;
  const msg = 'failed to enqueue a job again after its commit; the next resync runs it';
  for (const [error, level] of [
    [new Error('a defect'), 'error'],
    [Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'debug'],
  ] as const) {
    const broken = await openQueue(database.url, failing(error), database.notifier, recording);
    await broken.enqueueAgain('source', 'key');
    await broken.close();
    expect(logged.splice(0).filter((line) => line.msg === msg)).toEqual([{ level, msg }]);
  }
});
