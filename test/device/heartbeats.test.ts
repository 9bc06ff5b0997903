import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { heartbeatSecondsFor } from '../../src/delivery/heartbeats.ts';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await openService();
});

afterAll(() => service.close());

test('a small fleet sends a heartbeat every 30 s, a large one less often, and none less than every ten minutes', () => {
  expect([0, 1, 3_000, 10_000, 50_000, 1_000_000].map(heartbeatSecondsFor)).toEqual([30, 30, 30, 100, 500, 600]);
});

test('up to 60,000 devices send at most 100 heartbeats a second, and a larger fleet never shortens the interval', () => {
  fc.assert(
    fc.property(fc.nat(60_000), fc.nat(60_000), (some, more) => {
      expect(some / heartbeatSecondsFor(some)).toBeLessThanOrEqual(100);
      expect(heartbeatSecondsFor(some + more)).toBeGreaterThanOrEqual(heartbeatSecondsFor(some));
    }),
  );
});

test('the desired state has the interval, and a poll counts as a report if the last report is old', async () => {
  const { apiKey } = (await service.api('POST', '/devices', { id: 'quiet' })).body;
  const poll = async () => {
    const answer = await fetch(`${service.url}/agent/v1/desired`, { headers: { 'x-device-id': 'quiet', 'x-api-key': apiKey } });
    const [, payload = ''] = (await answer.text()).split('.');
    return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  };
  const lastSeenAgo = async (seconds: number) => {
    await service.database.sql`update devices set last_seen_at = now() - make_interval(secs => ${seconds}) where id = 'quiet'`;
  };
  const isSeenNow = async () => {
    const [row] = await service.database.sql`select last_seen_at > now() - interval '20 s' as seen from devices where id = 'quiet'`;
    return row?.seen;
  };
  expect(await poll()).toMatchObject({ heartbeatSeconds: 30 });
  await lastSeenAgo(30);
  await poll();
  expect(await isSeenNow()).toBe(false);
  await lastSeenAgo(60);
  await poll();
  expect(await isSeenNow()).toBe(true);
});

test('a report changes only the row of a device and no index', async () => {
  await service.api('POST', '/devices', { id: 'lively' });
  const counts = await service.database.sql.begin(async (tx) => {
    const count = async () => {
      const [row] = await tx`select pg_stat_get_xact_tuples_updated('devices'::regclass) as updated,
        pg_stat_get_xact_tuples_hot_updated('devices'::regclass) as "withoutIndex"`;
      return { updated: Number(row?.updated), withoutIndex: Number(row?.withoutIndex) };
    };
    const before = await count();
    await tx`update devices set last_seen_at = now(), connectivity = 'online' where id = 'lively'`;
    const after = await count();
    return { updated: after.updated - before.updated, withoutIndex: after.withoutIndex - before.withoutIndex };
  });
  expect(counts).toEqual({ updated: 1, withoutIndex: 1 });
});
