import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAdmission } from '../../src/delivery/admission.ts';
import { holdPoll } from '../../src/delivery/held-polls.ts';
import { DEVICES_CHANNEL } from '../../src/event/store.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

let service: TestService;

beforeAll(async () => {
  service = await openService();
});

afterAll(() => service.close());

const waiting = () => service.app.services.wakeups.waiting();

/** Makes a device that knows its present state. */
async function device(id: string) {
  const { apiKey } = (await service.api('POST', '/devices', { id })).body;
  const headers = { 'x-device-id': id, 'x-api-key': apiKey };
  const ask = (known?: string, wait = 0) =>
    fetch(`${service.url}/agent/v1/desired?wait=${wait}`, {
      headers: known === undefined ? headers : { ...headers, 'if-none-match': known },
    });
  const first = await ask();
  await first.text();
  return {
    headers,
    ask,
    known: first.headers.get('etag') ?? '',
    ping: () => service.api('POST', `/devices/${id}/commands`, { type: 'ping' }),
  };
}

test('a poll is answered at once when the state differs from the known one, also if it may wait', async () => {
  const { ask } = await device('new');
  const answer = await ask('"0-another"', 55);
  expect([answer.status, answer.headers.get('content-type'), waiting()]).toEqual([200, 'application/jose', 0]);
});

test('a change answers every waiting poll of the device with the new state', async () => {
  const { ask, known, ping } = await device('patient');
  const polls = [ask(known, 55), ask(known, 55)];
  await eventually('a device waits', async () => waiting() === 1);
  await ping();
  for (const answer of await Promise.all(polls)) {
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(answer.headers.get('etag')).not.toBe(known);
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect((await answer.text()).split('.')).toHaveLength(3);
  }
  expect(waiting()).toBe(0);
});

test('a poll without a change in its time is answered with the known tag', async () => {
  const { ask, known } = await device('idle');
  const answer = await ask(known, 0.05);
  expect([answer.status, answer.headers.get('etag'), waiting()]).toEqual([304, known, 0]);
});

test('a wake-up without a change lets the poll wait, and a later change still answers it', async () => {
  const { ask, known, ping } = await device('woken');
  const poll = ask(known, 55);
  await eventually('it waits', async () => waiting() === 1);
  const { organizationId } = (await service.api('GET', '/events?type=device.registered&subject=device:woken')).body.items[0];
  await service.database.sql`select pg_notify(${DEVICES_CHANNEL}, ${`${organizationId} woken`})`;
  // Wake-ups arrive in order, so this one has been handled when the next one is.
  await ping();
  expect((await poll).status).toBe(200);
});

test('a connection that breaks while its poll waits is forgotten', async () => {
  const { headers, known } = await device('gone');
  const poll = request(`${service.url}/agent/v1/desired?wait=55`, { headers: { ...headers, 'if-none-match': known } });
  poll.on('error', () => undefined).end();
  await eventually('it waits', async () => waiting() === 1);
  poll.destroy();
  await eventually('it is forgotten', async () => waiting() === 0);
});

test('a device that is deleted while its poll waits is refused at its next poll at the latest', async () => {
  const { ask, known } = await device('deleted');
  const poll = ask(known, 55);
  await eventually('it waits', async () => waiting() === 1);
  await service.api('DELETE', '/devices/deleted');
  // The poll itself is refused if it had not done its first check yet.
  expect([304, 401]).toContain((await poll).status);
  await eventually('the key is forgotten', async () => (await ask(known, 55)).status === 401);
});

test('a service that stops answers waiting polls', async () => {
  const ending = await openService();
  const { apiKey } = (await ending.api('POST', '/devices', { id: 'last' })).body;
  const headers = { 'x-device-id': 'last', 'x-api-key': apiKey };
  const first = await fetch(`${ending.url}/agent/v1/desired`, { headers });
  await first.text();
  const poll = fetch(`${ending.url}/agent/v1/desired?wait=55`, {
    headers: { ...headers, 'if-none-match': first.headers.get('etag') ?? '' },
  });
  await eventually('it waits', async () => ending.app.services.wakeups.waiting() === 1);
  await ending.close();
  expect((await poll).status).toBe(304);
});

test('a waiting device keeps its place when a first check from before the change is answered late', async () => {
  const { known } = await device('early');
  const { services } = service.app;
  const { organizationId } = (await service.api('GET', '/events?type=device.registered&subject=device:early')).body.items[0];
  const key = { organizationId, deviceId: 'early' };
  const [lookedAt, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const loadSoon = async () => {
    const state = await services.wakeups.load(key);
    lookedAt.resolve();
    await answered.promise;
    return state;
  };
  const admission = createAdmission({ atWork: 1, idleMs: 3_600_000 });
  admission.admit({ organizationId, deviceId: 'another' }, 'q', () => undefined);
  const held = Promise.withResolvers<void>();
  const server = createServer((_request, outgoing) => {
    const poll = { key, known, waitMs: 55_000, inlineBytes: 0, requestId: 'r', outgoing };
    holdPoll({ ...services, wakeups: { ...services.wakeups, loadSoon }, admission }, poll).then(held.resolve, held.reject);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const answer = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await lookedAt.promise;
  await service.database.sql`
    with changed as (update devices set sequence = sequence + 1, deployment_id = gen_random_uuid() where id = 'early' returning 1)
    select pg_notify(${DEVICES_CHANNEL}, ${`${organizationId} early`}) from changed`;
  await eventually('it waits for its turn', async () => admission.counts().waiting === 1);
  answered.resolve();
  await held.promise;
  admission.release({ organizationId, deviceId: 'another' });
  expect((await answer).status).toBe(200);
  admission.close();
  server.close();
});
