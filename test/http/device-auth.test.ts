import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openDeviceAuth } from '../../src/api/auth.ts';
import { readConfig } from '../../src/config.ts';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import type { Sql } from '../../src/db/connect.ts';
import { insertDeviceKey } from '../../src/device/store/keys.ts';
import { createRateLimits } from '../../src/http/rate-limit.ts';
import { openTestStore } from '../support/database.ts';
import { eventually } from '../support/service.ts';

let context: Awaited<ReturnType<typeof openTestStore>>;
beforeAll(async () => {
  context = await openTestStore();
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => context.close());

async function deviceWithKey(id: string): Promise<{ id: string; key: string }> {
  const { database, organizationId } = context;
  const key = mintToken('device');
  await database.sql`insert into devices (organization_id, id, name, type) values (${organizationId}, ${id}, ${id}, 'x')`;
  await insertDeviceKey(database.sql, organizationId, id, { hash: hashToken(key), last4: last4(key) });
  return { id, key };
}

test('keys in use are queried again every minute in one query, and a key that no longer works is refused', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const { sql } = context.database;
  let queries = 0;
  const counting = ((...statement: Parameters<Sql>) => {
    queries += 1;
    return sql(...statement);
  }) as Sql;
  const auth = await openDeviceAuth(
    counting,
    context.database.notifier,
    createRateLimits(readConfig({ DATABASE_URL: context.database.url })),
    false,
  );
  const devices = await Promise.all(['a', 'b', 'c', 'unused'].map(deviceWithKey));
  const [a, b, c, unused] = devices;
  const isKnown = async (device = a) => (await auth.identify(device?.id, device?.key, 'a sender')) !== undefined;
  expect(await Promise.all(devices.map(isKnown))).toEqual([true, true, true, true]);
  expect(queries).toBe(1);
  vi.advanceTimersByTime(60_000);
  await eventually('all are queried again', async () => queries === 2);
  expect(await Promise.all([a, b, c].map(isKnown))).toEqual([true, true, true]);
  expect(queries).toBe(2);
  // Without a NOTIFY.
  await sql`update device_keys set expires_at = now() where device_id = 'a'`;
  vi.advanceTimersByTime(60_000);
  await eventually('it is refused', async () => !(await isKnown(a)));
  const before = queries;
  expect(await Promise.all([b, c].map(isKnown))).toEqual([true, true]);
  expect(queries).toBe(before);
  expect(await isKnown(unused)).toBe(true);
  expect(queries).toBe(before + 1);
  await auth.close();
});
