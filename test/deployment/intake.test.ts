import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import type { Report } from '../../src/wire/agent.ts';
import { waitingForLocks } from '../support/database.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  // The API alone: no controller changes the devices.
  service = await openService({ ROLE: 'api' });
});

afterAll(() => service.close());

const heartbeat = (agentVersion: string): Report => ({
  kind: 'heartbeat',
  id: newId(),
  at: new Date().toISOString(),
  runningDigest: null,
  sequence: 0,
  agentVersion,
});

/** Whether a transaction waits for the lock. */
const drift = (): Report => ({ kind: 'drift', id: newId(), at: new Date().toISOString(), runningDigest: null, changed: [], healed: true });

test('the next reports of a device wait for its reports in progress; those of other devices do not', async () => {
  for (const id of ['slow', 'quick']) expect((await service.api('POST', '/devices', { id, type: 'x' })).status).toBe(201);
  const { intake } = service.app.services;
  const { sql } = service.database;
  const [{ organizationId }] = await sql<[{ organizationId: string }]>`select id as "organizationId" from organizations`;
  const [locked, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = sql.begin(async (tx) => {
    await tx`select 1 from devices where id = 'slow' for update`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const done: string[] = [];
  const take = (device: string, version: string, ...more: Report[]) =>
    intake.take(organizationId, device, [heartbeat(version), ...more]).then(() => done.push(`${device} ${version}`));
  const first = take('slow', '1', drift());
  await eventually('the first transaction waits for the lock', async () => (await waitingForLocks(sql)) === 1);
  const later = [take('slow', '2', drift()), take('slow', '3')];
  await take('quick', '1', drift());
  expect(done).toEqual(['quick 1']);
  release.resolve();
  await Promise.all([holding, first, ...later]);
  expect(done).toEqual(['quick 1', 'slow 1', 'slow 2', 'slow 3']);
  expect((await service.api('GET', '/devices/slow')).body).toMatchObject({ agentVersion: '3' });
});
