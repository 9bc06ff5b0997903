import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEventBuffer } from '../../src/event/buffer.ts';
import type { EventJson, NewEvent } from '../../src/event/event.ts';
import { createLog } from '../../src/log.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

const SECRET = 'a-secret-of-a-git-host';

let service: TestService;
let path: string;
let device: Record<string, string>;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  const webhook = { provider: 'gitea', secret: SECRET };
  const source = { name: 's', url: 'https://example.com/a.git', layout: 'repo', webhook };
  path = `/hooks/${(await service.api('POST', '/sources', source)).body.id}`;
  const { apiKey } = (await service.api('POST', '/devices', { id: 'till' })).body;
  device = { 'x-device-id': 'till', 'x-api-key': apiKey };
});
afterAll(() => service.close());

/** Signed pushes and merge requests whose texts no PostgreSQL stores. */
async function send(event: string, body: string): Promise<number> {
  const headers = {
    'content-type': 'application/json',
    'x-gitea-event': event,
    'x-gitea-delivery': randomUUID(),
    'x-gitea-signature': createHmac('sha256', SECRET).update(body).digest('hex'),
  };
  return (await fetch(service.url + path, { method: 'POST', headers, body })).status;
}

const push = (n: number, login: string) =>
  `{"ref":"refs/heads/main","before":"${'0'.repeat(40)}","after":"${String(n).padStart(40, 'a')}","pusher":{"login":"${login}"}}`;

const received = async () =>
  (await service.api('GET', '/events?limit=500')).body.items.filter((event: EventJson) => event.type === 'hook.received');

test('events of hooks that carry unstorable texts are written, and so are those beside them', async () => {
  const logins = ['plain', String.raw`with \u0000`, String.raw`half \ud800`, 'plain', String.raw`\udfff half`];
  const statuses = await Promise.all(Array.from({ length: 30 }, (_, n) => send('push', push(n, logins[n % logins.length] ?? ''))));
  expect(new Set(statuses)).toEqual(new Set([202]));
  const events = await eventually('all events', async () => {
    const found = await received();
    return found.length === 30 && found;
  });
  expect(new Set(events.map((event: EventJson) => event.data.pusher))).toEqual(
    new Set(['plain', 'with \uFFFD', 'half \uFFFD', '\uFFFD half']),
  );
});

test('a merge request with an unstorable title is taken', async () => {
  const title = String.raw`a \u0000 title \ud800`;
  const request = `{"action":"opened","number":1,"pull_request":{"head":{"sha":"${'b'.repeat(40)}"},"base":{"ref":"main"},"title":"${title}","html_url":"https://example.com/1"}}`;
  expect(await send('pull_request', request)).toBe(202);
  const [row] = await service.database.sql`select title from merge_requests`;
  expect(row?.title).toBe('a \uFFFD title \uFFFD');
});

test('a report with an unstorable text is taken, so that the device does not send it for ever', async () => {
  const report = { kind: 'log', id: randomUUID(), at: new Date().toISOString(), level: 'info', message: 'a \0 line \ud800' };
  const headers = { ...device, 'content-type': 'application/json' };
  const answer = await fetch(`${service.url}/agent/v1/reports`, { method: 'POST', headers, body: JSON.stringify({ reports: [report] }) });
  expect(answer.status).toBe(200);
  expect((await service.api('GET', '/devices/till/logs')).body.items[0].message).toBe('a \uFFFD line \uFFFD');
});

test('of a batch that cannot be written, every event that can be is', async () => {
  const { sql } = service.database;
  const [organization] = await sql<{ id: string }[]>`select id from organizations`;
  const buffer = createEventBuffer(sql, createLog('silent'));
  const event = (organizationId: string, n: number): NewEvent => ({
    organizationId,
    type: 'source.synced',
    subject: `source:${n}`,
    data: { status: 'ok', commit: String(n) },
  });
  const before = (await service.api('GET', '/events?limit=500')).body.items.length;
  // The first is written by itself; the rest waits and makes one batch.
  for (let n = 0; n < 10; n += 1) buffer.emit(event(n % 3 === 1 ? randomUUID() : (organization?.id ?? ''), n));
  await buffer.close();
  const events: EventJson[] = (await service.api('GET', '/events?limit=500')).body.items.slice(before);
  expect(events.map(({ data }) => data.commit)).toEqual(['0', '2', '3', '5', '6', '8', '9']);
});
