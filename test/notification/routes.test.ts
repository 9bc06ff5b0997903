import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { prune } from '../../controller/sweep/chores.ts';
import { rotateKeys } from '../../src/cli/keys.ts';
import { readConfig } from '../../src/config.ts';
import { verifyStandardWebhooks } from '../../src/crypto/signature.ts';
import { newId } from '../../src/ids.ts';
import { waitingForLocks } from '../support/database.ts';
import { eventually, openService, type TestService } from '../support/service.ts';
import { openReceiver } from './receiver.ts';
import { openTenant, type Tenant } from './tenant.ts';

let service: TestService;
let tenant: Tenant;
beforeAll(async () => {
  service = await openService();
});
beforeEach(async () => {
  tenant = await openTenant(service);
});
afterAll(() => service.close());

const NOWHERE = 'http://127.0.0.1:9/path-of-nobody';

test('a notification is shown without its secret and without the part of its URL that may be secret', async () => {
  const url = 'https://hooks.chat.example.com/services/T0123/B0456/XyZ-secret-path?token=topsecret';
  const created = await tenant.api('POST', '/notifications', {
    name: 'chat',
    url,
    events: ['*'],
    format: 'slack',
    minimumSeverity: 'warning',
  });
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject({
    name: 'chat',
    url: 'https://hooks.chat.example.com/…cret',
    secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
    secretLast4: created.body.secret.slice(-4),
    minimumSeverity: 'warning',
    status: 'ok',
    enabled: true,
  });
  const { secret } = created.body;
  const read = ['/notifications', `/notifications/${created.body.id}`, '/audit', '/events'];
  const shown = JSON.stringify(await Promise.all(read.map(async (path) => (await tenant.api('GET', path)).body)));
  const stored = JSON.stringify(await tenant.sql`select * from notifications`);
  for (const text of [shown, stored]) {
    expect(text).not.toContain(secret.slice(6, -1));
    expect(text).not.toMatch(/XyZ|topsecret/);
  }
  expect((await tenant.api('GET', `/notifications/${created.body.id}`)).body.secret).toBeUndefined();
});

test('an invalid notification is refused with the name of the field', async () => {
  const refused = async (over: Record<string, unknown>, pointer: string) => {
    const answer = await tenant.api('POST', '/notifications', { name: 'n', url: NOWHERE, events: ['*'], ...over });
    expect([over, answer.status, answer.body.errors?.map((error: { pointer: string }) => error.pointer)]).toEqual([over, 400, [pointer]]);
  };
  for (const url of ['nonsense', 'ftp://example.com/', 'https://user:pass@example.com/', 'https://example.com/#part'])
    await refused({ url }, '/url');
  await refused({ events: ['rollout.exploded'] }, '/events/0');
  await refused({ events: [] }, '/events');
  await refused({ minimumSeverity: 'fatal' }, '/minimumSeverity');
  await refused({ format: 'xml' }, '/format');
  await refused({ sourceId: newId() }, '/sourceId');
  await refused({ siteId: newId() }, '/siteId');
  const metadata = await tenant.api('POST', '/notifications', { name: 'n', url: 'https://169.254.169.254/latest', events: ['*'] });
  expect([metadata.status, metadata.body.code]).toEqual([422, 'address_refused']);
});

test('private addresses and plain HTTP are refused unless they are allowed', async () => {
  await using strict = await openService({ ROLE: 'api', ALLOW_PRIVATE_NOTIFICATION_HOSTS: 'false' });
  await using receiver = await openReceiver();
  const post = (url: string) => strict.api('POST', '/notifications', { name: url, url, events: ['*'] });
  expect((await post(receiver.url)).body.errors[0].detail).toBe(
    'its scheme is "http", must be "https"; whoever runs this service can allow it with ALLOW_PRIVATE_NOTIFICATION_HOSTS=true',
  );
  expect((await post('https://127.0.0.1/')).body.code).toBe('address_refused');
  // A host name is resolved at the connection.
  const { id } = (await post(`https://localhost:${new URL(receiver.url).port}/`)).body;
  expect((await strict.api('POST', `/notifications/${id}/test`)).body).toMatchObject({
    ok: false,
    status: null,
    error: expect.stringContaining('can allow it with ALLOW_PRIVATE_NOTIFICATION_HOSTS=true'),
  });
  expect(receiver.posts).toEqual([]);
});

test('a test posts a signed event at once and returns the receiver’s response, without secrets', async () => {
  await using receiver = await openReceiver();
  const { id, secret } = await tenant.notify({ url: `${receiver.url}/path-that-is-secret` }, { format: 'cloudevents', name: 'on call' });
  const signature = () => String(receiver.posts.at(-1)?.headers['webhook-signature']);
  receiver.next({ status: 200, body: `thanks for ${secret} at /hook/path-that-is-secret\u0007, bwt_abcdef` });
  const { status, body } = await tenant.api('POST', `/notifications/${id}/test`);
  expect([status, body]).toEqual([
    200,
    { ok: true, status: 200, error: null, response: 'thanks for [redacted] at [redacted] , [redacted]', durationMs: expect.any(Number) },
  ]);
  expect(JSON.parse(receiver.posts[0]?.body ?? '')).toMatchObject({ type: 'bellwether.notification.test', data: { name: 'on call' } });
  expect(signature()).toMatch(/^v1,\S+$/);
  receiver.next({ status: 500, body: 'broken' });
  expect((await tenant.api('POST', `/notifications/${id}/test`)).body).toMatchObject({
    ok: false,
    status: 500,
    error: 'the answer is 500',
    response: 'broken',
  });
  // A test does not change the state of the deliveries.
  expect(await tenant.get(id)).toMatchObject({ status: 'ok', failures: 0 });
  expect(await tenant.deliveries(id)).toEqual([]);
});

test('a new secret signs in addition to the old one for a day, then alone', async () => {
  await using receiver = await openReceiver();
  const { id, secret } = await tenant.notify(receiver);
  const replaced = await tenant.api('POST', `/notifications/${id}/secret`);
  expect(replaced.status).toBe(201);
  expect(replaced.body.secret).not.toBe(secret);
  const genuineFor = async () => {
    await tenant.api('POST', `/notifications/${id}/test`);
    const { headers, body } = receiver.posts.at(-1) ?? { headers: {}, body: '' };
    const given = new Headers(Object.entries(headers).map(([name, value]) => [name, String(value)]));
    return [secret, replaced.body.secret].map(
      (one) => verifyStandardWebhooks({ headers: given, rawBody: Buffer.from(body) }, one, new Date()).ok,
    );
  };
  expect(await genuineFor()).toEqual([true, true]);
  expect(await tenant.get(id)).toMatchObject({ previousSecretUntil: replaced.body.previousSecretUntil });
  await tenant.sql`update notifications set previous_secret_until = now() where id = ${id}`;
  expect(await genuineFor()).toEqual([false, true]);
});

test("a rotation of the service's key reseals the URL and both secrets, and posts are still verified", async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  await tenant.api('POST', `/notifications/${id}/secret`);
  const sealed = async () => {
    const [row] = await tenant.sql<[{ keys: string[] }]>`
      select array[split_part(url_sealed, '.', 2), split_part(secret_sealed, '.', 2), split_part(previous_secret_sealed, '.', 2)] as keys
      from notifications where id = ${id}`;
    return row.keys;
  };
  const before = await sealed();
  await rotateKeys(readConfig({ DATA_DIR: service.dataDir, DATABASE_URL: service.database.url }), 0);
  const after = await sealed();
  expect(new Set(after).size).toBe(1);
  expect(after).not.toContain(before[0]);
  expect((await tenant.api('POST', `/notifications/${id}/test`)).body).toMatchObject({ ok: true });
  expect(String(receiver.posts[0]?.headers['webhook-signature']).split(' ')).toHaveLength(2);
});

test('source, site and labels restrict the events', async () => {
  const url = 'http://127.0.0.1:9/none.git';
  const source = (await tenant.api('POST', '/sources', { name: 'tills', url, layout: 'repo', pollIntervalSeconds: 86_400 })).body.id;
  const site = (await tenant.api('POST', '/sites', { name: 'Berlin' })).body.id;
  await tenant.api('POST', '/devices', { id: 'bound', sourceId: source });
  await tenant.api('POST', '/devices', { id: 'placed', siteId: site, labels: { floor: '1', zone: 'eu' } });
  await tenant.api('POST', '/devices', { id: 'plain' });
  await using receiver = await openReceiver();
  const common = { events: ['device.drifted', 'rollout.aborted', 'revision.rejected'] };
  const about = async (name: string, filter: Record<string, unknown>) =>
    (await tenant.notify({ url: `${receiver.url}/${name}` }, { ...common, ...filter })).id;
  const ofSource = await about('source', { sourceId: source });
  const ofSite = await about('site', { siteId: site });
  const ofLabels = await about('labels', { labels: { floor: '1' } });
  const ofBoth = await about('both', { siteId: site, labels: { floor: '2' } });
  await tenant.emitAll([
    ['device.drifted', 'device:bound'],
    ['device.drifted', 'device:placed'],
    ['device.drifted', 'device:plain'],
    ['device.drifted', 'device:unknown'],
    ['rollout.aborted', 'rollout:1', { sourceId: source }],
    ['rollout.aborted', 'rollout:2', { sourceId: newId() }],
    ['revision.rejected', `source:${source}`],
  ]);
  await tenant.settled(ofSource, 3);
  await tenant.settled(ofSite, 1);
  await tenant.settled(ofLabels, 1);
  const { cursor } = await tenant.get(ofSource);
  await eventually('the last has seen them', async () => (await tenant.get(ofBoth)).cursor >= cursor);
  const subjectsAt = (name: string) =>
    receiver.posts.filter(({ path }) => path === `/hook/${name}`).map(({ body }) => JSON.parse(body).subject as string);
  expect(subjectsAt('source')).toEqual(['device:bound', 'rollout:1', `source:${source}`]);
  expect(subjectsAt('site')).toEqual(['device:placed']);
  expect(subjectsAt('labels')).toEqual(['device:placed']);
  expect(subjectsAt('both')).toEqual([]);
});

test('a delivery is posted again under its id; one that is pending, unknown or without its event is not', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  await tenant.emit('rollout.planned');
  const [delivery] = await tenant.settled(id, 1);
  const redeliver = (deliveryId = delivery?.id, of = id) => tenant.api('POST', `/notifications/${of}/deliveries/${deliveryId}/redeliver`);
  receiver.always({ status: 500 });
  expect(await redeliver()).toMatchObject({ status: 202, body: { queued: true } });
  await tenant.failed(id, 1);
  expect((await redeliver()).body.code).toBe('delivery_pending');
  receiver.always({ status: 200 });
  await tenant.hurry(id);
  const [again] = await tenant.settled(id, 1);
  expect([...new Set(receiver.posts.map(({ headers }) => headers['webhook-id']))]).toEqual([delivery?.id]);
  const [first, ...later] = again?.tries.map(({ status }) => status) ?? [];
  expect([first, later[0], later.at(-1), again?.attempts]).toEqual([200, 500, 200, later.length + 1]);
  await tenant.sql`delete from events where organization_id = ${tenant.organizationId} and type = 'rollout.planned'`;
  expect((await redeliver()).body.code).toBe('event_gone');
  expect((await redeliver(newId())).status).toBe(404);
  expect((await redeliver(delivery?.id, newId())).status).toBe(404);
  const acts: { action: string }[] = (await tenant.api('GET', '/audit')).body.items;
  expect(acts.filter(({ action }) => action === 'notification.redeliver')).toHaveLength(1);
});

test.each([
  ['notifications', { url: NOWHERE, events: ['*'] }],
  ['sources', { url: 'https://git.example.com/a/b.git', layout: 'repo' }],
] as const)('of two changes of %s to the same name at once, the later one is refused as taken', async (kind, settings) => {
  const [{ id }, other] = await Promise.all(
    ['one', 'two'].map(async (name) => (await tenant.api('POST', `/${kind}`, { name, ...settings })).body),
  );
  const change = await tenant.sql.begin(async (tx) => {
    await tx`update ${tx(kind)} set name = 'three' where id = ${other.id}`;
    const changing = tenant.api('PATCH', `/${kind}/${id}`, { name: 'three' });
    await eventually('the change waits for the lock of the other', async () => (await waitingForLocks(tenant.sql)) > 0);
    return { changing };
  });
  const { status, body } = await change.changing;
  expect([status, body.code]).toEqual([409, 'name_taken']);
});

test('names are unique, versions are checked, and the number of notifications is limited', async () => {
  const { id } = await tenant.notify({ url: NOWHERE }, { name: 'one' });
  await tenant.notify({ url: NOWHERE }, { name: 'two' });
  const taken = await tenant.api('POST', '/notifications', { name: 'one', url: NOWHERE, events: ['*'] });
  expect([taken.status, taken.body.code]).toEqual([409, 'name_taken']);
  expect((await tenant.api('PATCH', `/notifications/${id}`, { name: 'two' })).body.code).toBe('name_taken');
  const etag = (await tenant.api('GET', `/notifications/${id}`)).headers.get('etag') ?? '';
  const changed = await tenant.api(
    'PATCH',
    `/notifications/${id}`,
    { minimumSeverity: 'error', url: 'http://127.0.0.1:9/' },
    { 'if-match': etag },
  );
  expect(changed.body).toMatchObject({ name: 'one', minimumSeverity: 'error', url: 'http://127.0.0.1:9/', events: ['rollout.*'] });
  expect((await tenant.api('DELETE', `/notifications/${id}`, undefined, { 'if-match': etag })).status).toBe(412);
  expect((await tenant.api('PATCH', `/notifications/${id}`, { events: ['hook.received'] })).body.errors[0].pointer).toBe(
    '/minimumSeverity',
  );
  await tenant.sql`
    insert into notifications (organization_id, id, name, url_sealed, url_hint, format, events, minimum_severity, secret_sealed, secret_last4, cursor, enabled)
    select organization_id, gen_random_uuid(), 'copy ' || n, url_sealed, url_hint, format, events, minimum_severity, secret_sealed, secret_last4, cursor, false
    from notifications, generate_series(1, 98) n where id = ${id}`;
  const full = await tenant.api('POST', '/notifications', { name: 'one too many', url: NOWHERE, events: ['*'] });
  expect([full.status, full.body.code]).toEqual([409, 'too_many']);
  expect((await tenant.api('DELETE', `/notifications/${id}`)).status).toBe(204);
  expect((await tenant.api('GET', `/notifications/${id}`)).status).toBe(404);
});

test('a notification that is disabled or deleted while its receiver hangs gets no more posts', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  const other = await tenant.notify(receiver);
  receiver.always('hang');
  await tenant.emitAll([['rollout.planned'], ['rollout.running']]);
  await eventually('both are posted to', async () => receiver.posts.length === 2);
  expect((await tenant.api('PATCH', `/notifications/${id}`, { enabled: false })).body.status).toBe('disabled');
  expect((await tenant.api('DELETE', `/notifications/${other.id}`)).status).toBe(204);
  const ended = await tenant.settled(id, 2);
  expect(ended.map(({ state, attempts }) => [state, attempts])).toEqual([
    ['failed', 0],
    ['failed', 0],
  ]);
});

test('a notification that is disabled during its deliveries and enabled again continues at once', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  receiver.next({ status: 500 });
  await tenant.emit('rollout.planned');
  await tenant.failed(id, 1);
  await tenant.api('PATCH', `/notifications/${id}`, { enabled: false });
  await tenant.api('PATCH', `/notifications/${id}`, { enabled: true });
  await tenant.emit('rollout.running');
  expect((await tenant.settled(id, 2)).map(({ state }) => state)).toEqual(['delivered', 'failed']);
});

test('deliveries older than a month are deleted with their attempts', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  await tenant.emitAll([['rollout.planned'], ['rollout.running']]);
  const [kept, old] = await tenant.settled(id, 2);
  await tenant.sql`update notification_deliveries set created_at = now() - interval '31 days' where id = ${old?.id ?? ''}`;
  await prune.run(service.app.services);
  expect((await tenant.deliveries(id)).map((delivery) => delivery.id)).toEqual([kept?.id]);
  expect(await tenant.sql`select 1 from notification_attempts where delivery_id = ${old?.id ?? ''}`).toHaveLength(0);
});
