import { describe, expect, test } from 'vitest';
import { eventBounds } from '../../src/event/store.ts';
import type { DeviceUpdate, LiveEvent } from '../../src/wire/live.ts';
import { openTestDatabase } from '../support/database.ts';
import { append, collect, connected, database, restart, status, subscribe, tenant, until, useLive } from './live-support.ts';

useLive();

describe('replay', () => {
  test('missed events arrive before new ones, without gaps or duplicates, during many writes', async () => {
    const one = await tenant();
    await append(one, [{ subject: 'device:start' }]);
    const { last: start } = await eventBounds(database.sql, one.id);
    let writing = true;
    const writer = async (name: number): Promise<void> => {
      for (let i = 0; i < 60 && writing; i++)
        await append(one, [
          { subject: `device:w${name}`, data: { fields: [String(i)] } },
          { subject: 'source:s', type: 'source.synced' },
        ]);
    };
    const writers = [1, 2, 3, 4].map(writer);
    const sessions: LiveEvent[][] = [];
    for (let session = 0; session < 6; session++) {
      const client = await connected(one);
      sessions.push(collect<LiveEvent>(client, 'event'));
      expect(await subscribe(client, ['events', 'device:w1'], start)).toMatchObject({ ok: true });
    }
    await Promise.all(writers);
    writing = false;
    const rows = await database.sql<
      { cursor: number }[]
    >`select cursor from events where organization_id = ${one.id} and cursor > ${start} order by cursor`;
    const all = rows.map((row) => row.cursor);
    await until(() => sessions.every((session) => session.length >= all.length));
    for (const session of sessions) expect(session.map((event) => event.cursor)).toEqual(all);
    expect(all).toHaveLength(480);
  });

  test('only missed events of the topics are sent, and an event of two topics is sent once', async () => {
    const one = await tenant();
    await append(one, [{ subject: 'device:a' }]);
    const { last: start } = await eventBounds(database.sql, one.id);
    await append(one, [
      { subject: 'device:a', data: { fields: ['1'] } },
      { subject: 'device:b', data: { fields: ['2'] } },
    ]);
    const client = await connected(one);
    const events = collect<LiveEvent>(client, 'event');
    const first = await subscribe(client, ['device:a'], start);
    expect(first).toMatchObject({ ok: true, replayed: 1, cursor: (await eventBounds(database.sql, one.id)).last });
    await append(one, [{ subject: 'device:a', data: { fields: ['3'] } }]);
    await until(() => events.length === 2);
    expect(await subscribe(client, ['events'], start)).toMatchObject({ ok: true, replayed: 1 });
    await until(() => events.length === 3);
    expect(events.map((event) => event.data.fields)).toEqual([['1'], ['3'], ['2']]);
  });

  test('missed device updates arrive as the last state of each device', async () => {
    const one = await tenant();
    await append(one, [{ subject: 'source:s', type: 'source.synced' }]);
    const { last: start } = await eventBounds(database.sql, one.id);
    await append(one, [
      status('a', 'UPDATING'),
      status('b', 'UPDATING'),
      status('a', 'ONLINE'),
      { subject: 'source:s', type: 'source.synced' },
    ]);
    const client = await connected(one);
    const updates = collect<DeviceUpdate>(client, 'device_update');
    expect(await subscribe(client, ['devices'], start)).toMatchObject({ ok: true, replayed: 2 });
    await until(() => updates.length === 2);
    expect(updates.map((update) => [update.device_id, update.status])).toEqual([
      ['b', 'UPDATING'],
      ['a', 'ONLINE'],
    ]);
  });

  test('a cursor that is too old, or from another database, gets all kept events', async () => {
    const own = await openTestDatabase();
    await restart({ database: own });
    try {
      const one = await tenant(own);
      await append(
        one,
        Array.from({ length: 5 }, () => ({ subject: 'device:a' })),
        own,
      );
      await own.sql`delete from events where cursor <= 3`;
      const client = await connected(one);
      expect(await subscribe(client, ['events'], 1)).toMatchObject({ ok: false, code: 'cursor_too_old', first: 4, last: 5 });
      expect(await subscribe(client, ['events'], 999)).toMatchObject({ ok: false, code: 'cursor_too_old', first: 4, last: 5 });
      expect(await subscribe(client, ['events'], 3)).toMatchObject({ ok: true, replayed: 2, cursor: 5 });
    } finally {
      await restart();
      await own.close();
    }
  });

  test('more than 10,000 missed messages are not replayed', async () => {
    const one = await tenant();
    await append(one, [{ subject: 'device:a' }]);
    const { last: start } = await eventBounds(database.sql, one.id);
    await append(
      one,
      Array.from({ length: 10_001 }, (_, i) => ({ subject: `device:d${i % 7}` })),
    );
    const client = await connected(one);
    expect(await subscribe(client, ['events'], start)).toMatchObject({ ok: false, code: 'cursor_too_old', last: start + 10_001 });
    expect(await subscribe(client, ['device:d3'], start)).toMatchObject({ ok: true, replayed: 1_429 });
  });

  test('events that were missed while the listening connection was lost are delivered', async () => {
    const one = await tenant();
    const client = await connected(one);
    const events = collect<LiveEvent>(client, 'event');
    await subscribe(client, ['events']);
    await database.sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'`;
    await append(one, [{ subject: 'device:a' }]);
    await until(() => events.length === 1);
  });
});
