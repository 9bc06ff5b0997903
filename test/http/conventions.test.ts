import { afterAll, beforeAll, expect, test } from 'vitest';
import { readOpenApi } from '../support/openapi.ts';
import { SHELF } from '../support/platform.ts';
import { type Answer, type Api, openService, type TestService } from '../support/service.ts';

let service: TestService;
let api: Api;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' }, SHELF);
  api = service.api;
});
afterAll(() => service.close());

const problemOf = ({ status, headers, body }: Answer) => {
  expect(headers.get('content-type')).toBe('application/problem+json');
  expect(body).toMatchObject({
    type: 'about:blank',
    title: expect.any(String),
    status,
    code: expect.any(String),
    detail: expect.any(String),
  });
  expect(body.instance).toBe(`urn:request:${headers.get('x-request-id')}`);
  return [status, body.code];
};

async function raw(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(service.url + path, {
    ...init,
    headers: { authorization: 'Bearer test-admin-token-of-32-characters', 'content-type': 'application/json', ...init.headers },
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

test('every refusal is a problem document with a stable code', async () => {
  await api('POST', '/devices', { id: 'taken' });
  expect(problemOf(await api('GET', '/devices/no-such'))).toEqual([404, 'not_found']);
  expect(problemOf(await api('POST', '/devices', { id: 'taken' }))).toEqual([409, 'device_exists']);
  expect(problemOf(await raw('/api/v1/devices', { method: 'POST', body: '{"id":' }))).toEqual([400, 'malformed_json']);
  expect(problemOf(await service.apiAs('nonsense')('GET', '/devices'))).toEqual([401, 'unauthorized']);
  expect(problemOf(await raw('/no/such/route'))).toEqual([404, 'not_found']);
  expect(problemOf(await raw('/api/v1/no-such-route'))).toEqual([404, 'not_found']);
  expect(problemOf(await raw('/api/no-such-route'))).toEqual([404, 'not_found']);
  expect(problemOf(await raw('/api/v1/devices/taken', { method: 'PUT', body: '{}' }))).toEqual([404, 'not_found']);
});

test('one answer reports all invalid input by JSON pointer', async () => {
  const answer = await api('POST', '/devices', { id: 'UPPER', labels: { 'a~b/c': 1 }, unknown: true });
  expect(problemOf(answer)).toEqual([400, 'invalid_request']);
  const pointers = answer.body.errors.map((error: { pointer: string }) => error.pointer);
  expect(pointers).toEqual(expect.arrayContaining(['/id', '/labels/a~0b~1c']));
});

test('a body above one mebibyte is refused before it is read', async () => {
  const body = JSON.stringify({ id: 'big', name: 'x'.repeat(1024 * 1024) });
  expect(problemOf(await raw('/api/v1/devices', { method: 'POST', body }))).toEqual([413, 'too_large']);
  const device = (await api('POST', '/devices', { id: 'talker' })).body;
  const headers = { 'x-device-id': 'talker', 'x-api-key': device.apiKey };
  expect(problemOf(await raw('/api/v1/analytics/device-metrics', { method: 'POST', body, headers }))).toEqual([413, 'too_large']);
});

test('characters that the database cannot store are an error of the request', async () => {
  for (const [method, path, body] of [
    ['POST', '/sites', { name: 'a\u0000b' }],
    ['GET', '/devices?q=%00', undefined],
    ['GET', '/devices?type=%00', undefined],
    ['POST', '/devices', { id: 'nul', labels: { a: '\u0000' } }],
    ['POST', '/devices', { id: 'half', labels: { a: '\ud800' } }],
  ] as const) {
    const answer = await api(method, path, body);
    expect(answer.status, `${method} ${path} ${JSON.stringify(answer.body)}`).toBeLessThan(500);
  }
});

test('If-Match changes a resource only with the present version', async () => {
  const created = await api('POST', '/devices', { id: 'versioned' });
  const etag = created.headers.get('etag') ?? '';
  expect((await api('GET', '/devices/versioned')).headers.get('etag')).toBe(etag);
  const changed = await api('PATCH', '/devices/versioned', { name: 'second' }, { 'if-match': etag });
  expect(changed.status).toBe(200);
  expect(changed.headers.get('etag')).not.toBe(etag);
  expect(problemOf(await api('PATCH', '/devices/versioned', { name: 'third' }, { 'if-match': etag }))).toEqual([412, 'version_mismatch']);
  expect(problemOf(await api('DELETE', '/devices/versioned', undefined, { 'if-match': etag }))).toEqual([412, 'version_mismatch']);
  expect((await api('GET', '/devices/versioned')).body.name).toBe('second');
  expect((await api('DELETE', '/devices/versioned', undefined, { 'if-match': '*' })).status).toBe(204);
});

test('a registration that is sent twice with one Idempotency-Key registers once and returns the same key', async () => {
  const headers = { 'idempotency-key': 'register-1' };
  const first = await api('POST', '/devices', { id: 'once' }, headers);
  const second = await api('POST', '/devices', { id: 'once' }, headers);
  expect([first.status, second.status]).toEqual([201, 201]);
  expect(first.body.apiKey).toMatch(/^bwd_/);
  expect(second.body).toEqual(first.body);
  expect(second.headers.get('etag')).toBe(first.headers.get('etag'));
  expect([first.headers.get('idempotent-replayed'), second.headers.get('idempotent-replayed')]).toEqual([null, 'true']);
  expect(problemOf(await api('POST', '/devices', { id: 'twice' }, headers))).toEqual([422, 'idempotency_key_reused']);
  expect(problemOf(await api('POST', '/sites', { id: 'once' }, headers))).toEqual([422, 'idempotency_key_reused']);
  expect((await api('GET', '/devices/twice')).status).toBe(404);
  const stored = JSON.stringify(await service.database.sql`select answer_sealed from idempotency_keys`);
  expect(stored).not.toContain(first.body.apiKey);
});

test('an Idempotency-Key belongs to the token that sent it', async () => {
  const headers = { 'idempotency-key': 'mine' };
  const { token } = (await api('POST', '/tokens', { name: 'second', role: 'operator' })).body;
  expect((await api('POST', '/sites', { name: 'of the first' }, headers)).status).toBe(201);
  const other = await service.apiAs(token)('POST', '/sites', { name: 'of the second' }, headers);
  expect([other.status, other.body.name]).toEqual([201, 'of the second']);
});

test('a double submit at the same moment has one effect', async () => {
  const headers = { 'idempotency-key': 'double' };
  const answers = await Promise.all(Array.from({ length: 8 }, () => api('POST', '/devices/once/commands', { type: 'ping' }, headers)));
  const ids = new Set(answers.filter(({ status }) => status === 201).map(({ body }) => body.id));
  expect(ids.size).toBe(1);
  for (const answer of answers.filter(({ status }) => status !== 201)) {
    expect(problemOf(answer)).toEqual([409, 'idempotency_in_progress']);
    expect(answer.headers.get('retry-after')).toBe('1');
  }
  expect((await api('GET', '/devices/once/commands')).body.items).toHaveLength(1);
});

test('the refusal of an Idempotency-Key states the allowed format', async () => {
  expect(problemOf(await api('POST', '/sites', { name: 'x' }, { 'idempotency-key': 'with space' }))).toEqual([400, 'invalid_request']);
  expect(problemOf(await api('POST', '/sites', { name: 'x' }, { 'idempotency-key': 'x'.repeat(201) }))).toEqual([400, 'invalid_request']);
});

test('pages over 120 devices contain each of them once, in order, while others are added and deleted', async () => {
  const wanted = Array.from({ length: 120 }, (_, index) => `page-${String(index).padStart(3, '0')}`);
  for (const id of wanted) expect((await api('POST', '/devices', { id, type: 'paged' })).status).toBe(201);
  const seen: string[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const next = cursor === null ? '' : `&cursor=${cursor}`;
    const { status, body } = await api('GET', `/devices?type=paged&limit=25${next}`);
    expect(status).toBe(200);
    seen.push(...body.items.map((device: { id: string }) => device.id));
    cursor = body.nextCursor;
    pages += 1;
    if (pages === 1) await api('DELETE', '/devices/page-024');
    if (pages === 2) await api('POST', '/devices', { id: 'page-000a', type: 'paged' });
  } while (cursor !== null);
  expect(pages).toBe(5);
  expect(seen).toEqual(wanted);
});

test('malformed cursors and limits are refused on every list', async () => {
  const { operations } = await readOpenApi(service.url);
  const source = (await api('POST', '/sources', { name: 'cursors', url: 'https://example.com/a.git', ref: 'main', layout: 'repo' })).body
    .id;
  const account = { settings: { baseUrl: 'http://127.0.0.1:9' }, credentials: { apiKey: 'shelf-key-0123456789' } };
  const integration = (await api('POST', '/integrations', { type: 'shelf', ...account })).body.slug;
  const idIn = (path: string) => (path.includes('/sources/') ? source : path.includes('/integrations/') ? integration : 'once');
  const lists = operations
    .filter(({ method, operation }) => method === 'GET' && operation.parameters.some(({ name }) => name === 'cursor'))
    .map(({ path }) => path.replace('/api/v1', '').replace('{id}', idIn(path)))
    // Only the root token may list organizations.
    .filter((path) => !path.endsWith('/backups') && path !== '/organizations');
  expect(lists.length).toBeGreaterThan(8);
  const cursors = [
    '!!!',
    Buffer.from('{"a":1}').toString('base64url'),
    Buffer.from("' or 1=1 --").toString('base64url'),
    Buffer.from('\u0000').toString('base64url'),
    Buffer.from('-'.repeat(36)).toString('base64url'),
  ];
  for (const path of lists) {
    for (const cursor of cursors) {
      const answer = await api('GET', `${path}?cursor=${encodeURIComponent(cursor)}`);
      expect([path, cursor, answer.status, answer.body.code]).toEqual([path, cursor, 400, 'invalid_request']);
    }
    for (const limit of ['0', '501', 'x', '-1', '1.5'])
      expect((await api('GET', `${path}?limit=${limit}`)).status, `${path} ${limit}`).toBe(400);
  }
});
