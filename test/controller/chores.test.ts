import { afterAll, beforeAll, expect, test } from 'vitest';
import { expire, offline, retry, timeOut } from '../../controller/sweep/chores.ts';
import { newId } from '../../src/ids.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { folder } from '../support/scene.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

let host: TestGitHost;
let service: TestService;

beforeAll(async () => {
  host = await openGitHost();
  // The API alone: each test runs the chores itself.
  service = await openService();
});

afterAll(async () => {
  await service.close();
  await host.close();
});

/** A device with an open attempt at its folder's first bundle. The test reports for it over the agent protocol. */
async function deviceUnderWay(id: string) {
  const url = await host.createRepository(id);
  const head = await host.commit(id, folder({ vlan: 1 }));
  const source = (await service.api('POST', '/sources', { name: id, url, layout: 'repo' })).body;
  const { apiKey } = (await service.api('POST', '/devices', { id, sourceId: source.id })).body;
  const attempts = async () => (await service.api('GET', `/devices/${id}/deployments`)).body.items;
  const [attempt] = await eventually('an attempt', async () => {
    const items = await attempts();
    return items.length > 0 ? items : undefined;
  });
  const report = async (reports: Record<string, unknown>[]) => {
    const body = JSON.stringify({ reports: reports.map((entry) => ({ id: newId(), at: new Date().toISOString(), ...entry })) });
    const headers = { 'x-device-id': id, 'x-api-key': apiKey, 'content-type': 'application/json' };
    const response = await fetch(`${service.url}/agent/v1/reports`, { method: 'POST', headers, body });
    expect(response.status).toBe(200);
    return (await response.json()) as { confirmed: string[] };
  };
  const step = (state: string, more: Record<string, unknown> = {}) => ({
    kind: 'deployment',
    deploymentId: attempt.id,
    state,
    runningDigest: null,
    ...more,
  });
  const device = async () => (await service.api('GET', `/devices/${id}`)).body;
  return { id, head, source, attempt, attempts, report, step, device };
}

test('an attempt times out when its device stops reporting during a step; a later report replaces that outcome', async () => {
  const scene = await deviceUnderWay('silent');
  await scene.report([scene.step('applying')]);
  await timeOut.run(service.app.services);
  expect((await scene.attempts())[0].state).toBe('applying');
  await service.database.sql`update deployments set deadline_at = now() - interval '1 second' where id = ${scene.attempt.id}`;
  await timeOut.run(service.app.services);
  expect((await scene.attempts())[0]).toMatchObject({ state: 'timed_out', error: { code: 'timed_out' } });
  expect(await scene.device()).toMatchObject({ syncStatus: 'failed', desired: null });

  await scene.report([scene.step('succeeded', { runningDigest: scene.attempt.bundle })]);
  expect((await scene.attempts())[0].state).toBe('succeeded');
  const bundle = scene.attempt.bundle;
  expect(await scene.device()).toMatchObject({ syncStatus: 'in_sync', lastGood: { bundle }, desired: { bundle } });
  const why = (await service.api('GET', '/devices/silent/why')).body;
  expect(why).toEqual([]);
});

test('a device that was ordered to roll back after a timeout rolls back, despite a late success', async () => {
  const scene = await deviceUnderWay('sent-back');
  await scene.report([scene.step('succeeded', { runningDigest: scene.attempt.bundle })]);
  const first = (await scene.device()).desired;
  const url = scene.source.url
    .split('/')
    .at(-1)
    .replace(/\.git$/, '');
  await host.commit(url, folder({ vlan: 2 }));
  await service.api('POST', `/sources/${scene.source.id}/sync`);
  const second = await eventually('a second attempt', async () => {
    const [newest, ...older] = await scene.attempts();
    return older.length > 0 ? newest : undefined;
  });
  await service.database.sql`update deployments set deadline_at = now() - interval '1 second', state = 'applying' where id = ${second.id}`;
  await timeOut.run(service.app.services);
  await service.database.sql`update rollouts set state = 'aborted' where id = ${second.rolloutId}`;
  await scene.report([scene.step('succeeded', { deploymentId: second.id, runningDigest: second.bundle })]);
  expect((await scene.attempts())[0].state).toBe('timed_out');
  expect(await scene.device()).toMatchObject({ desired: first, lastGood: { bundle: scene.attempt.bundle } });
});

test('a transient failure is retried when its time is due, and why shows the retry until then', async () => {
  const scene = await deviceUnderWay('full-disk');
  await scene.report([scene.step('failed', { code: 'no_space', detail: 'ENOSPC' }), scene.step('rolled_back')]);
  expect(await scene.device()).toMatchObject({ syncStatus: 'rolled_back', error: { code: 'no_space' } });
  const why = (await service.api('GET', '/devices/full-disk/why')).body.map((blocker: { code: string }) => blocker.code);
  expect(why).toContain('retry_scheduled');
  await retry.run(service.app.services);
  expect(await scene.attempts()).toHaveLength(1);
  await service.database.sql`update deployments set retry_at = now() - interval '1 second' where id = ${scene.attempt.id}`;
  await retry.run(service.app.services);
  const [second, first] = await scene.attempts();
  expect([second.kind, second.attempt, second.state, first.state]).toEqual(['retry', 2, 'queued', 'rolled_back']);
});

/** Devices of one repository whose attempts all failed for a transient reason; their retries are due. */
async function failedTogether(name: string, ids: readonly string[]) {
  const url = await host.createRepository(name);
  await host.commit(name, folder({ vlan: 1 }));
  const source = (await service.api('POST', '/sources', { name, url, layout: 'repo' })).body;
  for (const id of ids) await service.api('POST', '/devices', { id, sourceId: source.id });
  await eventually('an attempt for each', async () => {
    const [row] = await service.database.sql`select count(*)::int as count from deployments where device_id = any(${[...ids]}::text[])`;
    return row?.count === ids.length;
  });
  await service.database.sql`
    update deployments set state = 'rolled_back', error_code = 'no_space', finished_at = now(), retry_at = now() - interval '1 second'
    where device_id = any(${[...ids]}::text[])`;
  await service.database.sql`update devices set deployment_id = null, sync_status = 'rolled_back' where id = any(${[...ids]}::text[])`;
}

/** Counts the statements that insert attempts while `work` runs. */
async function insertsDuring(work: () => Promise<unknown>): Promise<number> {
  const { sql } = service.database;
  await sql.unsafe(`
    create table counted (id int);
    create function count_insert() returns trigger language plpgsql as 'begin insert into counted values (1); return null; end';
    create trigger counting after insert on deployments for each statement execute function count_insert();`);
  await work();
  const [row] = await sql`select count(*)::int as count from counted`;
  await sql.unsafe('drop trigger counting on deployments; drop function count_insert; drop table counted');
  return row?.count;
}

test('devices that failed equally often get their next attempts in one statement, other devices in another', async () => {
  const ids = ['set-a', 'set-b', 'set-c', 'set-d'];
  await failedTogether('set', ids);
  await service.database.sql`update deployments set attempt = 2, timeout_seconds = 90 where device_id = 'set-d'`;
  expect(await insertsDuring(() => Promise.resolve(retry.run(service.app.services)))).toBe(2);
  const rows = await service.database.sql`
    select device_id as id, kind, attempt, state, timeout_seconds as timeout from deployments
    where device_id = any(${ids}::text[]) and kind = 'retry' order by device_id`;
  expect(rows).toEqual([
    ...['set-a', 'set-b', 'set-c'].map((id) => ({ id, kind: 'retry', attempt: 2, state: 'queued', timeout: null })),
    { id: 'set-d', kind: 'retry', attempt: 3, state: 'queued', timeout: 90 },
  ]);
});

test('a device with two due retries gets one attempt, after the newer one', async () => {
  await failedTogether('both-due', ['both-due']);
  await retry.run(service.app.services);
  await service.database.sql`
    update deployments set state = 'rolled_back', finished_at = now(), retry_at = now() - interval '1 second' where device_id = 'both-due'`;
  await service.database.sql`update devices set deployment_id = null, sync_status = 'rolled_back' where id = 'both-due'`;
  await retry.run(service.app.services);
  const { items } = (await service.api('GET', '/devices/both-due/deployments')).body;
  expect(items.map(({ attempt, state }: { attempt: number; state: string }) => [attempt, state])).toEqual([
    [3, 'queued'],
    [2, 'rolled_back'],
    [1, 'rolled_back'],
  ]);
});

test('a due retry is dropped if the device is held meanwhile', async () => {
  const scene = await deviceUnderWay('held-meanwhile');
  await scene.report([scene.step('failed', { code: 'download_failed' }), scene.step('rolled_back')]);
  await service.api('POST', '/devices/held-meanwhile/hold', { reason: 'look at it first' });
  await service.database.sql`update deployments set retry_at = now() - interval '1 second' where id = ${scene.attempt.id}`;
  await retry.run(service.app.services);
  expect(await scene.attempts()).toHaveLength(1);
});

test('automation does not retry a bundle that the device found unhealthy; an operator may', async () => {
  const scene = await deviceUnderWay('unhealthy');
  await scene.report([scene.step('failed', { code: 'health_check_failed' }), scene.step('rolled_back')]);
  await service.database
    .sql`update deployments set retry_at = now() - interval '1 second' where device_id = 'unhealthy' and retry_at is not null`;
  await retry.run(service.app.services);
  await service.api('POST', '/devices/unhealthy/refresh');
  expect(await scene.attempts()).toHaveLength(1);
  await service.api('POST', '/devices/unhealthy/retry');
  expect((await scene.attempts()).map((attempt: { kind: string }) => attempt.kind)).toEqual(['retry', 'change']);
});

test('a device is offline after two minutes without a report, with an event; its next report ends that', async () => {
  const scene = await deviceUnderWay('quiet');
  await scene.report([{ kind: 'heartbeat', runningDigest: null, sequence: 0, agentVersion: '1' }]);
  expect((await scene.device()).connectivity).toBe('online');
  await service.database.sql`update devices set last_seen_at = now() - interval '121 seconds' where id = 'quiet'`;
  await offline.run(service.app.services);
  expect((await scene.device()).connectivity).toBe('offline');
  const [event] = (await service.api('GET', '/devices/quiet/events')).body.items;
  expect(event).toMatchObject({ type: 'device.status', data: { status: 'OFFLINE', connectivity: 'offline' } });
  await scene.report([{ kind: 'telemetry', metrics: { cpu_percent: 3 } }]);
  expect((await scene.device()).connectivity).toBe('online');
});

test('a command that no device fetched in time expires', async () => {
  const scene = await deviceUnderWay('asleep');
  const { id } = (await service.api('POST', '/devices/asleep/commands', { type: 'ping' })).body;
  await service.database.sql`update commands set expires_at = now() - interval '1 second' where id = ${id}`;
  await expire.run(service.app.services);
  const { items } = (await service.api('GET', '/devices/asleep/commands')).body;
  expect(items[0].state).toBe('expired');
  await scene.report([{ kind: 'command', commandId: id, state: 'completed', result: {} }]);
  expect((await service.api('GET', '/devices/asleep/commands')).body.items[0].state).toBe('expired');
});

test('repeated reports have no further effect, and a device cannot change the deployment of another', async () => {
  const scene = await deviceUnderWay('twice');
  const other = await deviceUnderWay('other');
  const confirming = scene.step('confirming', { runningDigest: scene.attempt.bundle });
  expect((await scene.report([confirming])).confirmed).toEqual([scene.attempt.id]);
  expect((await scene.report([confirming])).confirmed).toEqual([scene.attempt.id]);
  expect((await other.report([{ ...scene.step('succeeded'), runningDigest: scene.attempt.bundle }])).confirmed).toEqual([]);
  await eventually('it is confirming, and nothing more', async () => (await scene.attempts())[0].state === 'confirming');
  const succeeded = scene.step('succeeded', { runningDigest: scene.attempt.bundle });
  await scene.report([succeeded]);
  await scene.report([succeeded]);
  const events = (await service.api('GET', '/devices/twice/events?limit=100')).body.items;
  expect(events.filter((event: { data: { state?: string } }) => event.data.state === 'succeeded')).toHaveLength(1);
});

test('at most five backups are kept, newest first, and each can be restored', async () => {
  const scene = await deviceUnderWay('backups');
  let attempt = scene.attempt;
  await scene.report([scene.step('succeeded', { runningDigest: attempt.bundle })]);
  for (let vlan = 2; vlan <= 8; vlan++) {
    await host.commit('backups', folder({ vlan }));
    await service.api('POST', `/sources/${scene.source.id}/sync`);
    attempt = await eventually('the next attempt', async () =>
      (await scene.attempts()).find((item: { state: string }) => item.state === 'queued'),
    );
    await scene.report([{ kind: 'deployment', deploymentId: attempt.id, state: 'succeeded', runningDigest: attempt.bundle }]);
  }
  const backups = (await service.api('GET', '/devices/backups/backups')).body.items;
  expect(backups).toHaveLength(5);
  expect(backups.map((backup: { createdAt: string }) => backup.createdAt)).toEqual(
    [...backups.map((backup: { createdAt: string }) => backup.createdAt)].sort().reverse(),
  );
  await service.api('POST', '/devices/backups/rollback', { to: { backup: backups[4].id } });
  expect((await scene.attempts())[0]).toMatchObject({ kind: 'rollback', bundle: backups[4].bundle, state: 'queued' });
});
