import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type ApiClient, createClient } from '../../src/cli/client.ts';
import { type Answer, openServer, type Seen, TOKEN } from './server.ts';

let server: Awaited<ReturnType<typeof openServer>> | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function clientOf(handle: (seen: Seen) => Answer): Promise<ApiClient> {
  server = await openServer(handle);
  return createClient({ server: server.url, token: TOKEN, retryBaseMs: 1 });
}

test('list() follows the pages to the end, or to the limit', async () => {
  const ids = Array.from({ length: 1_203 }, (_, i) => i);
  const client = await clientOf(({ query }) => {
    const start = Number(query.cursor ?? 0);
    const end = start + Number(query.limit);
    return { body: { items: ids.slice(start, end).map((id) => ({ id })), nextCursor: end < ids.length ? String(end) : null } };
  });
  expect((await client.list('/devices', { status: 'failed' }, Number.MAX_SAFE_INTEGER)).map((item) => item.id)).toEqual(ids);
  expect(server!.seen.map(({ query }) => [query.status, query.limit, query.cursor])).toEqual([
    ['failed', '500', undefined],
    ['failed', '500', '500'],
    ['failed', '500', '1000'],
  ]);
  expect(await client.list('/devices', {}, 501)).toHaveLength(501);
  expect(server!.seen.at(-1)?.query.limit).toBe('1');
});

test('a GET is tried again while the server is busy, and tells its problem when that does not end', async () => {
  let failures = 3;
  const client = await clientOf(() => {
    failures -= 1;
    return failures >= 0 ? { status: failures % 2 === 0 ? 503 : 429, body: { code: 'busy', detail: 'Later' } } : { body: { id: 'a' } };
  });
  expect(await client.get('/devices/a')).toEqual({ id: 'a' });
  expect(server!.seen).toHaveLength(4);
  failures = 1_000;
  await expect(client.get('/devices/a')).rejects.toMatchObject({ code: 'busy', status: 429 });
  expect(server!.seen).toHaveLength(9);
});

test('a GET is tried again while the connection is refused', async () => {
  const first = await openServer(() => ({ body: {} }));
  await first.close();
  const client = createClient({ server: first.url, token: TOKEN, retryBaseMs: 60 });
  const asked = client.get('/sites');
  server = await openServer(() => ({ body: { here: true } }), { port: first.port });
  expect(await asked).toEqual({ here: true });
});

test('a mutation is sent once, with its own Idempotency-Key', async () => {
  const client = await clientOf(() => ({ status: 503, body: { code: 'busy', detail: 'Later' } }));
  for (const method of ['POST', 'PATCH', 'DELETE'] as const)
    await expect(client.send(method, '/devices/a', { x: 1 })).rejects.toMatchObject({ code: 'busy' });
  expect(server!.seen.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'DELETE']);
  const keys = server!.seen.map(({ headers }) => headers['idempotency-key']);
  expect(new Set(keys).size).toBe(3);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
});

test('a refusal carries code, detail and field errors; what is no Bellwether is named as such', async () => {
  const client = await clientOf(({ path }) => {
    if (path === '/sites')
      return {
        status: 400,
        body: { code: 'invalid_request', detail: 'Cannot accept', errors: [{ pointer: '/name', detail: 'too short' }] },
      };
    return { status: 404, body: 'not here' };
  });
  await expect(client.send('POST', '/sites', {})).rejects.toMatchObject({
    code: 'invalid_request',
    message: 'Cannot accept',
    errors: [{ pointer: '/name', detail: 'too short' }],
  });
  await expect(client.get('/other')).rejects.toThrow('Cannot GET /api/v1/other: the server answered 404');
  await expect(client.list('/other', {}, 1)).rejects.toMatchObject({ code: 'unexpected_answer' });
});

test('a redirect is not followed: the token stays with its server', async () => {
  const client = await clientOf(() => ({ status: 307, headers: { location: 'http://127.0.0.1:1/' } }));
  await expect(client.get('/sites')).rejects.toMatchObject({ code: 'unreachable' });
});

test('a server that does not answer in time, or whose URL is none, is a clear problem', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  const client = createClient({ server: `http://127.0.0.1:${port}`, token: TOKEN, timeoutMs: 50 });
  await expect(client.get('/sites')).rejects.toMatchObject({ code: 'timeout' });
  silent.closeAllConnections();
  await new Promise((resolve) => silent.close(resolve));
  await expect(createClient({ server: 'ftp://x', token: TOKEN }).get('/sites')).rejects.toMatchObject({ code: 'usage' });
});
