import { afterEach, expect, test } from 'vitest';
import type { Controller } from '../../controller/context.ts';
import { reconcileIntegration } from '../../controller/reconcile/integration.ts';
import { dueDevices, dueIntegrations, pruneSyncs, staleIntegrations } from '../../controller/sweep/integrations.ts';
import { openScene, type Scene, until } from '../sync/support.ts';

/** What takes an hour or a month: the tests move the stored times, and run the chores. */

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

const controllerOf = ({ service }: Scene): Controller => service.app.services;
const shown = async ({ service, id }: Scene) => (await service.api('GET', `/integrations/${id}`)).body;
const deviceOf = async ({ service }: Scene, id: string) => (await service.api('GET', `/devices/${id}`)).body;
const eventsOf = async ({ service }: Scene, type: string) =>
  (await service.api('GET', '/events?limit=500')).body.items.filter((event: { type: string }) => event.type === type);
/** Lets all times of integrations be so much longer ago. */
const elapse = ({ service }: Scene, time: string) => service.database.sql`
  update device_services set created_at = created_at - ${time}::interval, last_success_at = last_success_at - ${time}::interval,
    last_run_at = last_run_at - ${time}::interval, next_run_at = next_run_at - ${time}::interval`;
const endOfRun = (of: Scene, status: string) =>
  until(`a run that ${status}`, async () => {
    const { items } = (await of.service.api('GET', `/integrations/${of.id}/sync-log?kind=runs&limit=1`)).body;
    return items[0]?.status === status ? items[0] : undefined;
  });

test('a platform that is down for an hour is one warning, everything local goes on, and afterwards both sides get what they missed', async () => {
  scene = await openScene({ direction: 'both', autoSync: true, intervalSeconds: 60 }, 120);
  const { service, depot } = scene;
  await endOfRun(scene, 'succeeded');
  depot.faults.push({ times: 10_000, do: { is: 'answer', response: { status: 503 } } });
  await elapse(scene, '61 seconds');
  await dueIntegrations.run(controllerOf(scene));
  const failed = await endOfRun(scene, 'failed');
  expect(failed.error.code).toBe('integration_unavailable');
  // Meanwhile, on both sides.
  expect((await service.api('PATCH', '/devices/till-1', { attributes: { room: 'here' } })).status).toBe(200);
  expect((await service.api('POST', '/devices', { id: 'own', type: 'x' })).status).toBe(201);
  depot.change('x00002', { room: 'there' });
  expect(await shown(scene)).toMatchObject({ state: 'failing' });
  await elapse(scene, '1 hour');
  await staleIntegrations.run(controllerOf(scene));
  await staleIntegrations.run(controllerOf(scene));
  expect(await shown(scene)).toMatchObject({ state: 'stale', staleSince: expect.any(String) });
  expect((await service.api('GET', `/integrations/${scene.id}/sync-status`)).status).toBe(200);
  expect(await eventsOf(scene, 'integration.stale')).toMatchObject([{ subject: 'integration:depot', data: { name: 'Depot' } }]);
  expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
  expect(
    (await service.api('GET', '/devices?limit=500')).body.items.filter(({ archivedAt }: { archivedAt: unknown }) => archivedAt),
  ).toEqual([]);

  depot.faults.length = 0;
  service.app.services.platforms.isolation.reset(scene.id);
  await elapse(scene, '1 hour');
  await dueIntegrations.run(controllerOf(scene));
  await endOfRun(scene, 'succeeded');
  await scene.settle();
  expect(await shown(scene)).toMatchObject({ state: 'ok', staleSince: null });
  expect(await eventsOf(scene, 'integration.recovered')).toHaveLength(1);
  expect(depot.all.get('x00001')?.room).toBe('here');
  expect((await deviceOf(scene, 'till-2')).integrationMetadata.attributes.room).toBe('there');
});

test('a platform that asks for two minutes is asked again after them, and not before', async () => {
  scene = await openScene({ autoSync: true, intervalSeconds: 60 }, 1);
  const { depot, service } = scene;
  await endOfRun(scene, 'succeeded');
  depot.faults.push({ times: 100, do: { is: 'answer', response: { status: 429, headers: { 'retry-after': '120' } } } });
  await elapse(scene, '70 seconds');
  const asked = depot.requests.length;
  await dueIntegrations.run(controllerOf(scene));
  const run = await endOfRun(scene, 'failed');
  expect(run.error.code).toBe('integration_rate_limited');
  // One answer was enough.
  expect(depot.requests.length).toBe(asked + 1);
  const { nextSyncAt } = await shown(scene);
  expect(Date.parse(nextSyncAt) - Date.now()).toBeGreaterThan(100_000);
  depot.faults.length = 0;
  await dueIntegrations.run(controllerOf(scene));
  const [due] = await service.database.sql`select 1 from device_services where next_run_at <= now()`;
  expect(due).toBeUndefined();
});

test('two syncs of one integration never overlap, and the next one of the schedule is an interval away, more or less', async () => {
  scene = await openScene({ autoSync: true, intervalSeconds: 900 }, 300);
  await endOfRun(scene, 'succeeded');
  const { nextSyncAt } = await shown(scene);
  const awayMs = Date.parse(nextSyncAt) - Date.now();
  expect(awayMs).toBeGreaterThan(700_000);
  expect(awayMs).toBeLessThan(1_000_000);
  const { service, id } = scene;
  const [controller, ending] = [controllerOf(scene), new AbortController().signal];
  await Promise.all([1, 2, 3].map(() => reconcileIntegration(controller, id, ending)));
  const runs = await service.database.sql<{ startedAt: Date; finishedAt: Date }[]>`
    select started_at as "startedAt", finished_at as "finishedAt" from device_sync_log where device_id is null order by id`;
  expect(runs.length).toBeGreaterThan(1);
  for (const [index, { startedAt }] of runs.entries())
    expect(startedAt.getTime()).toBeGreaterThanOrEqual(runs[index - 1]?.finishedAt.getTime() ?? 0);
});

test('entries of the sync log are kept for 30 days, and one of a run in progress longer', async () => {
  scene = await openScene({}, 2);
  await scene.sync();
  const { service } = scene;
  const { sql } = service.database;
  await sql`update device_sync_log set started_at = now() - interval '29 days'`;
  await scene.sync();
  await pruneSyncs.run(controllerOf(scene));
  const entries = async () => (await service.api('GET', '/integrations/depot/sync-log?kind=all&limit=100')).body.items.length;
  expect(await entries()).toBe(4);
  await sql`update device_sync_log set started_at = now() - interval '31 days' where started_at < now() - interval '1 day'`;
  await sql`
    insert into device_sync_log (organization_id, service_id, run_id, operation, direction, trigger, status, details, walk, started_at, heartbeat_at)
    select organization_id, service_id, gen_random_uuid(), 'walk', 'import', 'schedule', 'running', '{}', 9, now() - interval '40 days', now() + interval '1 hour'
    from device_sync_log limit 1`;
  await pruneSyncs.run(controllerOf(scene));
  expect(await entries()).toBe(2);
});

test('with newest_wins the later edit of a field counts, and the log of conflicts says so', async () => {
  scene = await openScene({ direction: 'both', strategy: 'newest_wins' }, 2);
  await scene.sync();
  const { service, depot } = scene;
  await service.api('PATCH', '/devices/till-1', { attributes: { room: 'earlier here' } });
  depot.change('x00001', { room: 'later there' });
  depot.change('x00002', { room: 'earlier there' });
  await service.api('PATCH', '/devices/till-2', { attributes: { room: 'later here' } });
  expect((await scene.sync()).details).toMatchObject({ conflicts: 0, resolved: 2 });
  await scene.settle();
  for (const [id, external, room] of [
    ['till-1', 'x00001', 'later there'],
    ['till-2', 'x00002', 'later here'],
  ] as const) {
    expect((await deviceOf(scene, id)).integrationMetadata.attributes.room).toBe(room);
    expect(depot.all.get(external)?.room).toBe(room);
  }
  const decided = (await service.api('GET', '/integrations/depot/conflicts?state=resolved')).body.items;
  expect(decided.map(({ resolution, resolvedBy, value }: Record<string, string>) => [resolution, resolvedBy, value]).sort()).toEqual([
    ['newest', 'strategy:newest_wins', 'later here'],
    ['newest', 'strategy:newest_wins', 'later there'],
  ]);
});

/** Jobs of syncs that the chore of due devices adds. */
async function addedByDueDevices({ service }: Scene, of: Controller): Promise<number> {
  const count = async () => (await service.database.sql`select 1 from pgboss.job where name = 'integration'`).length;
  const before = await count();
  await dueDevices.run(of);
  return (await count()) - before;
}

test('values that wait for an archived device cause no sync until it is back', async () => {
  scene = await openScene({ direction: 'both' }, 2);
  const { service, depot, id } = scene;
  await scene.sync();
  const gone = depot.all.get('x00001')!;
  depot.all.delete('x00001');
  for (const _ of [1, 2]) await scene.sync();
  expect((await deviceOf(scene, 'till-1')).archivedAt).not.toBeNull();
  expect((await service.api('PATCH', '/devices/till-1', { attributes: { room: 'cellar' } })).status).toBe(200);
  const { sql } = service.database;
  await sql`update device_services set auto_sync = true`;
  await sql`update device_service_assignments set retry_at = now() where device_id = 'till-1'`;
  expect(await addedByDueDevices(scene, controllerOf(scene))).toBe(0);

  depot.all.set('x00001', gone);
  await service.api('POST', `/integrations/${id}/sync`);
  await until('the value that waited to be written', async () => (gone.room === 'cellar' ? true : undefined));
});

test('a device that waits does not have a platform asked before the time that the platform named', async () => {
  scene = await openScene({ direction: 'both' }, 1);
  const { service, depot } = scene;
  await scene.sync();
  expect((await service.api('PATCH', '/devices/till-1', { attributes: { room: 'cellar' } })).status).toBe(200);
  depot.faults.push({ times: 100, do: { is: 'answer', response: { status: 429, headers: { 'retry-after': '3600' } } } });
  expect(await scene.sync()).toMatchObject({ status: 'failed', error: { code: 'integration_rate_limited' } });
  const { sql } = service.database;
  await sql`update device_services set auto_sync = true, next_run_at = now() + interval '1 hour'`;
  await sql`update device_service_assignments set retry_at = now() - interval '1 second'`;
  expect(await addedByDueDevices(scene, controllerOf(scene))).toBe(0);
  await sql`update device_services set failures = 0`;
  expect(await addedByDueDevices(scene, controllerOf(scene))).toBe(1);
});
