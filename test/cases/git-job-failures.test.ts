import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Controller } from '../../controller/context.ts';
import { createJobs } from '../../controller/jobs.ts';
import { startNotifying } from '../../controller/notify.ts';
import { createBulkhead } from '../../controller/reconcile/bulkhead.ts';
import { reconcileDeliveries } from '../../controller/reconcile/deployment.ts';
import { reconcileMergeRequest } from '../../controller/reconcile/plan.ts';
import { reconcileRollout } from '../../controller/reconcile/rollout.ts';
import { reconcileSource } from '../../controller/reconcile/source.ts';
import { reconcileStatus } from '../../controller/reconcile/status.ts';
import { reconcileWorkspaces } from '../../controller/reconcile/workspace.ts';
import { openShares } from '../../src/async/shares.ts';
import type { QueueName } from '../../src/db/queue.ts';
import { transact } from '../../src/event/transact.ts';
import { mergeRequestById, noteMergeRequest } from '../../src/plan/store.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { folder } from '../support/scene.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

let host: TestGitHost;
let service: TestService;
let controller: Controller;
let organizationId = '';
let sourceId = '';
let rolloutId = '';

beforeAll(async () => {
  host = await openGitHost();
  // The API alone: the test hands out the jobs.
  service = await openService({ ROLE: 'api' });
  controller = service.app.services;
  const url = await host.createRepository('a');
  await host.commit('a', folder({ vlan: 1 }));
  sourceId = (await service.api('POST', '/sources', { name: 'a', url, layout: 'repo', pollIntervalSeconds: 3600 })).body.id;
  expect((await service.api('POST', '/devices', { id: 'till', sourceId })).status).toBe(201);
  await reconcileSource(controller, createBulkhead({ workers: 2, slowAtOnce: 1 }), sourceId);
  rolloutId = (await service.api('GET', '/rollouts')).body.items[0].id;
  const [row] = await service.database.sql<[{ id: string }]>`select organization_id as id from sources`;
  organizationId = row.id;
});
afterAll(async () => {
  await service.close();
  await host.close();
});

const boom = () => Promise.reject(new TypeError("Cannot read properties of undefined (reading 'x')"));
const detail = /unexpected error of this service, "Cannot read properties of undefined \(reading 'x'\)"; the next try is in \d+ s/;
const get = async (path: string) => (await service.api('GET', path)).body;
const eventsOf = async (type: string) => (await get(`/events?type=${type}&limit=100`)).items;
const failing = async (queue: string) =>
  service.database.sql`select failures, retry_at > now() as "isResting" from job_failures where queue = ${queue}`;

/** A job that fails as often as it takes to be shown. */
async function failThrice(queue: QueueName, key: string) {
  const jobs = createJobs(controller);
  const job = jobs.counted(queue, boom);
  await expect(job(key)).rejects.toThrow(TypeError);
  await expect(job(key)).rejects.toThrow(TypeError);
  await job(key);
  expect(await failing(queue)).toEqual([{ failures: 3, isResting: true }]);
  // From now on it rests, whoever wakes it.
  let calls = 0;
  await jobs.counted(queue, async () => void calls++)(key);
  expect(calls).toBe(0);
  return jobs;
}

/** The rest is over: what the chore enqueues succeeds. */
async function succeed(jobs: ReturnType<typeof createJobs>, queue: QueueName, key: string, handler: (key: string) => Promise<unknown>) {
  await service.database.sql`update job_failures set retry_at = now() - interval '1 second'`;
  await jobs.chore.run(controller);
  const waiting = await service.database
    .sql`select data from pgboss.job where name = ${queue} and state = 'created' and data->>'key' = ${key}`;
  expect(waiting).toHaveLength(1);
  await jobs.counted(queue, async (id) => void (await handler(id)))(key);
  expect(await failing(queue)).toEqual([]);
}

test('source: lastError, why and an event; a success clears them', async () => {
  const jobs = await failThrice('source', sourceId);
  expect(await get(`/sources/${sourceId}`)).toMatchObject({
    status: 'failing',
    lastError: { code: 'internal_error', detail: expect.stringMatching(detail) },
  });
  expect(JSON.stringify(await get('/devices/till/status'))).toContain('source_internal_error');
  expect(await eventsOf('source.failed')).toMatchObject([{ data: { code: 'internal_error' } }]);
  const metrics = await (
    await fetch(`${service.url}/metrics`, { headers: { authorization: 'Bearer test-admin-token-of-32-characters' } })
  ).text();
  expect(metrics).toMatch(/bellwether_job_failures_total\{queue="source"\} 3/);
  await succeed(jobs, 'source', sourceId, (id) => reconcileSource(controller, createBulkhead({ workers: 2, slowAtOnce: 1 }), id));
  expect(await get(`/sources/${sourceId}`)).toMatchObject({ status: 'ok', lastError: null, failures: 0 });
});

test("source: an unexpected error anywhere in a commit's way is one of these", async () => {
  await host.commit('a', folder({ vlan: 2 }));
  const broken = { ...controller, preparer: { ...controller.preparer, prepare: boom } };
  const jobs = createJobs(controller);
  const job = jobs.counted('source', (id) => reconcileSource(broken, createBulkhead({ workers: 2, slowAtOnce: 1 }), id));
  await job(sourceId).catch(() => undefined);
  await job(sourceId).catch(() => undefined);
  await job(sourceId);
  expect((await get(`/sources/${sourceId}`)).lastError).toMatchObject({ code: 'internal_error', detail: expect.stringMatching(detail) });
  await succeed(jobs, 'source', sourceId, (id) => reconcileSource(controller, createBulkhead({ workers: 2, slowAtOnce: 1 }), id));
  expect((await get(`/sources/${sourceId}`)).lastError).toBeNull();
});

test('source: what somebody does about it is tried at once', async () => {
  const jobs = await failThrice('source', sourceId);
  await service.api('POST', `/sources/${sourceId}/sync`);
  expect(await failing('source')).toEqual([{ failures: 3, isResting: false }]);
  await jobs.chore.run(controller);
  await jobs.counted('source', (id) => reconcileSource(controller, createBulkhead({ workers: 2, slowAtOnce: 1 }), id))(sourceId);
  expect(await get(`/sources/${sourceId}`)).toMatchObject({ status: 'ok', lastError: null });
});

test('rollout: what it waits for, why and an event; a success clears them', async () => {
  rolloutId = (await service.api('GET', '/rollouts')).body.items[0].id;
  const jobs = await failThrice('rollout', rolloutId);
  expect(JSON.stringify(await get(`/rollouts/${rolloutId}`))).toMatch(/internal_error/);
  expect(JSON.stringify(await get('/devices/till/status'))).toContain('unexpected error of this service');
  expect((await eventsOf('rollout.blocked')).map((event: { data: { code: string } }) => event.data.code)).toEqual(['internal_error']);
  await succeed(jobs, 'rollout', rolloutId, (id) => reconcileRollout(controller, id));
  expect(JSON.stringify(await get(`/rollouts/${rolloutId}`))).not.toMatch(/internal_error/);
});

test('merge request: its last error and an event; a success clears them', async () => {
  const { store } = controller;
  const id = await transact(store, ({ tx }) =>
    noteMergeRequest(tx, {
      organizationId,
      sourceId,
      number: 1,
      state: 'open',
      title: 't',
      url: 'https://git.example.com/1',
      target: 'main',
      headRef: 'refs/heads/main',
      hookedCommit: null,
    }),
  );
  const jobs = await failThrice('merge_request', id ?? '');
  expect(await mergeRequestById(store.sql, id ?? '')).toMatchObject({
    errorCode: 'internal_error',
    errorDetail: expect.stringMatching(detail),
  });
  expect(await eventsOf('merge_request.not_posted')).toMatchObject([{ data: { number: 1, code: 'internal_error' } }]);
  await succeed(jobs, 'merge_request', id ?? '', (key) =>
    reconcileMergeRequest(controller, { sources: new Set(), shares: openShares(2) }, key),
  );
  expect(await mergeRequestById(store.sql, id ?? '')).toMatchObject({ errorCode: null });
});

test('commit status: recorded on the rollout, and an event', async () => {
  const jobs = await failThrice('commit_status', rolloutId);
  expect(await service.database.sql`select error_code as code from rollout_statuses where rollout_id = ${rolloutId}`).toEqual([
    { code: 'internal_error' },
  ]);
  expect(await eventsOf('rollout.not_reported')).toMatchObject([{ data: { code: 'internal_error' } }]);
  await succeed(jobs, 'commit_status', rolloutId, (id) => reconcileStatus(controller, openShares(2), id));
});

test('workspaces: the device that is concerned shows it, the others follow', async () => {
  const { sql } = service.database;
  expect((await service.api('POST', '/devices', { id: 'kiosk', sourceId })).status).toBe(201);
  await sql`update devices set good_bundle = (select digest from bundles limit 1)`;
  const { workspaces } = controller;
  const create: typeof workspaces.create = (owner) => (owner.deviceId === 'till' ? boom() : workspaces.create(owner));
  const broken = { ...controller, workspaces: { ...workspaces, create } };
  const jobs = createJobs(controller);
  const job = jobs.counted('workspace', (id) => reconcileWorkspaces(broken, id, new AbortController().signal));
  for (const tries of [1, 2, 3]) {
    const outcome = await job(organizationId).then(
      () => 'recorded',
      () => 'thrown',
    );
    expect(outcome).toBe(tries < 3 ? 'thrown' : 'recorded');
  }
  expect(await sql`select id from devices where workspace_bundle is not null`).toEqual([{ id: 'kiosk' }]);
  const codes = async (id: string) => (await get(`/devices/${id}/status`)).why.map((blocker: { code: string }) => blocker.code);
  expect(await codes('till')).toContain('workspace_failing');
  expect(await codes('kiosk')).not.toContain('workspace_failing');
  expect(await eventsOf('workspace.failed')).toMatchObject([{ subject: 'device:till' }]);
  expect(await eventsOf('job.failing')).toMatchObject([{ subject: 'device:till', data: { queue: 'workspace' } }]);
  await succeed(jobs, 'workspace', organizationId, (id) => reconcileWorkspaces(controller, id, new AbortController().signal));
  expect(await codes('till')).not.toContain('workspace_failing');
});

test('deliveries: devices that are pushed to show it, and events', async () => {
  const jobs = await failThrice('deployment', organizationId);
  expect((await eventsOf('job.failing')).at(-1)).toMatchObject({ subject: 'service:controller', data: { queue: 'deployment' } });
  const codes = async () => (await get('/devices/till/status')).why.map((blocker: { code: string }) => blocker.code);
  // This device asks by itself.
  expect(await codes()).not.toContain('delivery_failing');
  await service.database.sql`update devices set adapter = 'directory' where id = 'till'`;
  expect(await codes()).toContain('delivery_failing');
  await succeed(jobs, 'deployment', organizationId, (id) =>
    reconcileDeliveries({ ...controller, adapters: { ...controller.adapters, names: [] } }, id),
  );
  expect(await codes()).not.toContain('delivery_failing');
  expect((await eventsOf('job.recovered')).at(-1)).toMatchObject({ data: { queue: 'deployment' } });
});

test('notification: its last error and an event; a success clears them', async () => {
  const { sql } = service.database;
  const created = await service.api('POST', '/notifications', { name: 'n', url: 'http://127.0.0.1:9/', events: ['source.*'] });
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  const { id } = created.body;
  let isBroken = true;
  const post: typeof controller.sender.post = async () =>
    isBroken ? boom() : { at: new Date(), durationMs: 1, status: 200, error: null, response: '', retryAfterSeconds: null };
  const notifying = await startNotifying({ ...controller, sender: { ...controller.sender, post } });
  const now = () => get(`/notifications/${id}`);
  try {
    await service.api('POST', `/sources/${sourceId}/hold`, { reason: 'r' });
    for (const failures of [1, 2, 3]) {
      await eventually(`failure ${failures}`, async () => {
        await sql`update notifications set due_at = now() where failures < ${failures}`;
        await notifying.chores[0]?.run(controller);
        return (await now()).failures >= failures;
      });
    }
    expect(await now()).toMatchObject({ enabled: true, lastError: expect.stringContaining('unexpected error of this service') });
    expect(await eventsOf('notification.failing')).toMatchObject([{ subject: `notification:${id}` }]);
    isBroken = false;
    await eventually('it is delivered', async () => {
      await sql`update notifications set due_at = now()`;
      await notifying.chores[0]?.run(controller);
      return (await now()).failures === 0;
    });
  } finally {
    await notifying.close();
  }
});
