import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { offline, timeOut } from '../../controller/sweep/chores.ts';
import { hashToken } from '../../src/crypto/tokens.ts';
import type { Device } from '../../src/device/device.ts';
import { insertEnrolmentToken } from '../../src/device/store/keys.ts';
import { deviceById } from '../../src/device/store.ts';
import type { Event } from '../../src/event/event.ts';
import { type Store, transact, type Unit } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { holdDevice, releaseDevice, rollBackDevice, startDevice, stopDevice } from '../../src/inventory/commands.ts';
import { enrollDevice } from '../../src/inventory/enroll.ts';
import { missedEvents, shownDevices } from '../../src/live/store.ts';
import { deviceUpdates } from '../../src/live/updates.ts';
import { RolloutPolicy } from '../../src/policy/policy.ts';
import { ingestReports } from '../../src/report/ingest.ts';
import { cancelDeployments, deploy } from '../../src/rollout/converge.ts';
import { acceptReverts, startRollout } from '../../src/rollout/release.ts';
import { sourceOf } from '../../src/source/store.ts';
import type { Report } from '../../src/wire/agent.ts';
import { openTestStore, type TestDatabase } from '../support/database.ts';
import { openService } from '../support/service.ts';

/** Events and live updates match the device's row after any change. */

let database: TestDatabase;
let store: Store;
let organizationId: string;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ database, store, organizationId, close } = await openTestStore());
});
afterAll(() => close());

const [OLD, NEW] = ['a'.repeat(64), 'b'.repeat(64)];

/** An online device that follows folder `f` of its own source and runs its bundle. */
async function openDevice(over: Record<string, unknown> = {}) {
  const { sql } = database;
  const [sourceId, revisionId, id] = [newId(), newId(), `d-${newId()}`];
  await sql`
    insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds)
    values (${organizationId}, ${sourceId}, ${sourceId}, 'u', 'HEAD', 'fleet', 60)`;
  await sql`
    insert into revisions (organization_id, id, source_id, commit_oid, ref, author_name, author_email, message, committed_at, verdict)
    values (${organizationId}, ${revisionId}, ${sourceId}, 'c', 'HEAD', '', '', '', now(), 'valid')`;
  await sql`
    insert into source_paths (organization_id, source_id, path, bundle, candidate_bundle, verdict, evaluated_revision_id)
    values (${organizationId}, ${sourceId}, 'f', ${NEW}, ${NEW}, 'valid', ${revisionId})`;
  const row = { organization_id: organizationId, id, name: id, type: '', source_id: sourceId, path: 'f', following: true };
  const state = { connectivity: 'online', sync_status: 'in_sync', desired_bundle: NEW, good_bundle: NEW, reported_bundle: NEW };
  await sql`insert into devices ${sql({ ...row, ...state, ...over })}`;
  const present = async (): Promise<Device> => {
    const device = await deviceById(sql, organizationId, id);
    if (device === undefined) throw new Error('the device is gone');
    return device;
  };
  const events = async (): Promise<Event[]> =>
    missedEvents(sql, organizationId, {
      ...{ after: 0, upTo: Number.MAX_SAFE_INTEGER, limit: 1_000 },
      wanted: { subjects: [`device:${id}`], types: [], subjectPrefixes: [], rolloutIds: [] },
    });
  return {
    owner: { organizationId, sourceId },
    revisionId,
    id,
    present,
    events,
    act: async (work: (unit: Unit, device: Device) => Promise<unknown>) => {
      const device = await present();
      await transact(store, (unit) => work(unit, device));
    },
    attempt: async (kind: 'change' | 'rollback' = 'change', bundle = OLD): Promise<string> => {
      const opened = await transact(store, (unit) => deploy(unit, organizationId, [{ deviceId: id, bundle, revisionId: null }], { kind }));
      return opened.get(id) ?? '';
    },
    report: (...reports: Record<string, unknown>[]) =>
      ingestReports(store, organizationId, [
        { deviceId: id, reports: reports.map((report) => ({ id: newId(), at: new Date().toISOString(), ...report }) as Report) },
      ]),
    /** Status that a continuously open dashboard shows. */
    shown: async () => (await deviceUpdates(await events(), (ids) => shownDevices(sql, organizationId, ids))).at(-1),
  };
}

type Scene = Awaited<ReturnType<typeof openDevice>>;

const HOLD = { by: 'ann', reason: 'r', untilNewerRevision: false };
const HELD = { held_at: new Date(), held_by: 'ann', hold_reason: 'r' };
const target = { bundle: OLD, revisionId: null };
const start = async (unit: Unit, { owner, revisionId }: Scene) => {
  const source = await sourceOf(unit.tx, owner.organizationId, owner.sourceId);
  if (source === undefined) throw new Error('the source is gone');
  return startRollout(unit, source, { revisionId, commit: 'c', policy: RolloutPolicy.parse({}) }, ['f']);
};

describe('an open dashboard shows the status of the row after', () => {
  test.each<[string, Record<string, unknown>, (scene: Scene) => Promise<unknown>, string, string]>([
    [
      'a revert to the running bundle of a device',
      { sync_status: 'rolled_back' },
      ({ act, owner }) => act((unit) => acceptReverts(unit, owner)),
      'in_sync',
      'ONLINE',
    ],
    [
      'a revert to the running bundle of an offline device',
      { sync_status: 'failed', connectivity: 'offline' },
      ({ act, owner }) => act((unit) => acceptReverts(unit, owner)),
      'in_sync',
      'OFFLINE',
    ],
    ['a rollout of a revert', { sync_status: 'failed' }, (scene) => scene.act((unit) => start(unit, scene)), 'in_sync', 'ONLINE'],
    [
      'a newer revision for a held device',
      { ...HELD, hold_until_newer: true, sync_status: 'held' },
      (scene) => scene.act((unit) => start(unit, scene)),
      'in_sync',
      'ONLINE',
    ],
    ['a hold', {}, ({ act }) => act((unit, device) => holdDevice(unit, device, HOLD)), 'held', 'ONLINE'],
    ['the end of a hold', { ...HELD, sync_status: 'held' }, ({ act }) => act(releaseDevice), 'in_sync', 'ONLINE'],
    [
      'the end of the hold of a device that has run nothing',
      { ...HELD, sync_status: 'held', good_bundle: null },
      ({ act }) => act(releaseDevice),
      'unmanaged',
      'ONLINE',
    ],
    ['a rollback', {}, ({ act }) => act((unit, device) => rollBackDevice(unit, device, target, HOLD)), 'pending', 'ONLINE'],
    [
      'the end of a hold during a rollback',
      {},
      async ({ act }) => {
        await act((unit, device) => rollBackDevice(unit, device, target, HOLD));
        await act(releaseDevice);
      },
      'pending',
      'ONLINE',
    ],
    [
      'a stop that cancels an attempt',
      {},
      async ({ attempt, act }) => {
        await attempt();
        await act(stopDevice);
      },
      'in_sync',
      'ONLINE',
    ],
    [
      'an attempt that a rollout cancels',
      {},
      async ({ attempt, act, id }) => {
        await attempt();
        await act((unit) => cancelDeployments(unit, organizationId, [id]));
      },
      'in_sync',
      'ONLINE',
    ],
    [
      'a cancelled attempt of a held device',
      { ...HELD, sync_status: 'held' },
      async ({ attempt, act }) => {
        await attempt('rollback');
        await act(stopDevice);
      },
      'held',
      'ONLINE',
    ],
    [
      'an attempt without a report for too long',
      {},
      async ({ attempt }) => {
        const id = await attempt();
        await database.sql`update deployments set state = 'applying', deadline_at = now() - interval '1 second' where id = ${id}`;
        await timeOut.run({ store, metrics: { deploymentEnded: () => {} } } as never);
      },
      'failed',
      'ERROR',
    ],
    [
      'another enrolment of a stopped device',
      { following: false, sync_status: 'drifted' },
      async ({ id }) => {
        const token = newId();
        await insertEnrolmentToken(database.sql, {
          ...{ organizationId, id: newId(), siteId: null, sourceId: null, labels: {}, hash: hashToken(token), last4: '' },
          ...{ uses: 1, expiresAt: new Date(Date.now() + 60_000), reenrol: true },
        });
        await enrollDevice(store, token, { deviceId: id }, { instance: null, address: '' });
      },
      'in_sync',
      'OFFLINE',
    ],
    [
      'a missing report of a device that was updating',
      { sync_status: 'updating', last_seen_at: new Date(Date.now() - 300_000) },
      () => offline.run({ store } as never),
      'updating',
      'OFFLINE',
    ],
    [
      'the success of a held device',
      { ...HELD, sync_status: 'held' },
      async ({ attempt, report }) => {
        const deploymentId = await attempt('rollback');
        await report({ kind: 'deployment', deploymentId, state: 'succeeded', runningDigest: OLD });
      },
      'held',
      'ONLINE',
    ],
    [
      'the end of the drift of a held device',
      { ...HELD, sync_status: 'drifted' },
      ({ report }) => report({ kind: 'drift', runningDigest: NEW, changed: [], healed: true }),
      'held',
      'ONLINE',
    ],
    [
      'a failure and the rollback to the last good bundle',
      {},
      async ({ attempt, report }) => {
        const deploymentId = await attempt();
        await report(
          { kind: 'deployment', deploymentId, state: 'failed', code: 'health_check_failed', runningDigest: OLD },
          { kind: 'deployment', deploymentId, state: 'rolled_back', runningDigest: NEW },
        );
      },
      'rolled_back',
      'ERROR',
    ],
    [
      'the reconnect of a device that has to be healed',
      { connectivity: 'offline', sequence: 3 },
      ({ report }) => report({ kind: 'heartbeat', runningDigest: OLD, sequence: 3, agentVersion: '1' }),
      'pending',
      'ONLINE',
    ],
    ['a start', { following: false, sync_status: 'failed' }, ({ act }) => act(startDevice), 'failed', 'ERROR'],
  ])('%s', async (_title, over, change, syncStatus, status) => {
    const scene = await openDevice(over);
    await change(scene);
    const { connectivity } = await scene.present();
    expect((await scene.present()).syncStatus).toBe(syncStatus);
    expect(await scene.shown()).toMatchObject({ device_id: scene.id, sync_status: syncStatus, status, connectivity });
    // Every event with a status has all fields that an update needs.
    for (const { data } of await scene.events())
      if (data.syncStatus !== undefined) expect(data).toMatchObject({ status: expect.any(String), connectivity: expect.any(String) });
  });
});

test('a hold "until a newer revision" ends with an event and an audit line that name the revision', async () => {
  const scene = await openDevice({ ...HELD, hold_until_newer: true, sync_status: 'held' });
  await scene.act((unit) => start(unit, scene));
  expect((await scene.present()).hold).toBeNull();
  const detail = { reason: 'a newer revision is released', revisionId: scene.revisionId };
  const released = { type: 'device.released', data: { status: 'ONLINE', syncStatus: 'in_sync', connectivity: 'online', ...detail } };
  expect(await scene.events()).toMatchObject([released]);
  const audit = await database.sql`select actor, action, outcome, detail from audit where subject = ${`device:${scene.id}`}`;
  expect([...audit]).toEqual([{ actor: 'controller', action: 'device.release', outcome: 'ok', detail }]);
});

test('a hold without "until a newer revision" stays after a newer revision, without an event', async () => {
  const scene = await openDevice({ ...HELD, sync_status: 'held' });
  await scene.act((unit) => start(unit, scene));
  expect((await scene.present()).hold).not.toBeNull();
  expect(await scene.events()).toEqual([]);
});

test('the events of a rollback and of a release have the present status of the device', async () => {
  const scene = await openDevice();
  await scene.act((unit, device) => rollBackDevice(unit, device, target, HOLD));
  await scene.act(releaseDevice);
  const announced = (await scene.events()).filter(({ type }) => type === 'device.held' || type === 'device.released');
  expect(announced.map(({ type, data }) => [type, data.syncStatus])).toEqual([
    ['device.held', 'pending'],
    ['device.released', 'pending'],
  ]);
});

test('devices of a deleted source are shown as unmanaged', async () => {
  await using service = await openService();
  const { sql } = service.database;
  const [organization] = await sql<{ id: string }[]>`select id from organizations`;
  const sourceId = newId();
  await sql`
    insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds, next_check_at)
    values (${organization?.id ?? ''}, ${sourceId}, 's', 'u', 'HEAD', 'fleet', 60, now() + interval '1 day')`;
  await sql`
    insert into devices (organization_id, id, name, type, source_id, path, sync_status)
    values (${organization?.id ?? ''}, 'left', 'n', 't', ${sourceId}, 'f', 'in_sync')`;
  expect((await service.api('DELETE', `/sources/${sourceId}`)).status).toBe(204);
  const [event] = (await service.api('GET', '/devices/left/events')).body.items;
  expect(event).toMatchObject({ type: 'device.status', data: { status: 'OFFLINE', syncStatus: 'unmanaged', connectivity: 'unknown' } });
  expect((await service.api('GET', '/devices/left')).body).toMatchObject({ syncStatus: 'unmanaged', sourceId: null });
});
