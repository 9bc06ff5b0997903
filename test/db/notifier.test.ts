import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Notifier, openNotifier } from '../../src/db/notifier.ts';
import { createLog } from '../../src/log.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openRelay, type Relay } from '../support/relay.ts';
import { eventually } from '../support/service.ts';

let database: TestDatabase;
let relay: Relay;
let notifier: Notifier;
beforeEach(async () => {
  database = await openTestDatabase();
  const url = new URL(database.url);
  relay = await openRelay(() => `${url.searchParams.get('host')}/.s.PGSQL.5432`);
  notifier = openNotifier(`postgresql://${url.username}@127.0.0.1:${relay.port}${url.pathname}`, createLog('silent'));
});
afterEach(async () => {
  await notifier.close();
  await relay.close();
  await database.close();
});

async function subscribe(channel: string) {
  const heard: string[] = [];
  let missed = 0;
  const unsubscribe = await notifier.subscribe(channel, {
    onNotify: (payload) => heard.push(payload),
    onMissed: () => {
      missed += 1;
    },
  });
  return { heard, missed: () => missed, unsubscribe };
}

const notify = (channel: string, payload: string) => database.sql`select pg_notify(${channel}, ${payload})`;
const connections = () =>
  database.sql`select 1 from pg_stat_activity where application_name = 'bellwether listen' and datname = current_database()`;

test('all subscribers share one connection, and each gets the notifications of its own channel', async () => {
  const [a, alsoA, b] = [await subscribe('a'), await subscribe('a'), await subscribe('b')];
  await notify('a', 'one');
  await notify('b', 'two');
  await eventually('all have heard', async () => a.heard.length + alsoA.heard.length + b.heard.length === 3);
  expect([a.heard, alsoA.heard, b.heard]).toEqual([['one'], ['one'], ['two']]);
  expect(await connections()).toHaveLength(1);
});

test('each subscriber reads again at the beginning and after a reconnect, and then gets notifications', async () => {
  const [a, alsoA, b] = [await subscribe('a'), await subscribe('a'), await subscribe('b')];
  const all = [a, alsoA, b];
  for (const { missed } of all) expect(missed()).toBeGreaterThan(0);
  for (let round = 0; round < 3; round += 1) {
    const before = all.map(({ missed }) => missed());
    relay.breakAll();
    await eventually('all read again', async () => all.every(({ missed }, index) => missed() > (before[index] ?? 0)));
    await notify('a', `round ${round}`);
    await eventually('it is heard', async () => alsoA.heard.length === round + 1);
  }
  expect(a.heard).toEqual(['round 0', 'round 1', 'round 2']);
  expect(b.heard).toEqual([]);
});

test('an error of one subscriber does not affect the others', async () => {
  const fail = () => {
    throw new Error('broken');
  };
  await notifier.subscribe('a', { onNotify: fail, onMissed: fail });
  const a = await subscribe('a');
  await notify('a', 'one');
  await eventually('it is heard', async () => a.heard.length === 1);
});

test('an ended subscription gets no more notifications', async () => {
  const [a, alsoA] = [await subscribe('a'), await subscribe('a')];
  a.unsubscribe();
  await notify('a', 'one');
  await eventually('the other hears', async () => alsoA.heard.length === 1);
  expect(a.heard).toEqual([]);
});

test('a subscription while the database refuses connections fails, and a later one succeeds', async () => {
  const { port } = relay;
  await relay.close();
  const unreachable = openNotifier(`postgresql://nobody@127.0.0.1:${port}/none`, createLog('silent'));
  const silent = { onNotify: () => undefined, onMissed: () => undefined };
  await expect(unreachable.subscribe('a', silent)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await unreachable.close();
});
