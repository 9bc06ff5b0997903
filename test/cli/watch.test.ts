import { afterEach, expect, test } from 'vitest';
import { type Answer, openServer, run, type Seen, TOKEN } from './server.ts';

let server: Awaited<ReturnType<typeof openServer>> | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const eventOf = (cursor: number) => ({
  cursor,
  type: 'source.synced',
  at: '2026-03-01T12:00:00Z',
  organizationId: 'o',
  subject: 'source:s',
  data: { n: cursor },
});

/** Runs until `enough` says so of what was printed. */
async function follow(args: string[], enough: (out: string) => boolean) {
  const stop = new AbortController();
  let out = '';
  const terminal = {
    signal: stop.signal,
    out: (text: string) => {
      out += text;
      if (enough(out)) stop.abort();
    },
  };
  return run(args, { BELLWETHER_SERVER: server!.url, BELLWETHER_TOKEN: TOKEN }, terminal);
}

test('events --follow prints what was and then what comes, each once', async () => {
  const stored = [eventOf(5), eventOf(6)];
  server = await openServer(
    ({ query }) => ({ body: { items: stored.filter((event) => event.cursor > Number(query.after ?? 0)), nextCursor: null } }),
    { live: true },
  );
  server.live!.on('connection', (socket) => {
    socket.on('subscribe', (request, acknowledge) => {
      expect(request).toEqual({ topics: ['events'] });
      acknowledge({ ok: true, cursor: 6, replayed: 0 });
      for (const cursor of [6, 7, 8]) socket.emit('event', eventOf(cursor));
    });
  });
  const ran = await follow(['events', '--follow', '--after', '4', '--json'], (out) => out.includes('"cursor":8'));
  expect(
    ran.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).cursor),
  ).toEqual([5, 6, 7, 8]);
  expect(ran).toMatchObject({ code: 0, err: '' });
});

test('events --follow without a live connection asks the API again and again', async () => {
  let asked = 0;
  server = await openServer(({ path, query }) => {
    if (path !== '/events') return { status: 404, body: {} };
    asked += 1;
    return { body: { items: [eventOf(asked)].filter((event) => event.cursor > Number(query.after ?? 0)), nextCursor: null } };
  });
  const ran = await follow(['events', '--follow', '--after', '0'], (out) => out.split('\n').length > 2);
  expect(ran.out).toBe('now         source.synced  source:s  n=1\nnow         source.synced  source:s  n=2\n');
});

test('a connection that comes back asks for what was missed; where that is not kept any more, for what comes', async () => {
  server = await openServer(() => ({ body: { items: [], nextCursor: null } }), { live: true });
  const requests: unknown[] = [];
  server.live!.on('connection', (socket) => {
    socket.on('subscribe', (request, acknowledge) => {
      requests.push(request);
      const number = requests.length;
      if (number === 3) return acknowledge({ ok: false, code: 'cursor_too_old', detail: 'not kept', first: 9, last: 9 });
      acknowledge({ ok: true, cursor: number === 4 ? 9 : 6, replayed: number === 2 ? 1 : 0 });
      socket.emit('event', eventOf([7, 8, 0, 10][number - 1]!));
      if (number < 3) socket.conn.close();
    });
  });
  const ran = await follow(['events', '--follow', '--json'], (out) => out.includes('"cursor":10'));
  expect(ran, JSON.stringify(requests)).toMatchObject({ code: 0, err: '' });
  expect(ran.out.match(/"cursor":\d+/g)).toEqual(['"cursor":7', '"cursor":8', '"cursor":10']);
  const topics = ['events'];
  expect(requests).toEqual([{ topics }, { topics, after: 7 }, { topics, after: 8 }, { topics }]);
});

test('a token that the live connection refuses ends the watching with 1', async () => {
  server = await openServer(() => ({ body: { items: [], nextCursor: null } }), { live: true });
  server.live!.use((_socket, next) => next(new Error('unauthorized')));
  expect(await follow(['events', '--follow'], () => false)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^Cannot watch: the token is not valid\n {2}\S+ refused the token from \S+\n$/),
  });
});

type State = { syncStatus: string; attempt?: string; error?: { code: string; detail: string } };

function stateServer(states: State[]): (seen: Seen) => Answer {
  let at = 0;
  return ({ method }) => {
    if (method === 'POST') return { status: 202, body: {} };
    const state = states[Math.min(at, states.length - 1)];
    at += 1;
    return {
      body: {
        device: { syncStatus: state?.syncStatus, error: state?.error ?? null },
        deployment: state?.attempt === undefined ? null : { state: state.attempt },
      },
    };
  };
}

async function announcing(states: Parameters<typeof stateServer>[0]): Promise<void> {
  server = await openServer(stateServer(states), { live: true });
  server.live!.on('connection', (socket) => {
    socket.on('subscribe', (_request, acknowledge) => {
      acknowledge({ ok: true, cursor: 1, replayed: 0 });
      const timer = setInterval(() => socket.emit('device_update', { device_id: 't7' }), 20);
      socket.on('disconnect', () => clearInterval(timer));
    });
  });
}

test('devices refresh --watch prints each state until the device has settled', async () => {
  await announcing([
    { syncStatus: 'in_sync' },
    { syncStatus: 'pending' },
    { syncStatus: 'updating' },
    { syncStatus: 'updating' },
    { syncStatus: 'in_sync' },
  ]);
  const ran = await follow(['devices', 'refresh', 't7', '--watch'], () => false);
  expect(
    ran.out
      .trim()
      .split('\n')
      .map((line) => line.split('  ')[1]),
  ).toEqual(['in_sync', 'pending', 'updating', 'in_sync']);
  expect(ran.code).toBe(0);
});

test('devices rollback --watch ends with 1 when the device ends on a failure', async () => {
  await announcing([
    { syncStatus: 'held', attempt: 'applying' },
    { syncStatus: 'held', attempt: 'confirming' },
    { syncStatus: 'held', attempt: 'failed', error: { code: 'health_check_failed', detail: 'it said no' } },
  ]);
  const ran = await follow(['devices', 'rollback', 't7', '--watch'], () => false);
  expect(ran).toMatchObject({ code: 1, err: 'Device "t7" ended as failed: health_check_failed: it said no\n' });
});

test('devices list --watch shows the list again when a device changes', async () => {
  await announcing([{ syncStatus: 'x' }]);
  await server!.close();
  let asked = 0;
  server = await openServer(() => ({ body: { items: [{ id: `asked-${++asked}` }], nextCursor: null } }), { live: true });
  server.live!.on('connection', (socket) => {
    socket.on('subscribe', (request, acknowledge) => {
      expect(request.topics).toEqual(['devices']);
      acknowledge({ ok: true, cursor: 1, replayed: 0 });
    });
  });
  const ran = await follow(['devices', 'list', '--watch'], (out) => out.includes('asked-2'));
  expect(ran.out.indexOf('asked-1')).toBeLessThan(ran.out.indexOf('asked-2'));
  expect(ran.out).toContain('asked-1');
});

test('sources sync --watch ends when the source has been looked at', async () => {
  let asked = 0;
  server = await openServer(({ method }) =>
    method === 'POST'
      ? { status: 202, body: { queued: true } }
      : { body: { id: 's', lastCheckedAt: ++asked > 2 ? '2026-03-01T12:00:00Z' : null, lastError: null } },
  );
  expect(await follow(['sources', 'sync', 's', '--watch'], () => false)).toMatchObject({
    code: 0,
    out: expect.stringContaining('lastCheckedAt  2026-03-01'),
  });
});
