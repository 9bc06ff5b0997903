import { createHmac, randomUUID } from 'node:crypto';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { mintToken } from '../../src/crypto/tokens.ts';
import { signatureOf } from '../support/actors.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

const SECRET = 'a-secret-of-a-git-host';
const COMMIT = 'c'.repeat(40);

let service: TestService;
let device: Record<string, string>;
let signed: { id: string; path: string };
let gitea: { id: string; path: string };
/** Each test is another sender, as a proxy names it. */
let senders = 0;
let from: Record<string, string>;

beforeAll(async () => {
  service = await openService({ ROLE: 'api', RATE_LIMIT_REFUSED: '1', TRUST_PROXY: 'true' });
  const { apiKey } = (await service.api('POST', '/devices', { id: 'till' })).body;
  device = { 'x-device-id': 'till', 'x-api-key': apiKey };
  signed = await sourceOf('signed', { provider: 'generic', secret: SIGNING_TOKEN });
  gitea = await sourceOf('gitea', { provider: 'gitea', secret: SECRET });
});
beforeEach(() => {
  senders += 1;
  from = { 'x-forwarded-for': `203.0.113.${senders}` };
});
afterAll(() => service.close());

async function sourceOf(name: string, webhook: object): Promise<{ id: string; path: string }> {
  const url = `https://example.com/${name}.git`;
  const { id } = (await service.api('POST', '/sources', { name, url, layout: 'repo', pollIntervalSeconds: 86_400, webhook })).body;
  return { id, path: `/hooks/${id}` };
}

const sender = () => from['x-forwarded-for'] ?? '';

const statusOf = async (path: string, init: RequestInit = {}): Promise<number> => {
  const response = await fetch(service.url + path, { ...init, headers: { ...from, ...init.headers } });
  await response.text();
  return response.status;
};

const SOME = 12;
const some = (ask: () => Promise<unknown>) => Promise.all(Array.from({ length: SOME }, ask));

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const post = (headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer> = '{}') => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body,
});

function connectLive(token: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = io(`${service.url}/live`, {
      auth: { token },
      extraHeaders: from,
      transports: ['websocket'],
      reconnection: false,
      forceNew: true,
    });
    const end = (outcome: string) => {
      socket.disconnect();
      resolve(outcome);
    };
    socket.once('connect', () => end('connected'));
    socket.once('connect_error', (error) => end(error.message));
  });
}

function signedPush(): RequestInit {
  const body = Buffer.from(JSON.stringify({ ref: 'refs/heads/main', after: COMMIT, n: randomUUID() }));
  return post(signatureOf(body), new Uint8Array(body));
}

/** Each with wrong credentials, and with right ones. */
const DOORS: [door: string, wrong: () => Promise<unknown>, refused: unknown[], right: () => Promise<unknown>, served: unknown][] = [
  [
    'the API',
    () => statusOf('/api/v1/devices', { headers: bearer(mintToken('token')) }),
    [401, 429],
    () => statusOf('/api/v1/devices', { headers: bearer(ADMIN_TOKEN) }),
    200,
  ],
  [
    'the older dashboards',
    () => statusOf('/api/devices', { headers: bearer('nonsense') }),
    [401, 429],
    () => statusOf('/api/devices', { headers: bearer(ADMIN_TOKEN) }),
    200,
  ],
  [
    'devices that pull',
    () => statusOf('/agent/v1/desired', { headers: { ...device, 'x-api-key': mintToken('device') } }),
    [401, 429],
    () => statusOf('/agent/v1/desired', { headers: device }),
    200,
  ],
  [
    'older devices',
    () => statusOf('/api/v1/devices/pending', { headers: { 'x-device-id': 'till' } }),
    [401, 429],
    () => statusOf('/api/v1/devices/pending', { headers: device }),
    200,
  ],
  [
    'enrolment',
    () => statusOf('/agent/v1/enroll', post(bearer(mintToken('enrolment')), JSON.stringify({ deviceId: 'nobody' }))),
    [401, 429],
    async () => {
      const { token } = (await service.api('POST', '/enrolment-tokens', {})).body;
      return statusOf('/agent/v1/enroll', post(bearer(token), JSON.stringify({ deviceId: `d-${randomUUID()}` })));
    },
    201,
  ],
  [
    'webhooks that are not signed',
    () => statusOf(signed.path, post({ 'webhook-id': '1', 'webhook-timestamp': '1', 'webhook-signature': 'v1,x' })),
    [401, 429],
    () => statusOf(signed.path, signedPush()),
    202,
  ],
  ['webhooks of no source', () => statusOf(`/hooks/${randomUUID()}`, post({})), [404, 429], () => statusOf(signed.path, signedPush()), 202],
  ['live events', () => connectLive(mintToken('token')), ['unauthorized', 'rate_limited'], () => connectLive(ADMIN_TOKEN), 'connected'],
];

test.each(DOORS)(
  'at the door of %s wrong credentials are limited, and right ones of the same sender pass',
  async (_door, wrong, refused, right, served) => {
    const answers: unknown[] = [];
    // One after the other, so that none fails for another reason.
    for (let n = 0; n < SOME; n += 1) answers.push(await wrong(), await right());
    const [refusals, goods] = [answers.filter((_answer, n) => n % 2 === 0), answers.filter((_answer, n) => n % 2 === 1)];
    expect(goods).toEqual(Array(SOME).fill(served));
    expect(new Set(refusals)).toEqual(new Set(refused));
  },
);

test.each(['/metrics', '/openapi.json', '/docs/style.css'])(
  '%s is for everybody, within limits, and a valid token passes',
  async (path) => {
    const { open } = service.app.services.limits;
    // A slow machine's limit fills up between the last take and the request: then it is asked again.
    const ask = async (headers: Record<string, string>, times = 500) => {
      const seen: number[] = [];
      for (let n = 0; n < times && !seen.includes(429); n += 1) {
        while (!open.isExhausted(sender())) open.take(sender());
        seen.push(await statusOf(path, { headers }));
      }
      return new Set(seen);
    };
    expect(await ask({})).toContain(429);
    expect(await ask(bearer('nonsense'))).toContain(429);
    expect(await ask(bearer(ADMIN_TOKEN), SOME)).toEqual(new Set([200]));
    // Health is for load balancers: it costs next to nothing, and is never refused.
    expect(await statusOf('/health')).toBe(200);
  },
);

test('hooks to long texts leave no key but their sender', async () => {
  const { limits } = service.app.services;
  const before = [limits.hook.size(), limits.refusal.size()];
  await Promise.all(Array.from({ length: 300 }, (_, n) => statusOf(`/hooks/${n}${'x'.repeat(8_000)}`, post({}))));
  expect(limits.hook.size()).toBe(before[0]);
  expect(limits.refusal.size()).toBeLessThanOrEqual((before[1] ?? 0) + 1);
});

test('a forwarded address that is none does not become a key', async () => {
  from = { 'x-forwarded-for': 'x'.repeat(8_000) };
  const { refusal } = service.app.services.limits;
  await statusOf('/api/v1/devices');
  expect([...'12'].map(() => refusal.isExhausted('x'.repeat(8_000)))).toEqual([false, false]);
  await some(() => statusOf('/api/v1/devices'));
  expect(refusal.isExhausted('x'.repeat(8_000))).toBe(false);
  expect(refusal.isExhausted('127.0.0.1')).toBe(true);
});

describe('a captured hook of a host that signs only the body', () => {
  const send = async (body: string, id = randomUUID()) => {
    const headers = {
      'x-gitea-event': 'push',
      'x-gitea-delivery': id,
      'x-gitea-signature': createHmac('sha256', SECRET).update(body).digest('hex'),
    };
    const response = await fetch(service.url + gitea.path, post({ ...from, ...headers }, body));
    return ((await response.json()) as { outcome: string }).outcome;
  };
  const bodyOf = (after: string) => JSON.stringify({ ref: 'refs/heads/main', before: '0'.repeat(40), after });
  const dueAt = async () =>
    (
      await service.database.sql<
        { due: number }[]
      >`select extract(epoch from next_check_at - now())::float8 as due from sources where id = ${gitea.id}`
    )[0]?.due ?? Number.NaN;
  const rows = async () => (await service.api('GET', `/sources/${gitea.id}/deliveries?limit=500`)).body.items as { verdict: string }[];

  test('is taken once in ten seconds under whatever delivery id, and makes the source due once', async () => {
    expect(await send(bodyOf(COMMIT))).toBe('accepted');
    await service.database.sql`update sources set next_check_at = now() + interval '1 day' where id = ${gitea.id}`;
    for (let n = 0; n < SOME; n += 1) expect(await send(bodyOf(COMMIT))).toBe('duplicate');
    expect(await dueAt()).toBeLessThanOrEqual(10);
    const verdicts = (await rows()).map(({ verdict }) => verdict);
    expect(verdicts.filter((verdict) => verdict === 'accepted')).toHaveLength(1);
    expect(verdicts.filter((verdict) => verdict === 'duplicate')).toHaveLength(1);
  });

  test('does not keep another push from being taken', async () => {
    expect(await send(bodyOf('d'.repeat(40)))).toBe('accepted');
  });
});

test('a hook that is sent again under the signed id of a signing token is judged by the id', async () => {
  const body = Buffer.from(JSON.stringify({ ref: 'refs/heads/main', after: COMMIT }));
  const first = signatureOf(body);
  const outcomes = [];
  for (const headers of [first, first, signatureOf(body)]) {
    const response = await fetch(service.url + signed.path, post({ ...from, ...headers }, new Uint8Array(body)));
    outcomes.push(((await response.json()) as { outcome: string }).outcome);
  }
  expect(outcomes).toEqual(['accepted', 'duplicate', 'accepted']);
});
