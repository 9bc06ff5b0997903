import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Controller } from '../../controller/context.ts';
import { reconcileDeliveries } from '../../controller/reconcile/deployment.ts';
import { timeOut } from '../../controller/sweep/chores.ts';
import { rotateKeys } from '../../src/cli/keys.ts';
import { readConfig } from '../../src/config.ts';
import { transact } from '../../src/event/transact.ts';
import { armFault } from '../../src/faults.ts';
import { newId } from '../../src/ids.ts';
import { integrationProblem } from '../../src/integration/problems.ts';
import { createProviders } from '../../src/integration/registry.ts';
import { insertIntegration } from '../../src/integration/store/services.ts';
import { noteVerdicts } from '../../src/push/verdicts.ts';
import { cancelDeployments, deploy } from '../../src/rollout/converge.ts';
import { bundleDigest, manifestBytes } from '../../src/wire/bundle.ts';
import { openService, type TestService } from '../support/service.ts';
import { releaseOf } from '../workspace/support.ts';
import { scriptPlatform } from './platform.ts';

const shelf = scriptPlatform('shelf');
const slow = scriptPlatform('slow');
let service: TestService;
let controller: Controller;
let organizationId = '';
let devices = 0;

beforeAll(async () => {
  // The API alone: the test runs the deliveries.
  service = await openService(
    { ROLE: 'api', ENABLE_EXTERNAL_INTEGRATION: 'true' },
    { providers: createProviders([shelf.provider, slow.provider]) },
  );
  controller = service.app.services;
  const [row] = await service.database.sql<[{ id: string }]>`select id from organizations`;
  organizationId = row.id;
  for (const type of ['shelf', 'slow'])
    await insertIntegration(service.database.sql, {
      ...{ organizationId, id: newId(), name: type, type, settings: {}, credentialsSealed: null, credentialsHint: {} },
      ...{ hookSecretSealed: null, hookSecretLast4: null, isActive: true, direction: 'import', strategy: 'manual', fields: null },
      ...{ fieldRules: {}, autoSync: false, intervalSeconds: 3600 },
    });
});
afterAll(() => service.close());
beforeEach(() => {
  for (const platform of [shelf, slow]) {
    platform.calls.length = 0;
    platform.script = () => undefined;
  }
});

/** A device with the platform's adapter. @returns its id, also at the platform */
async function add(type: 'shelf' | 'slow', { assigned = true } = {}): Promise<string> {
  const id = `${type}-${++devices}`;
  expect((await service.api('POST', '/devices', { id, type: 'x', adapter: type })).status).toBe(201);
  if (assigned)
    await service.database.sql`
      insert into device_service_assignments (organization_id, service_id, device_id, external_id)
      select organization_id, id, ${id}, ${id} from device_services where service_type = ${type}`;
  return id;
}

async function bundleOf(files: Record<string, string>): Promise<string> {
  const { manifest, readFile } = releaseOf(files);
  const { sql } = service.database;
  const digest = bundleDigest(manifest);
  for (const { sha256 } of manifest.files)
    await sql`insert into blobs ${sql({ organization_id: organizationId, digest: sha256, content: Buffer.from(await readFile(sha256)) })} on conflict do nothing`;
  await sql`insert into bundles (organization_id, digest, manifest, size) values (${organizationId}, ${digest}, ${sql.json(manifest as never)}, ${manifestBytes(manifest).length}) on conflict do nothing`;
  return digest;
}

/** Opens an attempt with a configuration. */
async function give(ids: readonly string[], config: string): Promise<void> {
  const bundle = await bundleOf({ 'app.json': JSON.stringify(config) });
  await transact(controller.store, (unit) =>
    deploy(
      unit,
      organizationId,
      ids.map((deviceId) => ({ deviceId, bundle, revisionId: null })),
      { kind: 'change' },
    ),
  );
}

const run = () => reconcileDeliveries(controller, organizationId);
/** The pause of the platform is over. */
const wake = () => service.database.sql`update device_pushes set not_before = null`;
const attempts = async (id: string) =>
  (await service.database.sql<{ state: string }[]>`select state from deployments where device_id = ${id} order by id`).map(
    ({ state }) => state,
  );
const deviceOf = async (id: string) => (await service.api('GET', `/devices/${id}`)).body;
const whyOf = async (id: string) => (await service.api('GET', `/devices/${id}/why`)).body as { code: string; detail: string }[];

test('a bundle is prepared, applied with a token, verified and confirmed', async () => {
  const id = await add('shelf');
  await give([id], 'a');
  await run();
  expect(shelf.steps(id)).toEqual(['prepare', 'apply', 'verify', 'confirm']);
  expect(shelf.runs.get(id)).toBe('a');
  expect(await attempts(id)).toEqual(['succeeded']);
  expect(await deviceOf(id)).toMatchObject({ syncStatus: 'in_sync' });
});

test('a bundle whose verdict nothing shows is applied, unverified: it succeeds and is never shown as in sync', async () => {
  const id = await add('shelf');
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'unverified', reason: 'the platform shows no state' } : undefined);
  await give([id], 'a');
  await run();
  expect(await attempts(id)).toEqual(['succeeded']);
  expect(await deviceOf(id)).toMatchObject({ syncStatus: 'unverified' });
  expect(await whyOf(id)).toContainEqual(
    expect.objectContaining({ code: 'unverified', detail: 'Applied, unverified: the platform shows no state' }),
  );
});

test('a refused bundle is put back, and its attempt fails as refused', async () => {
  const id = await add('shelf');
  await give([id], 'good');
  await run();
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'refused', reason: 'key VLAN is out of range' } : undefined);
  await give([id], 'bad');
  await run();
  expect(shelf.runs.get(id)).toBe('good');
  expect(await attempts(id)).toEqual(['succeeded', 'rolled_back']);
  expect(await deviceOf(id)).toMatchObject({ syncStatus: 'rolled_back' });
  const [attempt] = await service.database
    .sql`select error_code, error_detail from deployments where device_id = ${id} order by id desc limit 1`;
  expect(attempt).toMatchObject({ error_code: 'refused', error_detail: 'key VLAN is out of range' });
});

test('a bundle without the document is refused before anything is sent; a file that is no document is named with its line', async () => {
  const id = await add('shelf');
  for (const [files, detail] of [
    [{ 'other.txt': 'x' }, /no document/],
    [{ 'app.json': '{\n  "a": 1,\n}' }, /^Cannot use app\.json:3: /],
  ] as const) {
    const bundle = await bundleOf(files);
    await transact(controller.store, (unit) =>
      deploy(unit, organizationId, [{ deviceId: id, bundle, revisionId: null }], { kind: 'change' }),
    );
    await run();
    const [attempt] = await service.database
      .sql`select state, error_code, error_detail from deployments where device_id = ${id} order by id desc limit 1`;
    expect(attempt).toMatchObject({ state: 'rolled_back', error_code: 'refused', error_detail: expect.stringMatching(detail) });
  }
  expect(shelf.steps(id)).not.toContain('apply');
});

test('an undecided verdict is asked for again after the pause that the platform names, and not before', async () => {
  const id = await add('shelf');
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'pending', reason: 'the device is asleep', afterSeconds: 60 } : undefined);
  await give([id], 'a');
  await run();
  await run();
  expect(shelf.steps(id)).toEqual(['prepare', 'apply', 'verify']);
  expect(await attempts(id)).toEqual(['confirming']);
  shelf.script = () => undefined;
  await wake();
  await run();
  expect(shelf.steps(id)).toEqual(['prepare', 'apply', 'verify', 'verify', 'confirm']);
  expect(await attempts(id)).toEqual(['succeeded']);
});

test('a push under way keeps its configuration sealed, also across a rotation of the key, and one that is done keeps none', async () => {
  const { sql } = service.database;
  const id = await add('shelf');
  await give([id], 'before-hunter2');
  await run();
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'pending', reason: 'later', afterSeconds: 60 } : undefined);
  await give([id], 'after-hunter3');
  await run();
  const kept = () =>
    sql<{ row: string }[]>`select to_jsonb(p)::text as row from device_pushes p where device_id = ${id} order by deployment_id`;
  const [done, underWay] = await kept();
  expect(JSON.parse(underWay?.row ?? '')).toMatchObject({
    step: 'verifying',
    prepared: null,
    prepared_sealed: expect.stringMatching(/^v1\./),
  });
  expect(JSON.parse(done?.row ?? '')).toMatchObject({ step: 'done', prepared: null, prepared_sealed: null });
  const config = readConfig({ DATA_DIR: service.dataDir, DATABASE_URL: service.database.url });
  expect(await rotateKeys(config, 0)).toMatchObject({ resealed: expect.any(Number), unreadable: [] });
  expect((await kept())[1]?.row).not.toBe(underWay?.row);
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'refused', reason: 'no' } : undefined);
  await wake();
  await run();
  expect(shelf.runs.get(id)).toBe('before-hunter2');
  expect((await kept()).map(({ row }) => row).join()).not.toMatch(/hunter|v1\./);
});

test('a push that an earlier version began, with its configuration unsealed, is taken to its end', async () => {
  const id = await add('shelf');
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'pending', reason: 'later', afterSeconds: 60 } : undefined);
  await give([id], 'a');
  await run();
  await service.database.sql`
    update device_pushes set prepared_sealed = null, prepared = '{"desired": "a", "previous": null, "isUnchanged": false}' where device_id = ${id}`;
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'refused', reason: 'no' } : undefined);
  await wake();
  await run();
  expect(shelf.runs.has(id)).toBe(false);
  expect(await attempts(id)).toEqual(['rolled_back']);
});

test('the time limit of an attempt does not run while the platform shows the device as offline', async () => {
  const { sql } = service.database;
  const id = await add('shelf');
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'pending', reason: 'the device is asleep', afterSeconds: 60 } : undefined);
  await give([id], 'a');
  await run();
  const show = (connectivity: string) => sql`update devices set source_kind = 'EXTERNAL', connectivity = ${connectivity} where id = ${id}`;
  const overdue = async () => {
    await sql`update deployments set deadline_at = now() - interval '1 day' where device_id = ${id}`;
    await timeOut.run(controller);
    return attempts(id);
  };
  await show('offline');
  expect(await overdue()).toEqual(['confirming']);
  // Back online, it has the whole time of the step.
  await show('online');
  await timeOut.run(controller);
  expect(await attempts(id)).toEqual(['confirming']);
  expect(await overdue()).toEqual(['timed_out']);
  await wake();
  await run();
  expect(await attempts(id)).toEqual(['rolled_back']);
});

test('an attempt that a newer one replaces in the middle is put back before the newer one begins; a cancelled one is put back too', async () => {
  const id = await add('shelf');
  await give([id], 'first');
  await run();
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'pending', reason: 'later', afterSeconds: 60 } : undefined);
  await give([id], 'second');
  await run();
  expect(shelf.runs.get(id)).toBe('second');
  await give([id], 'third');
  shelf.calls.length = 0;
  await wake();
  await run();
  expect(shelf.steps(id)).toEqual(['cancel', 'prepare', 'apply', 'verify']);
  expect(shelf.runs.get(id)).toBe('third');
  await transact(controller.store, (unit) => cancelDeployments(unit, organizationId, [id]));
  await wake();
  await run();
  expect(shelf.runs.get(id)).toBe('first');
  expect(await attempts(id)).toEqual(['succeeded', 'superseded', 'cancelled']);
});

test.each([
  ['push_step_taken', 1],
  ['push_step_kept', 1],
  ['push_step_taken', 2],
  ['push_step_kept', 2],
  ['push_step_taken', 3],
  ['push_step_kept', 3],
  ['push_step_taken', 4],
])('a run that ends at %s, pass %i, is resumed: same token, the new configuration', async (point, pass) => {
  const id = await add('shelf');
  await give([id], 'a');
  armFault(`${point}:ENOSPC#${pass}`);
  await expect(run()).rejects.toThrow(/ENOSPC/);
  expect(await attempts(id)).not.toEqual(['succeeded']);
  await run();
  expect(await attempts(id)).toEqual(['succeeded']);
  expect(shelf.runs.get(id)).toBe('a');
  expect(new Set(shelf.calls.flatMap(({ token }) => token ?? [])).size).toBe(1);
});

test.each([
  ['push_step_taken', 4],
  ['push_step_kept', 4],
])('a run that ends at %s, pass %i, while it puts a refused bundle back is resumed', async (point, pass) => {
  const id = await add('shelf');
  await give([id], 'good');
  await run();
  shelf.script = ({ step }) => (step === 'verify' ? { is: 'refused', reason: 'no' } : undefined);
  await give([id], 'bad');
  armFault(`${point}:ENOSPC#${pass}`);
  await expect(run()).rejects.toThrow(/ENOSPC/);
  await run();
  expect(await attempts(id)).toEqual(['succeeded', 'rolled_back']);
  expect(shelf.runs.get(id)).toBe('good');
});

test('a platform that takes no requests leaves its attempts queued, and one that fails once has them tried again', async () => {
  const id = await add('shelf');
  shelf.script = () => {
    throw integrationProblem('integration_unavailable', 'Cannot reach it now');
  };
  await give([id], 'a');
  await run();
  expect(await attempts(id)).toEqual(['queued']);
  shelf.script = () => {
    throw integrationProblem('integration_timeout', 'Cannot reach it: no answer');
  };
  await run();
  const [attempt] = await service.database
    .sql`select state, error_code, retry_at is not null as retries from deployments where device_id = ${id}`;
  expect(attempt).toMatchObject({ state: 'rolled_back', error_code: 'delivery_failed', retries: true });
});

test('a platform that fails while it applies is asked again with the same token', async () => {
  const id = await add('shelf');
  shelf.script = ({ step }) => {
    if (step === 'apply') throw integrationProblem('integration_timeout', 'Cannot apply: no answer');
    return undefined;
  };
  await give([id], 'a');
  await run();
  expect(await attempts(id)).toEqual(['applying']);
  shelf.script = () => undefined;
  await wake();
  await run();
  expect(await attempts(id)).toEqual(['succeeded']);
  expect(new Set(shelf.calls.flatMap(({ token }) => token ?? [])).size).toBe(1);
});

test('a platform that hangs delays no device of another one', async () => {
  const hung = Promise.withResolvers<undefined>();
  slow.script = () => hung.promise;
  const hanging = await Promise.all(Array.from({ length: 12 }, () => add('slow')));
  await give(hanging, 'a');
  const running = run();
  while (slow.calls.length < 8) await new Promise(setImmediate);
  // Due only after the run began.
  const id = await add('shelf');
  await give([id], 'a');
  while ((await attempts(id))[0] !== 'succeeded') await new Promise(setImmediate);
  expect(slow.calls).toHaveLength(8);
  hung.resolve(undefined);
  await running;
  expect(new Set((await Promise.all(hanging.map(attempts))).flat())).toEqual(new Set(['succeeded']));
});

test('a device without an assignment waits, and why names it', async () => {
  const id = await add('shelf', { assigned: false });
  await give([id], 'a');
  await run();
  expect(await attempts(id)).toEqual(['queued']);
  expect((await whyOf(id))[0]).toMatchObject({ code: 'not_assigned' });
});

test('a later verdict of the platform marks the device as drifted with its keys, and a good one ends that; an older one says nothing', async () => {
  const id = await add('shelf');
  await give([id], 'a');
  await run();
  const note = (status: 'in_sync' | 'out_of_sync', at: Date) =>
    noteVerdicts(controller.store, organizationId, [
      { deviceId: id, verdict: { status, at, errors: status === 'in_sync' ? [] : [{ key: 'VLAN', code: '4', detail: 'out of range' }] } },
    ]);
  await note('out_of_sync', new Date(Date.now() - 60_000));
  expect(await deviceOf(id)).toMatchObject({ syncStatus: 'in_sync' });
  await note('out_of_sync', new Date(Date.now() + 1_000));
  expect((await whyOf(id)).find(({ code }) => code === 'drifted')?.detail).toContain('VLAN (out of range)');
  await note('in_sync', new Date(Date.now() + 2_000));
  expect(await deviceOf(id)).toMatchObject({ syncStatus: 'in_sync' });
});
