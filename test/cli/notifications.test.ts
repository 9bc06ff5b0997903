import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Answer, openServer, run, type Seen, TOKEN } from './server.ts';

let server: Awaited<ReturnType<typeof openServer>>;
let answer: (seen: Seen) => Answer;
beforeEach(async () => {
  answer = () => ({ body: { id: 'x' } });
  server = await openServer((seen) => answer(seen));
});
afterEach(() => server.close());

const bellwether = (line: string, env: Record<string, string> = {}) =>
  run(line.split(' '), { BELLWETHER_SERVER: server.url, BELLWETHER_TOKEN: TOKEN, ...env });

const URL_ENV = { BELLWETHER_NOTIFICATION_URL: 'https://example.com/secret' };

test('each command calls its route', async () => {
  const routes: [string, string, unknown?, Record<string, string>?][] = [
    ['notifications get n1', 'GET /notifications/n1'],
    [
      'notifications create --name n --url https://h/ --event rollout.* --event source.failed --format slack --min-severity warning --source s --site t --label a=b',
      'POST /notifications',
      {
        name: 'n',
        url: 'https://h/',
        events: ['rollout.*', 'source.failed'],
        format: 'slack',
        minimumSeverity: 'warning',
        sourceId: 's',
        siteId: 't',
        labels: { a: 'b' },
      },
    ],
    [
      'notifications create --name n --event *',
      'POST /notifications',
      { name: 'n', url: 'https://example.com/secret', events: ['*'] },
      URL_ENV,
    ],
    ['notifications update n1 --disable', 'PATCH /notifications/n1', { enabled: false }, URL_ENV],
    ['notifications update n1 --enable --url https://h/', 'PATCH /notifications/n1', { enabled: true, url: 'https://h/' }],
    ['notifications delete n1', 'DELETE /notifications/n1'],
    ['notifications rotate-secret n1', 'POST /notifications/n1/secret'],
    ['notifications test n1', 'POST /notifications/n1/test'],
    ['notifications deliveries n1 --redeliver d/1', 'POST /notifications/n1/deliveries/d%2F1/redeliver'],
  ];
  for (const [line, route, body, env] of routes) {
    server.seen.length = 0;
    expect(await bellwether(line, env), line).toMatchObject({ code: 0, err: '' });
    expect([line, server.seen.map(({ method, path }) => `${method} ${path}`), server.seen[0]?.body]).toEqual([line, [route], body]);
  }
});

test('the lists say what is the matter', async () => {
  const notification = {
    id: 'n1',
    name: 'on-call',
    status: 'failing',
    format: 'json',
    events: ['rollout.*', 'source.failed'],
    minimumSeverity: 'error',
    lastDeliveredAt: '2026-03-01T11:00:00Z',
    lastError: 'the answer is 503',
    url: 'https://h/…cret',
  };
  answer = () => ({ body: { items: [notification], nextCursor: null } });
  const list = await bellwether('notifications');
  expect(list.out).toContain('on-call  failing  json    ');
  expect(list.out).toContain('1 h ago    the answer is 503  https://h/…cret');
  const delivery = {
    id: 'd1',
    state: 'pending',
    eventType: 'rollout.aborted',
    subject: 'rollout:1',
    attempts: 2,
    createdAt: '2026-03-01T11:59:00Z',
    nextTryAt: '2026-03-01T12:05:00Z',
    tries: [{ status: 503 }, { status: null }],
  };
  answer = () => ({ body: { items: [delivery], nextCursor: null } });
  expect((await bellwether('notifications deliveries n1')).out).toMatch(
    /d1 +pending +rollout\.aborted +rollout:1 +2 +1 min ago +in 5 min +503, no answer\n/,
  );
});

test('a test that is not taken ends with 1; wrong usage with 2, before anything is sent', async () => {
  answer = () => ({ body: { ok: false, status: 404, error: 'the answer is 404', response: 'no_service' } });
  expect(await bellwether('notifications test n1')).toMatchObject({ code: 1, out: expect.stringContaining('no_service') });
  server.seen.length = 0;
  for (const line of [
    'notifications create --name n',
    'notifications create --url https://h/',
    'notifications update n1 --enable --disable',
  ])
    expect([line, (await bellwether(line)).code]).toEqual([line, 2]);
  expect(server.seen).toEqual([]);
});
