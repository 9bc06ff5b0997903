import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import {
  block,
  claimDueIntegrations,
  deleteIntegration,
  insertIntegration,
  integrationById,
  integrationOf,
  listIntegrations,
  markStale,
  nextWalk,
  replaceCredentials,
  requestRuns,
  setPrimary,
  takeRequest,
  updateIntegration,
  writeRunEnd,
} from '../../src/integration/store/services.ts';
import { setDeviceSync } from '../../src/organization/store.ts';
import { openTestStore } from '../support/database.ts';

let opened: Awaited<ReturnType<typeof openTestStore>>;
beforeAll(async () => {
  opened = await openTestStore();
});
afterAll(() => opened.close());
beforeEach(async () => {
  await opened.database.sql`delete from device_services`;
  await opened.database.sql`update organizations set device_sync_enabled = true, disabled_at = null`;
});

const add = (changes: Partial<Parameters<typeof insertIntegration>[1]> = {}) =>
  insertIntegration(opened.database.sql, {
    organizationId: opened.organizationId,
    id: newId(),
    name: 'Field gateways',
    type: 'golioth',
    settings: { project: 'field' },
    credentialsSealed: 'sealed',
    credentialsHint: { apiKey: 'wxyz' },
    hookSecretSealed: null,
    hookSecretLast4: null,
    isActive: true,
    direction: 'both',
    strategy: 'manual',
    fields: ['name'],
    fieldRules: { name: { direction: 'export' } },
    autoSync: true,
    intervalSeconds: 900,
    ...changes,
  });

describe('slugs and the primary', () => {
  test('a slug is the type with the lowest free count', async () => {
    const { sql } = opened.database;
    const [first, second, third] = [await add(), await add(), await add()];
    expect([first, second, third].map(({ slug }) => slug)).toEqual(['golioth', 'golioth_2', 'golioth_3']);
    await deleteIntegration(sql, second);
    expect((await add()).slug).toBe('golioth_2');
    await deleteIntegration(sql, first);
    expect((await add()).slug).toBe('golioth');
    expect((await add({ type: 'rest' })).slug).toBe('rest');
  });

  test('the first integration is the primary, and there is never a second one', async () => {
    const { sql } = opened.database;
    const [first, second] = [await add(), await add()];
    expect([first.isPrimary, second.isPrimary]).toEqual([true, false]);
    expect(await setPrimary(sql, second)).toBe(true);
    expect(await setPrimary(sql, second)).toBe(false);
    const all = await listIntegrations(sql, opened.organizationId, null, 10);
    expect(all.map(({ isPrimary }) => isPrimary)).toEqual([false, true]);
  });

  test('an integration is found by its slug and by its id, in its own organization alone', async () => {
    const { sql } = opened.database;
    const one = await add();
    expect((await integrationOf(sql, opened.organizationId, 'golioth'))?.id).toBe(one.id);
    expect(await integrationOf(sql, opened.organizationId, one.id)).toEqual(one);
    expect(await integrationOf(sql, newId(), one.id)).toBeUndefined();
    expect(one).toMatchObject({
      settings: { project: 'field' },
      fields: ['name'],
      fieldRules: { name: { direction: 'export' } },
      walks: 0,
    });
  });

  test('an integration of a disabled organization is not there for jobs and hooks', async () => {
    const { sql } = opened.database;
    const one = await add();
    expect(await integrationById(sql, one.id)).toEqual(one);
    await sql`update organizations set disabled_at = now()`;
    expect(await integrationById(sql, one.id)).toBeUndefined();
  });
});

describe('the next run', () => {
  test('a new integration is due at once, is claimed once, and comes back after its interval', async () => {
    const { sql } = opened.database;
    const one = await add();
    expect(await claimDueIntegrations(sql, 10)).toEqual([{ organizationId: opened.organizationId, id: one.id }]);
    expect(await claimDueIntegrations(sql, 10)).toEqual([]);
    const after = await integrationById(sql, one.id);
    expect((after?.nextRunAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(800_000);
  });

  test.each([
    ['is switched off', { isActive: false }],
    ['does not sync by itself', { autoSync: false }],
  ])('an integration that %s is not due', async (_what, changes) => {
    expect((await add(changes)).nextRunAt).toBeNull();
    expect(await claimDueIntegrations(opened.database.sql, 10)).toEqual([]);
  });

  test('no integration is due while the organization syncs no devices', async () => {
    await add();
    expect(await setDeviceSync(opened.database.sql, opened.organizationId, false)).toBe(true);
    expect(await setDeviceSync(opened.database.sql, opened.organizationId, false)).toBe(false);
    expect(await claimDueIntegrations(opened.database.sql, 10)).toEqual([]);
  });

  test('a blocked integration is not due until it gets new credentials', async () => {
    const { sql } = opened.database;
    const one = await add();
    const end = { ok: false, nextInSeconds: null, code: 'integration_unauthorized', detail: 'expired', blockedReason: 'expired' } as const;
    expect(await writeRunEnd(sql, one, end)).toMatchObject({ blockedReason: 'expired', nextRunAt: null, failures: 1 });
    expect(await claimDueIntegrations(sql, 10)).toEqual([]);
    expect(await block(sql, one, 'integration_unauthorized', 'again')).toBe(false);
    const renewed = await replaceCredentials(sql, one, { credentialsSealed: 'new', credentialsHint: {} });
    expect(renewed).toMatchObject({ blockedReason: null, failures: 0, errorCode: null, version: one.version + 1 });
    expect(await claimDueIntegrations(sql, 10)).toHaveLength(1);
  });

  test('new settings of the platform end a block, others do not', async () => {
    const { sql } = opened.database;
    const one = await add();
    await block(sql, one, 'integration_unauthorized', 'expired');
    expect(await updateIntegration(sql, { ...one, name: 'Renamed' })).toMatchObject({ blockedReason: 'expired', nextRunAt: null });
    const moved = await updateIntegration(sql, { ...one, settings: { project: 'other' } });
    expect(moved).toMatchObject({ blockedReason: null, failures: 0 });
    expect(moved.nextRunAt).not.toBeNull();
  });

  test('another interval counts from the last run', async () => {
    const { sql } = opened.database;
    const one = await add();
    const ran = await writeRunEnd(sql, one, { ok: true, nextInSeconds: 900 });
    const changed = await updateIntegration(sql, { ...one, intervalSeconds: 3_600 });
    expect((changed.nextRunAt?.getTime() ?? 0) - (ran?.lastRunAt?.getTime() ?? 0)).toBe(3_600_000);
    expect(await updateIntegration(sql, { ...one, intervalSeconds: 3_600, autoSync: false })).toMatchObject({ nextRunAt: null });
  });

  test('the run that was asked for knows by whom, and the next one is the schedule’s again', async () => {
    const { sql } = opened.database;
    const one = await add();
    await requestRuns(sql, opened.organizationId, [one.id], 'token:ann');
    expect(await takeRequest(sql, one)).toBe('token:ann');
    expect(await takeRequest(sql, one)).toBeNull();
  });
});

describe('age of the data', () => {
  const age = (id: string, seconds: number) =>
    opened.database.sql`update device_services set last_success_at = now() - make_interval(secs => ${seconds}) where id = ${id}`;

  test('an integration is marked once when its last success is too old, and a success ends that', async () => {
    const { sql } = opened.database;
    const one = await add();
    await age(one.id, 3_500);
    expect(await markStale(sql, 3_600)).toEqual([]);
    await age(one.id, 3_700);
    expect((await markStale(sql, 3_600)).map(({ id }) => id)).toEqual([one.id]);
    expect(await markStale(sql, 3_600)).toEqual([]);
    expect(await writeRunEnd(sql, one, { ok: true, nextInSeconds: 900 })).toMatchObject({ staleSince: null });
  });

  test('one that syncs once a day is not stale in between', async () => {
    const { sql } = opened.database;
    const one = await add({ intervalSeconds: 86_400 });
    await age(one.id, 86_400);
    expect(await markStale(sql, 3_600)).toEqual([]);
    await age(one.id, 130_000);
    expect(await markStale(sql, 3_600)).toHaveLength(1);
  });

  test('walks are counted', async () => {
    const one = await add();
    expect([await nextWalk(opened.database.sql, one), await nextWalk(opened.database.sql, one)]).toEqual([1, 2]);
  });
});
