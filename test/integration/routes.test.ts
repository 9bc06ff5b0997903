import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCredentials, openHookSecret } from '../../src/integration/credentials.ts';
import { openPlatform } from '../../src/integration/open.ts';
import { block, integrationOf } from '../../src/integration/store/services.ts';
import { SHELF, SHELF_KEY, type Shelf, serveShelf } from '../support/platform.ts';
import { type Answer, type Api, openService, type TestService } from '../support/service.ts';

let service: TestService;
let platform: Shelf;
let api: Api;
beforeAll(async () => {
  [service, platform] = await Promise.all([openService({ ROLE: 'api' }, SHELF), serveShelf()]);
  api = service.api;
});
afterAll(async () => {
  await service.close();
  await platform.close();
});
beforeEach(async () => {
  await service.database.sql`delete from device_services`;
  await service.database.sql`update organizations set device_sync_enabled = true`;
  platform.account.key = SHELF_KEY;
  platform.requests.splice(0);
  platform.faults.splice(0);
});

const wanted = (changes: Record<string, unknown> = {}) => ({
  type: 'shelf',
  settings: platform.settings,
  credentials: platform.credentials,
  ...changes,
});
const create = async (changes: Record<string, unknown> = {}) => (await api('POST', '/integrations', wanted(changes))).body;
const stored = async (slug: string) => {
  const [row] = await service.database.sql<{ id: string }[]>`select id from organizations where name = 'default'`;
  return (await integrationOf(service.database.sql, row?.id ?? '', slug)) ?? expect.fail('no such integration');
};
const events = async () =>
  (
    await service.database.sql<
      { type: string; subject: string }[]
    >`select type, subject from events where type like 'integration%' order by cursor`
  ).map(({ type, subject }) => `${type} ${subject}`);
const refusal = ({ status, body }: Answer) => [status, body.code];
const pointers = ({ body }: Answer) => body.errors.map(({ pointer }: { pointer: string }) => pointer);

describe('providers', () => {
  test('a provider shows its schemas, abilities, fields and views', async () => {
    const { items } = (await api('GET', '/integrations/providers')).body;
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      kind: 'shelf',
      title: 'Shelf',
      settings: { type: 'object', required: ['baseUrl'], properties: { project: { default: 'field' } } },
      credentials: { required: ['apiKey'] },
      abilities: { list: true, delete: false, push: false },
      fields: [
        { name: 'name', kind: 'scalar', writable: true },
        { name: 'tags', kind: 'set' },
        { name: 'battery', writable: false },
      ],
      views: [{ name: 'policies', title: 'Policies' }],
      document: null,
      defaultIntervalSeconds: 900,
    });
  });
});

describe('create, change, remove', () => {
  test('an integration gets a slug, the defaults of its provider, and hints in the place of its credentials', async () => {
    const answer = await api('POST', '/integrations', wanted());
    expect([answer.status, answer.headers.get('location'), answer.headers.get('etag')]).toEqual([201, 'integrations/shelf', '"1"']);
    expect(answer.body).toMatchObject({
      slug: 'shelf',
      name: 'Shelf',
      type: 'shelf',
      primary: true,
      enabled: true,
      direction: 'import',
      strategy: 'remote_wins',
      fields: null,
      autoSync: true,
      intervalSeconds: 900,
      credentials: { apiKey: '6789' },
      hookSecretLast4: null,
      state: 'new',
      error: null,
    });
    expect(answer.body.hookUrl).toBe(`${service.url}/hooks/integrations/${answer.body.id}`);
    expect(JSON.stringify(answer.body)).not.toContain(SHELF_KEY);
    expect((await api('GET', `/integrations/${answer.body.id}`)).body).toEqual((await api('GET', '/integrations/shelf')).body);
    expect(platform.requests).toEqual([]);
  });

  test('credentials are sealed for their row', async () => {
    const [first, second] = [await create(), await create()];
    const { box } = service.app.services;
    const one = await stored('shelf');
    expect(one.credentialsSealed).not.toContain(SHELF_KEY);
    expect(openCredentials(box, one)).toEqual({ apiKey: SHELF_KEY });
    expect(() => openCredentials(box, { ...one, id: second.id })).toThrow(/was changed, or was sealed for another context/);
    expect(first.slug).toBe('shelf');
  });

  test.each([
    ['an unknown type', { type: 'nothing' }, ['/type']],
    ['settings that the schema refuses', { settings: { baseUrl: 'no URL' } }, ['/settings/baseUrl']],
    ['an unknown setting', { settings: { baseUrl: 'https://a.example', projct: 'x' } }, ['/settings']],
    ['missing credentials', { credentials: {} }, ['/credentials/apiKey']],
    ['a field that the provider does not have', { fields: ['name', 'nope'] }, ['/fields/1']],
    ['the export of a field that cannot be written', { fieldRules: { battery: { direction: 'both' } } }, ['/fieldRules/battery/direction']],
    ['an interval below a minute', { intervalSeconds: 59 }, ['/intervalSeconds']],
    ['an interval above a day', { intervalSeconds: 86_401 }, ['/intervalSeconds']],
  ])('%s is refused with its pointer', async (_what, changes, expected) => {
    const answer = await api('POST', '/integrations', wanted(changes));
    expect(refusal(answer)).toEqual([400, 'invalid_request']);
    expect(pointers(answer)).toEqual(expected);
    expect(JSON.stringify(answer.body)).not.toContain(SHELF_KEY);
  });

  test('a change takes effect with the present version only', async () => {
    await create();
    const changed = await api('PATCH', '/integrations/shelf', { name: 'Yard', direction: 'both', enabled: false }, { 'if-match': '"1"' });
    expect([changed.status, changed.body.name, changed.body.direction, changed.body.state, changed.headers.get('etag')]).toEqual([
      200,
      'Yard',
      'both',
      'disabled',
      '"2"',
    ]);
    expect(refusal(await api('PATCH', '/integrations/shelf', { name: 'Late' }, { 'if-match': '"1"' }))).toEqual([412, 'version_mismatch']);
    expect(refusal(await api('DELETE', '/integrations/shelf?force=true', undefined, { 'if-match': '"1"' }))).toEqual([
      412,
      'version_mismatch',
    ]);
    expect(await openCredentials(service.app.services.box, await stored('shelf'))).toEqual({ apiKey: SHELF_KEY });
  });

  test('stored credentials are sent to no other address', async () => {
    await create();
    const settings = { baseUrl: 'http://127.0.0.1:9/elsewhere' };
    const refused = await api('PATCH', '/integrations/shelf', { settings });
    expect([refusal(refused), pointers(refused)]).toEqual([[400, 'invalid_request'], ['/credentials']]);
    expect(refusal(await api('POST', '/integrations/shelf/test', { settings }))).toEqual([400, 'invalid_request']);
    const moved = await api('PATCH', '/integrations/shelf', { settings, credentials: { apiKey: 'another-key-0123456789' } });
    expect(moved.body).toMatchObject({ settings: { ...settings, project: 'field' }, credentials: { apiKey: '6789' } });
    expect((await api('PATCH', '/integrations/shelf', { settings: { ...settings, project: 'yard' } })).status).toBe(200);
  });

  test('the primary moves on when it is removed, and the only one is removed by force alone', async () => {
    await create();
    await create({ name: 'Second' });
    await create({ name: 'Third' });
    expect((await api('POST', '/integrations/shelf_3/set-primary')).body).toMatchObject({ slug: 'shelf_3', primary: true });
    expect((await api('DELETE', '/integrations/shelf_3')).status).toBe(204);
    expect((await api('GET', '/integrations/settings')).body).toEqual({ syncingEnabled: true, primary: 'shelf' });
    expect((await api('DELETE', '/integrations/shelf')).status).toBe(204);
    expect((await api('GET', '/integrations')).body.items).toMatchObject([{ slug: 'shelf_2', primary: true }]);
    expect(refusal(await api('DELETE', '/integrations/shelf_2'))).toEqual([409, 'integration_primary']);
    expect((await api('DELETE', '/integrations/shelf_2?force=true')).status).toBe(204);
    expect((await api('GET', '/integrations/settings')).body).toEqual({ syncingEnabled: false, primary: null });
    expect((await create()).slug).toBe('shelf');
    expect((await api('GET', '/integrations/settings')).body).toEqual({ syncingEnabled: true, primary: 'shelf' });
  });

  test('the first integration switches syncing on, and a later one does not', async () => {
    await create();
    expect((await api('PUT', '/integrations/settings', { syncingEnabled: false })).body.syncingEnabled).toBe(false);
    await create();
    expect((await api('GET', '/integrations/settings')).body.syncingEnabled).toBe(false);
  });

  test('creations at the same moment get different slugs and one primary', async () => {
    const created = await Promise.all(Array.from({ length: 6 }, () => create()));
    expect(new Set(created.map(({ slug }) => slug)).size).toBe(6);
    expect(created.filter(({ primary }) => primary)).toHaveLength(1);
  });

  test('every operation is in the audit log, with who and outcome, and is an event', async () => {
    const { sql } = service.database;
    const [{ last }] = await sql<[{ last: number }]>`select coalesce(max(id), 0)::int as last from audit`;
    const before = (await events()).length;
    await create();
    await create();
    await api('PATCH', '/integrations/shelf', { name: 'Yard' });
    await api('POST', '/integrations/shelf_2/set-primary');
    await api('POST', '/integrations/shelf/hook-secret', {});
    await api('DELETE', '/integrations/shelf_2');
    expect(
      await sql`select actor, action, subject, outcome from audit where id > ${last} and action like 'integration.%' order by id`,
    ).toEqual(
      [
        ['create', 'shelf'],
        ['create', 'shelf_2'],
        ['change', 'shelf'],
        ['set_primary', 'shelf_2'],
        ['replace_hook_secret', 'shelf'],
        ['delete', 'shelf_2'],
      ].map(([action, slug]) => ({ actor: 'token:admin', action: `integration.${action}`, subject: `integration:${slug}`, outcome: 'ok' })),
    );
    expect((await events()).slice(before)).toEqual([
      'integration.created integration:shelf',
      'integration.created integration:shelf_2',
      'integration.changed integration:shelf',
      'integration.primary_changed integration:shelf_2',
      'integration.changed integration:shelf',
      'integration.deleted integration:shelf_2',
      'integration.primary_changed integration:shelf',
    ]);
  });
});

describe('tests of the settings', () => {
  test('settings are tested before they are stored, with a sample of five devices', async () => {
    const answer = await api('POST', '/integrations/test', wanted());
    expect(answer.body).toMatchObject({ ok: true, account: 'project field', devices: 7, gaps: [], error: null });
    expect(answer.body.sample.map(({ externalId }: { externalId: string }) => externalId)).toEqual(['d-0', 'd-1', 'd-2', 'd-3', 'd-4']);
    expect((await api('GET', '/integrations')).body.items).toEqual([]);
  });

  test('a refusal of the platform is the answer, without the credentials that it repeats', async () => {
    const answer = await api('POST', '/integrations/test', wanted({ credentials: { apiKey: 'wrong-key-0123456789' } }));
    expect(answer.body).toMatchObject({ ok: false, account: null, sample: [], error: { code: 'integration_unauthorized' } });
    expect(answer.body.error.detail).toMatch(/answered 401/);
    expect(JSON.stringify(answer.body)).not.toContain('wrong-key-0123456789');
  });

  test('the stored settings are tested, or given ones in their place', async () => {
    await create();
    expect((await api('POST', '/integrations/shelf/test')).body).toMatchObject({ ok: true, account: 'project field' });
    const other = { settings: { ...platform.settings, project: 'yard' } };
    expect((await api('POST', '/integrations/shelf/test', other)).body).toMatchObject({ ok: true, account: 'project yard' });
    expect((await api('GET', '/integrations/shelf')).body.settings.project).toBe('field');
    const { token } = (await api('POST', '/tokens', { name: 'operator', role: 'operator' })).body;
    const operator = service.apiAs(token);
    expect((await operator('POST', '/integrations/shelf/test')).status).toBe(200);
    expect(refusal(await operator('POST', '/integrations/shelf/test', other))).toEqual([403, 'forbidden']);
  });
});

describe('a block', () => {
  const blocked = async () => {
    await create();
    await block(service.database.sql, await stored('shelf'), 'integration_unauthorized', 'the token expired');
  };

  test('ends when a test shows that the platform takes the stored credentials again', async () => {
    await blocked();
    expect((await api('POST', '/integrations/shelf/test')).body.ok).toBe(true);
    expect(await stored('shelf')).toMatchObject({ blockedReason: null, nextRunAt: expect.any(Date) });
  });

  test('stays when the test fails, or tries other credentials', async () => {
    await blocked();
    platform.account.key = 'another-key-0123456789';
    expect((await api('POST', '/integrations/shelf/test')).body.ok).toBe(false);
    expect((await api('POST', '/integrations/shelf/test', { credentials: { apiKey: 'another-key-0123456789' } })).body.ok).toBe(true);
    expect(await stored('shelf')).toMatchObject({ blockedReason: 'the token expired', nextRunAt: null });
  });
});

describe('rotation', () => {
  test('new credentials are stored when the platform takes them, and end a block without losing state', async () => {
    const { id } = await create();
    const one = await stored('shelf');
    await block(service.database.sql, one, 'integration_unauthorized', 'the token expired');
    await service.database.sql`update device_services set walks = 4, last_success_at = now()`;
    expect((await api('GET', '/integrations/shelf')).body).toMatchObject({
      state: 'blocked',
      blockedReason: 'the token expired',
      nextSyncAt: null,
    });
    platform.account.key = 'renewed-key-9876543210';
    const answer = await api('POST', '/integrations/shelf/credentials', { credentials: { apiKey: 'renewed-key-9876543210' } });
    expect([answer.status, answer.body.id]).toEqual([200, id]);
    expect(answer.body).toMatchObject({ state: 'ok', blockedReason: null, error: null, credentials: { apiKey: '3210' } });
    expect((await stored('shelf')).walks).toBe(4);
    expect(openCredentials(service.app.services.box, await stored('shelf'))).toEqual({ apiKey: 'renewed-key-9876543210' });
  });

  test('credentials that the platform refuses replace nothing, unless they are forced', async () => {
    await create();
    const credentials = { apiKey: 'refused-key-0123456789' };
    const answer = await api('POST', '/integrations/shelf/credentials', { credentials });
    expect(refusal(answer)).toEqual([422, 'integration_unauthorized']);
    expect(answer.body.detail).toMatch(/the stored credentials stay, "force": true replaces them untested$/);
    expect(openCredentials(service.app.services.box, await stored('shelf'))).toEqual({ apiKey: SHELF_KEY });
    expect((await api('POST', '/integrations/shelf/credentials', { credentials, force: true })).status).toBe(200);
    expect(openCredentials(service.app.services.box, await stored('shelf'))).toEqual(credentials);
  });

  test('a hook secret is given or made, shown once, and sealed', async () => {
    await create();
    const made = await api('POST', '/integrations/shelf/hook-secret', {});
    expect(made.status).toBe(201);
    expect(made.body.secret).toMatch(/^[\w-]{43}$/);
    const { box } = service.app.services;
    expect(openHookSecret(box, await stored('shelf'))).toBe(made.body.secret);
    const given = await api('POST', '/integrations/shelf/hook-secret', { secret: 'from-the-platform-0123' });
    expect(given.body.secret).toBe('from-the-platform-0123');
    expect((await api('GET', '/integrations/shelf')).body.hookSecretLast4).toBe('0123');
    expect(refusal(await api('POST', '/integrations/shelf/hook-secret', { secret: 'short' }))).toEqual([400, 'invalid_request']);
  });
});

describe('syncs on request', () => {
  const jobs = async () =>
    (
      await service.database.sql<
        { key: string }[]
      >`select singleton_key as key from pgboss.job where name = 'integration' and state = 'created'`
    ).map(({ key }) => key);
  beforeEach(async () => {
    await service.database.sql`delete from pgboss.job where name = 'integration'`;
  });

  test('a sync is queued, and knows who asked for it', async () => {
    const { id } = await create({ autoSync: false });
    expect(await jobs()).toEqual([]);
    const answer = await api('POST', '/integrations/shelf/sync');
    expect([answer.status, answer.body]).toEqual([
      202,
      { queued: true, integration: 'shelf', statusPath: 'integrations/shelf/sync-status' },
    ]);
    expect(await jobs()).toEqual([id]);
    expect((await stored('shelf')).requestedBy).toBe('token:admin');
  });

  test('a sync is refused while one runs, while it is blocked, and while it is switched off', async () => {
    await create();
    const { sql } = service.database;
    await sql`
      insert into device_sync_log (organization_id, service_id, run_id, operation, trigger, status, details, heartbeat_at)
      select organization_id, id, gen_random_uuid(), 'walk', 'schedule', 'running', '{"seen": 3}', now() from device_services`;
    expect(refusal(await api('POST', '/integrations/shelf/sync'))).toEqual([409, 'integration_busy']);
    expect((await api('GET', '/integrations/shelf/sync-status')).body.running).toMatchObject({
      status: 'running',
      counts: { seen: 3, failed: 0 },
    });
    await sql`update device_sync_log set heartbeat_at = now() - interval '1 minute'`;
    expect((await api('POST', '/integrations/shelf/sync')).status).toBe(202);
    await block(sql, await stored('shelf'), 'integration_unauthorized', 'expired');
    const blocked = await api('POST', '/integrations/shelf/sync');
    expect([refusal(blocked), blocked.body.detail]).toEqual([
      [409, 'integration_blocked'],
      'Cannot sync integration "Shelf" until it gets new credentials: expired',
    ]);
    await api('PATCH', '/integrations/shelf', { enabled: false });
    expect(refusal(await api('POST', '/integrations/shelf/sync'))).toEqual([409, 'integration_disabled']);
    await api('PATCH', '/integrations/shelf', { enabled: true });
    await api('PUT', '/integrations/settings', { syncingEnabled: false });
    expect(refusal(await api('POST', '/integrations/shelf/sync'))).toEqual([409, 'integration_disabled']);
  });

  test('a sync of all skips those that cannot run, with the reason', async () => {
    const { id } = await create({ autoSync: false });
    await create({ enabled: false, name: 'Off' });
    const answer = await api('POST', '/integrations:sync-all');
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({ queued: ['shelf'], skipped: [{ integration: 'shelf_2', code: 'integration_disabled' }] });
    expect(await jobs()).toEqual([id]);
  });

  test('the status shows the last and the next sync, and devices that fail', async () => {
    await create();
    const { sql } = service.database;
    await api('POST', '/devices', { id: 'till' });
    await sql`
      insert into device_service_assignments (organization_id, service_id, device_id, external_id, error_code, error_detail, failures)
      select organization_id, id, 'till', 'd-1', 'integration_rejected', 'the name is too long', 2 from device_services`;
    await sql`
      insert into device_sync_log (organization_id, service_id, run_id, operation, status, details, error_code, error_detail, finished_at, duration_ms)
      select organization_id, id, gen_random_uuid(), 'walk', 'failed', '{}', 'integration_timeout', 'no answer', now(), 12 from device_services`;
    await sql`update device_services set stale_since = now()`;
    expect((await api('GET', '/integrations/shelf/sync-status')).body).toMatchObject({
      integration: 'shelf',
      state: 'stale',
      stale: true,
      circuit: 'closed',
      syncingEnabled: true,
      lastSync: null,
      nextSync: expect.any(String),
      running: null,
      lastRun: { status: 'failed', error: { code: 'integration_timeout' }, durationMs: 12 },
      devices: 1,
      failingDevices: 1,
      errors: [{ deviceId: 'till', code: 'integration_rejected', failures: 2 }],
    });
    await api('DELETE', '/devices/till');
  });
});

describe('assignments', () => {
  beforeAll(async () => {
    for (const id of ['till-1', 'till-2']) await api('POST', '/devices', { id });
  });
  const assign = (assignment: Record<string, unknown>) => api('POST', '/integrations/shelf/assignments', assignment);
  const listed = async () => (await api('GET', '/integrations/shelf/assignments')).body.items;

  test('a local device is assigned to a device at the platform, or to be created there', async () => {
    await create({ direction: 'both' });
    const first = await assign({ deviceId: 'till-1', externalId: 'd-1' });
    expect([first.status, first.body]).toEqual([
      201,
      { deviceId: 'till-1', externalId: 'd-1', identities: [], syncedAt: null, error: null, failures: 0, retryAt: null },
    ]);
    expect((await assign({ deviceId: 'till-2' })).body).toMatchObject({ externalId: null, retryAt: expect.any(String) });
    expect((await listed()).map(({ deviceId }: { deviceId: string }) => deviceId)).toEqual(['till-1', 'till-2']);
    const page = (await api('GET', '/integrations/shelf/assignments?limit=1')).body;
    expect((await api('GET', `/integrations/shelf/assignments?cursor=${page.nextCursor}`)).body.items).toMatchObject([
      { deviceId: 'till-2' },
    ]);
    expect((await api('DELETE', '/integrations/shelf/assignments/till-1')).status).toBe(204);
    expect(refusal(await api('DELETE', '/integrations/shelf/assignments/till-1'))).toEqual([404, 'not_found']);
    expect((await api('GET', '/devices/till-1')).status).toBe(200);
  });

  test('neither a device nor an id at the platform is assigned twice', async () => {
    await create({ direction: 'both' });
    await assign({ deviceId: 'till-1', externalId: 'd-1' });
    expect(refusal(await assign({ deviceId: 'till-1', externalId: 'd-2' }))).toEqual([409, 'assignment_exists']);
    expect(refusal(await assign({ deviceId: 'till-2', externalId: 'd-1' }))).toEqual([409, 'assignment_exists']);
    expect(await listed()).toHaveLength(1);
  });

  test('a device of nobody, or one that no sync would create, is refused with its pointer', async () => {
    await create();
    const unknown = await assign({ deviceId: 'nobodys', externalId: 'd-1' });
    expect([refusal(unknown), pointers(unknown)]).toEqual([[400, 'invalid_request'], ['/deviceId']]);
    const imported = await assign({ deviceId: 'till-1' });
    expect([refusal(imported), pointers(imported)]).toEqual([[400, 'invalid_request'], ['/externalId']]);
  });
});

describe('opening a platform', () => {
  const open = async () => openPlatform(await stored('shelf'), service.app.services.platforms);

  test('a stored integration opens with its credentials', async () => {
    await create();
    expect(await (await open()).test(AbortSignal.timeout(5_000))).toMatchObject({ account: 'project field', devices: 7 });
  });

  test('a blocked one, one that is switched off, and any in a service without integrations open no platform', async () => {
    await create();
    await block(service.database.sql, await stored('shelf'), 'integration_unauthorized', 'expired');
    await expect(open()).rejects.toMatchObject({ code: 'integration_blocked' });
    await api('PATCH', '/integrations/shelf', { enabled: false });
    await expect(open()).rejects.toMatchObject({ code: 'integration_disabled' });
    const off = { ...service.app.services.platforms, isOff: true };
    const one = await stored('shelf');
    expect(() => openPlatform(one, off)).toThrow(/ENABLE_EXTERNAL_INTEGRATION=false/);
  });
});
