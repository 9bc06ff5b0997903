import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { verifyStandardWebhooks } from '../../src/crypto/signature.ts';
import { newId } from '../../src/ids.ts';
import { claimDue, noteFailure, renewClaim } from '../../src/notification/delivery/claim-store.ts';
import { takeEvents } from '../../src/notification/delivery/take.ts';
import type { EventType } from '../../src/wire/event/events.ts';
import { waitingForLocks } from '../support/database.ts';
import { eventually, openService, type TestService } from '../support/service.ts';
import { openReceiver, type Posted, type Receiver } from './receiver.ts';
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

const idOf = ({ headers }: Posted) => headers['webhook-id'];
const isGenuine = ({ headers, body }: Posted, secret: string) => {
  const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
  const given = new Headers(names.map((name) => [name, String(headers[name])]));
  return verifyStandardWebhooks({ headers: given, rawBody: Buffer.from(body) }, secret, new Date()).ok;
};
const cursorsOf = (posts: readonly Posted[]) => posts.map(({ body }) => JSON.parse(body).cursor as number);
const arrived = (posts: readonly Posted[], count: number) => eventually(`${count} posts`, async () => posts.length >= count);

test('wanted events arrive in their order, each once and signed; others do not arrive', async () => {
  await using receiver = await openReceiver();
  const { id, secret } = await tenant.notify(receiver, { events: ['rollout.*', 'source.failed'] });
  const types: EventType[] = ['rollout.planned', 'device.status', 'source.failed', 'hook.received'];
  // More events than one batch of deliveries, from several concurrent transactions.
  await Promise.all(
    Array.from({ length: 12 }, () => tenant.emitAll(Array.from({ length: 24 }, (_, n) => [types[n % 4] ?? 'hook.received']))),
  );
  const deliveries = await tenant.settled(id, 144);
  const cursors = cursorsOf(receiver.posts);
  expect(receiver.posts).toHaveLength(144);
  expect(cursors.toSorted((a, b) => a - b)).toEqual(cursors);
  expect(new Set(receiver.posts.map(idOf)).size).toBe(144);
  expect(receiver.posts.every((post) => isGenuine(post, secret))).toBe(true);
  expect(deliveries.map(({ eventCursor }) => eventCursor)).toEqual(cursors.toReversed());
  expect(deliveries.every(({ state, attempts, tries }) => state === 'delivered' && attempts === 1 && tries[0]?.status === 200)).toBe(true);
  const [wanted] = await tenant.sql<[{ count: number }]>`
    select count(*)::int as count from events where organization_id = ${tenant.organizationId} and type in ('rollout.planned', 'source.failed')`;
  expect(wanted.count).toBe(144);
});

test('a failed delivery is retried under the same id, and later ones wait for it', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  receiver.next({ status: 500, body: 'oh no' }, 'cut', { status: 302, headers: { location: receiver.url } });
  await tenant.emitAll([['rollout.planned'], ['rollout.running']]);
  for (const failures of [1, 2, 3]) {
    await tenant.failed(id, failures);
    await tenant.hurry(id);
  }
  const [second, first] = await tenant.settled(id, 2);
  expect(receiver.posts.map(idOf)).toEqual([first?.id, first?.id, first?.id, first?.id, second?.id]);
  expect(new Set(receiver.posts.slice(0, 4).map(({ body }) => body)).size).toBe(1);
  expect(first?.tries.map(({ status, response }) => [status, response])).toEqual([
    [500, 'oh no'],
    [null, ''],
    [302, ''],
    [200, 'ok'],
  ]);
  expect(await tenant.get(id)).toMatchObject({ status: 'ok', failures: 0, lastError: null, nextTryAt: null });
});

test('three failures in a row emit one event, and so does the recovery', async () => {
  await using receiver = await openReceiver();
  await using observer = await openReceiver();
  const { id } = await tenant.notify(receiver);
  const watching = await tenant.notify(observer, { events: ['notification.*'], minimumSeverity: 'info' });
  await tenant.settled(watching.id, 1);
  receiver.always({ status: 503 });
  await tenant.emit('rollout.planned');
  for (const failures of [1, 2, 3, 4]) {
    await tenant.failed(id, failures);
    expect(await tenant.get(id)).toMatchObject({ status: 'failing', lastError: 'the answer is 503' });
    if (failures === 4) receiver.always({ status: 200 });
    await tenant.hurry(id);
  }
  await tenant.settled(watching.id, 3);
  const observed = observer.posts.map(({ body }) => JSON.parse(body)).map(({ type, subject, severity }) => [type, subject, severity]);
  expect(observed).toEqual([
    ['notification.created', `notification:${watching.id}`, 'info'],
    ['notification.failing', `notification:${id}`, 'warning'],
    ['notification.recovered', `notification:${id}`, 'info'],
  ]);
});

test('a pause that the receiver asks for is observed', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  receiver.next({ status: 429, headers: { 'retry-after': '3600' } });
  await tenant.emit('rollout.planned');
  await tenant.failed(id, 1);
  const [delivery] = await tenant.deliveries(id);
  const pauseMs = Date.parse(delivery?.nextTryAt ?? '') - Date.parse(delivery?.tries[0]?.at ?? '');
  expect(pauseMs).toBeGreaterThanOrEqual(3_600_000);
});

test('a receiver that answers 410 gets no requests until a user enables it again; events of the time between are not delivered', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  receiver.next({ status: 410 });
  await tenant.emitAll([['rollout.planned'], ['rollout.running']]);
  const ended = await tenant.settled(id, 2);
  expect(ended.map(({ state, attempts }) => [state, attempts])).toEqual([
    ['failed', 0],
    ['failed', 1],
  ]);
  expect(await tenant.get(id)).toMatchObject({ enabled: false, status: 'disabled', disabledReason: 'the answer is 410' });
  const { items } = (await tenant.api('GET', '/audit')).body;
  expect(items).toContainEqual(
    expect.objectContaining({ actor: 'controller', action: 'notification.disable', subject: `notification:${id}` }),
  );
  const again = await tenant.api('POST', `/notifications/${id}/deliveries/${ended[0]?.id}/redeliver`);
  expect([again.status, again.body.code]).toEqual([409, 'notification_disabled']);
  await tenant.emit('rollout.paused');
  expect((await tenant.api('PATCH', `/notifications/${id}`, { enabled: true })).body).toMatchObject({ status: 'ok', disabledReason: null });
  await tenant.emit('rollout.completed');
  await tenant.settled(id, 3);
  expect(receiver.posts.map(({ body }) => JSON.parse(body).type)).toEqual(['rollout.planned', 'rollout.completed']);
});

test('after five attempts of a rejected message the next one follows', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  receiver.next({ status: 422 }, { status: 422 });
  await tenant.emitAll([['rollout.planned'], ['rollout.running']]);
  await tenant.failed(id, 1);
  await tenant.sql`update notification_deliveries set attempts = 4 where notification_id = ${id} and attempts = 1`;
  await tenant.hurry(id);
  await tenant.failed(id, 2);
  await tenant.hurry(id);
  const ended = await tenant.settled(id, 2);
  expect(ended.map(({ state, attempts }) => [state, attempts])).toEqual([
    ['delivered', 1],
    ['failed', 5],
  ]);
});

test('a receiver that hangs delays no other, and neither do twenty of them', async () => {
  await using stuck = await openReceiver();
  await using well = await openReceiver();
  stuck.always('hang');
  const hanging = await Promise.all(Array.from({ length: 20 }, () => tenant.notify(stuck)));
  const { id } = await tenant.notify(well);
  await tenant.emit('rollout.planned');
  await arrived(stuck.posts, 20);
  for (const type of ['rollout.running', 'rollout.paused', 'rollout.resumed', 'rollout.completed'] as const) await tenant.emit(type);
  await tenant.settled(id, 5);
  expect(well.posts.map(({ body }) => JSON.parse(body).type)).toHaveLength(5);
  for (const { id } of hanging) expect((await tenant.get(id)).lastDeliveredAt).toBeNull();
});

test('unwanted events are skipped without any row', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver, { events: ['rollout.aborted'] });
  await tenant.emitAll(Array.from({ length: 300 }, () => ['device.status', 'device:d', { status: 'OFFLINE' }]));
  const [newest] = await tenant.sql<
    [{ cursor: number }]
  >`select max(cursor) as cursor from events where organization_id = ${tenant.organizationId}`;
  await eventually('the cursor passes them', async () => (await tenant.get(id)).cursor === newest.cursor);
  expect(await tenant.deliveries(id)).toEqual([]);
  const [row] = await tenant.sql`select due_at, claim from notifications where id = ${id}`;
  expect(row).toEqual({ due_at: null, claim: null });
});

/** Inserts events without a notification, so that no process has processed them. */
const happened = (count: number, age: string) => tenant.sql`
  insert into events (organization_id, type, subject, data, at)
  select ${tenant.organizationId}, 'rollout.aborted', 'rollout:r', '{}', now() - ${age}::interval from generate_series(1, ${count})`;
const look = (id: string) => tenant.sql`update notifications set due_at = now() where id = ${id}`;

test('an event that could not be delivered within a day is counted as dropped, or its delivery fails', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  receiver.next({ status: 500 });
  await tenant.emit('rollout.planned');
  await tenant.failed(id, 1);
  await tenant.sql`update notification_deliveries set expires_at = now() where notification_id = ${id}`;
  await happened(150, '25 hours');
  await happened(3, '23 hours');
  await look(id);
  const ended = await tenant.settled(id, 4);
  expect(ended.map(({ state }) => state)).toEqual(['delivered', 'delivered', 'delivered', 'failed']);
  expect(receiver.posts).toHaveLength(4);
  expect(await tenant.get(id)).toMatchObject({ dropped: 150, status: 'ok' });
});

test('the oldest events of a backlog beyond the limit are dropped and counted', async () => {
  await using receiver = await openReceiver();
  const { id } = await tenant.notify(receiver);
  receiver.always({ status: 500 });
  await happened(100_250, '1 minute');
  const [oldest] = await tenant.sql<
    [{ cursor: number }]
  >`select min(cursor) as cursor from events where type = 'rollout.aborted' and organization_id = ${tenant.organizationId}`;
  await look(id);
  await tenant.failed(id, 1);
  expect(await tenant.get(id)).toMatchObject({ dropped: 250 });
  expect((await tenant.deliveries(id)).at(-1)?.eventCursor).toBe(oldest.cursor + 250);
});

test('a claim of a notification lasts until it expires without a renewal', async () => {
  await using receiver = await openReceiver();
  await using other = await openReceiver();
  const { id } = await tenant.notify(receiver);
  const beside = await tenant.notify(other);
  const hold = (until: string) => tenant.sql`
    update notifications set claim = gen_random_uuid(), claimed_until = now() + ${until}::interval, due_at = coalesce(due_at, now()) where id = ${id}`;
  await hold('1 hour');
  await tenant.emit('rollout.planned');
  await tenant.settled(beside.id, 1);
  expect(receiver.posts).toEqual([]);
  await hold('-1 second');
  await tenant.settled(id, 1);
  expect(receiver.posts).toHaveLength(1);
});

test('concurrent workers claim each notification once', async () => {
  await using idle = await openService({ ROLE: 'api' });
  const beside = await openTenant(idle);
  const wanted = await Promise.all(Array.from({ length: 12 }, () => beside.notify({ url: 'http://127.0.0.1:9/' })));
  await beside.sql`update notifications set due_at = now()`;
  const { sql } = idle.app.services.store;
  const claims = (await Promise.all(Array.from({ length: 8 }, () => claimDue(sql, newId(), 5)))).flat();
  claims.push(...(await claimDue(sql, newId(), 100)));
  expect(claims.map(({ id }) => id).toSorted()).toEqual(wanted.map(({ id }) => id).toSorted());
  const [claim] = claims;
  await beside.sql`update notifications set claimed_until = now()`;
  const [taken] = (await claimDue(sql, newId(), 100)).filter(({ id }) => id === claim?.id);
  expect(taken?.claim).not.toBe(claim?.claim);
  // A worker whose claim was taken over writes nothing more.
  if (claim === undefined || taken === undefined) throw new Error('nothing was claimed');
  expect(await takeEvents(sql, claim)).toEqual({ outcome: 'lost', dropped: 0 });
  expect(await noteFailure(sql, claim, 'x', 1)).toBe(false);
  expect(await renewClaim(sql, taken)).toMatchObject({ id: claim.id, failures: 0 });
});

/** A notification with one successful delivery, whose worker has ended. */
async function delivered(receiver: Receiver) {
  const { id } = await tenant.notify(receiver);
  await tenant.emit('rollout.planned');
  const [delivery] = await tenant.settled(id, 1);
  const { sql } = tenant;
  await eventually(
    'the worker is done',
    async () => (await sql`select 1 from notifications where id = ${id} and due_at is null`).count === 1,
  );
  return { id, redeliver: () => tenant.api('POST', `/notifications/${id}/deliveries/${delivery?.id}/redeliver`) };
}

test('a redelivery requested while a worker ends its claim is not lost', async () => {
  await using receiver = await openReceiver();
  const { id, redeliver } = await delivered(receiver);
  const claim = { organizationId: tenant.organizationId, id, claim: newId() };
  await tenant.sql`update notifications set claim = ${claim.claim}, claimed_until = now() + interval '1 hour', due_at = now() where id = ${id}`;
  expect((await redeliver()).status).toBe(202);
  expect(await takeEvents(service.app.services.store.sql, claim)).toEqual({ outcome: 'idle', dropped: 0 });
  await eventually('it is sent again', async () => receiver.posts.length === 2);
});

test('a request for a redelivery waits for a worker that ends its claim', async () => {
  await using receiver = await openReceiver();
  const { id, redeliver } = await delivered(receiver);
  const { sql } = tenant;
  await sql`update notifications set claim = gen_random_uuid(), claimed_until = now() + interval '1 hour', due_at = now() where id = ${id}`;
  const [ended, commit] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ending = sql.begin(async (tx) => {
    await tx`update notifications set claim = null, claimed_until = null, due_at = null where id = ${id}`;
    ended.resolve();
    await commit.promise;
  });
  await ended.promise;
  const redelivered = redeliver();
  await eventually('it waits for the worker', async () => (await waitingForLocks(sql)) > 0);
  commit.resolve();
  await ending;
  expect((await redelivered).status).toBe(202);
  await eventually('it is sent again', async () => receiver.posts.length === 2);
});
