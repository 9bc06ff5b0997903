import { describe, expect, test } from 'vitest';
import type { Closing, DeviceUpdate } from '../../src/wire/live.ts';
import { append, collect, connected, database, live, next, restart, status, subscribe, tenant, until, useLive } from './live-support.ts';

useLive();

describe('device_update', () => {
  test('many status changes are reduced to 10 a second, and the last state arrives', async () => {
    const one = await tenant();
    const client = await connected(one);
    const updates: (DeviceUpdate & { atMs: number })[] = [];
    client.on('device_update', (update: DeviceUpdate) => updates.push({ ...update, atMs: performance.now() }));
    await subscribe(client, ['devices', 'device:a']);
    const started = performance.now();
    await append(one, [status('a', 'UPDATING')]);
    await until(() => updates.length === 1);
    for (let i = 0; i < 600; i++) await append(one, [status('a', i % 2 === 0 ? 'UPDATING' : 'ERROR')]);
    await append(one, [status('a', 'ONLINE')]);
    await until(() => updates.at(-1)?.status === 'ONLINE');
    const elapsedMs = performance.now() - started;
    expect(updates.length).toBeGreaterThan(2);
    expect(updates.length).toBeLessThanOrEqual(Math.ceil(elapsedMs / 100) + 1);
    expect(updates[0]).toMatchObject({
      device_id: 'a',
      status: 'UPDATING',
      sync_status: 'updating',
      connectivity: 'online',
      timestamp: expect.any(String),
      cursor: expect.any(Number),
    });
    expect(updates.map((update) => update.cursor)).toEqual(updates.map((update) => update.cursor).toSorted((a, b) => a - b));
  });

  test('events without a status arrive with the present state of the device', async () => {
    const one = await tenant();
    await database.sql`
      insert into devices (organization_id, id, name, type, adapter, sync_status, connectivity)
      values (${one.id}, 'held-1', 'n', 't', 'agent', 'held', 'online')`;
    const client = await connected(one);
    const updates = collect<DeviceUpdate>(client, 'device_update');
    await subscribe(client, ['devices']);
    await append(one, [{ type: 'device.held', subject: 'device:held-1' }]);
    await until(() => updates.length === 1);
    await append(one, [
      { type: 'device.deleted', subject: 'device:gone' },
      { type: 'device.held', subject: 'device:unknown' },
      { type: 'deployment.state', subject: 'device:held-1' },
    ]);
    await until(() => updates.length === 2);
    expect(updates).toMatchObject([
      { device_id: 'held-1', status: 'ONLINE', sync_status: 'held', connectivity: 'online' },
      { device_id: 'gone', status: 'OFFLINE', deleted: true },
    ]);
  });

  test('a service that stops reports its devices as offline to dashboards before it closes', async () => {
    const one = await tenant();
    await database.sql`
      insert into devices (organization_id, id, name, type, adapter, sync_status, connectivity)
      select ${one.id}, id, 'n', 't', 'agent', 'in_sync', 'online' from unnest(array['x', 'y']) as id`;
    const client = await connected(one);
    const updates = collect<DeviceUpdate>(client, 'device_update');
    const closing = next<Closing>(client, 'closing');
    const ended = next<string>(client, 'disconnect');
    await subscribe(client, ['devices']);
    await append(one, [{ type: 'service.not_watching', subject: 'service:controller', data: { deviceIds: ['x', 'y'] } }]);
    await live.close();
    await ended;
    expect((await closing).code).toBe('shutting_down');
    expect(updates.map((update) => [update.device_id, update.status, update.sync_status])).toEqual([
      ['x', 'OFFLINE', 'in_sync'],
      ['y', 'OFFLINE', 'in_sync'],
    ]);
    await restart();
  });
});
