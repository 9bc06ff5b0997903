import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Db } from '../../src/db/connect.ts';
import { newId } from '../../src/ids.ts';
import { NO_COUNTS } from '../../src/integration/integration.ts';
import { insertAssignments } from '../../src/integration/store/assignments.ts';
import { deleteIntegration, insertIntegration } from '../../src/integration/store/services.ts';
import { beginRun, logDevices } from '../../src/integration/store/sync-log.ts';
import { openTestStore, waitingForLocks } from '../support/database.ts';
import { eventually } from '../support/service.ts';

/** No foreign key holds these rows to their device and integration: the statements and triggers do. */
let opened: Awaited<ReturnType<typeof openTestStore>>;
let owner: { organizationId: string; id: string };
beforeAll(async () => {
  opened = await openTestStore();
});
afterAll(() => opened.close());
beforeEach(async () => {
  const { sql } = opened.database;
  await sql`delete from devices`;
  await sql`delete from device_services`;
  const { organizationId } = opened;
  await sql`insert into devices (organization_id, id, name, type) values (${organizationId}, 'a', 'a', 'device'), (${organizationId}, 'b', 'b', 'device')`;
  const service = await insertIntegration(sql, {
    ...{ organizationId, id: newId(), name: 'Field', type: 'golioth', settings: {}, credentialsSealed: 'sealed', credentialsHint: {} },
    ...{ hookSecretSealed: null, hookSecretLast4: null, isActive: true, direction: 'both', strategy: 'manual', fields: ['name'] },
    ...{ fieldRules: {}, autoSync: true, intervalSeconds: 900 },
  });
  owner = { organizationId, id: service.id };
});

const assign = (tx: Db, ...ids: string[]) =>
  insertAssignments(
    tx,
    owner,
    ids.map((deviceId) => ({ deviceId, externalId: `at-${deviceId}`, identities: [], walk: 1 })),
  );

async function standing(): Promise<{ words: string[]; assigned: string[]; logged: number }> {
  const { sql } = opened.database;
  const words = await sql<{ id: string }[]>`select device_id as id from device_words order by 1`;
  const assigned = await sql<{ id: string }[]>`select device_id as id from device_service_assignments order by 1`;
  const [log] = await sql<[{ count: number }]>`select count(*)::int as count from device_sync_log`;
  return { words: words.map(({ id }) => id), assigned: assigned.map(({ id }) => id), logged: log.count };
}

/** Waits until a statement waits for a lock. */
const isBlocked = () => eventually('a statement waits for a lock', async () => (await waitingForLocks(opened.database.sql)) > 0);

/** Ends `first` only when `second` waits for it. */
async function inTurn<T>(first: (tx: Db) => Promise<unknown>, second: () => Promise<T>): Promise<T> {
  let answer: Promise<T> | undefined;
  await opened.database.sql.begin(async (tx) => {
    await first(tx);
    answer = second();
    answer.catch(() => {});
    await isBlocked();
  });
  return answer as Promise<T>;
}

const removeDevice = (tx: Db) => tx`delete from devices where id = 'a'`;

test('a device takes its words and assignments with it, and leaves those of others', async () => {
  await assign(opened.database.sql, 'a', 'b');
  await removeDevice(opened.database.sql);
  expect(await standing()).toMatchObject({ words: ['b'], assigned: ['b'] });
});

test('an integration takes its assignments and its log with it', async () => {
  const { sql } = opened.database;
  await assign(sql, 'a', 'b');
  const run = {
    id: randomUUID(),
    operation: 'walk',
    trigger: 'schedule',
    walk: 1,
    counts: NO_COUNTS,
    direction: 'both',
    owner: randomUUID(),
  };
  await beginRun(sql, owner, run as Parameters<typeof beginRun>[2]);
  await deleteIntegration(sql, owner);
  expect(await standing()).toEqual({ words: ['a', 'b'], assigned: [], logged: 0 });
});

test('what does not exist gets no assignment and no log', async () => {
  const { sql } = opened.database;
  expect(await assign(sql, 'a', 'nobody')).toEqual(new Set(['a']));
  await deleteIntegration(sql, owner);
  expect(await assign(sql, 'b')).toEqual(new Set());
  const line = { deviceId: 'b', externalId: 'at-b', operation: 'create', direction: 'import', status: 'succeeded', details: {} } as const;
  await logDevices(sql, owner, randomUUID(), [line]);
  expect(await standing()).toEqual({ words: ['a', 'b'], assigned: [], logged: 0 });
});

test('a device that is removed while it is assigned leaves no assignment', async () => {
  const { sql } = opened.database;
  await inTurn(
    (tx) => assign(tx, 'a', 'b'),
    () => removeDevice(sql),
  );
  expect(await standing()).toMatchObject({ words: ['b'], assigned: ['b'] });
});

test('a device that is assigned while it is removed gets none', async () => {
  const { sql } = opened.database;
  expect(await inTurn(removeDevice, () => assign(sql, 'a', 'b'))).toEqual(new Set(['b']));
  expect(await standing()).toMatchObject({ words: ['b'], assigned: ['b'] });
});

test('an integration that is removed while devices are assigned leaves no assignment', async () => {
  const { sql } = opened.database;
  await inTurn(
    (tx) => assign(tx, 'a', 'b'),
    () => deleteIntegration(sql, owner),
  );
  expect(await standing()).toMatchObject({ assigned: [] });
});

test('devices that are assigned while their integration is removed get none', async () => {
  const { sql } = opened.database;
  expect(
    await inTurn(
      (tx) => deleteIntegration(tx, owner),
      () => assign(sql, 'a'),
    ),
  ).toEqual(new Set());
  expect(await standing()).toMatchObject({ assigned: [] });
});
