import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { RemoteCall } from '../../src/git/http/client.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { listRefs } from '../../src/git/protocol/refs.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { type Fault, openGitHost, type TestGitHost } from '../support/git-host.ts';

const guard = addressGuard({ allowPrivate: true });
const remoteOf = (url: string) => parseRemote(url, { allowHttp: true, allowLocal: false });
let host: TestGitHost;
let url = '';
let oid = '';

beforeAll(async () => {
  host = await openGitHost();
  url = await host.createRepository('faulty');
  oid = await host.commit('faulty', { 'a.txt': 'hello' });
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
});

const list = (address: string, extra: Partial<RemoteCall> = {}) =>
  listRefs(remoteOf(address), { prefixes: ['refs/heads/main'], guard, deadlineMs: 15_000, ...extra });
const fetchIt = (extra: Partial<RemoteCall & { oid: string; limits: typeof DEFAULT_LIMITS }> = {}) =>
  fetchSnapshot(remoteOf(url), { oid, ref: 'main', limits: DEFAULT_LIMITS, guard, deadlineMs: 15_000, ...extra });

const cases: [string, Fault, object][] = [
  ['401', { kind: 'status', status: 401 }, { code: 'git_auth', retry: 'never' }],
  ['403', { kind: 'status', status: 403 }, { code: 'git_auth' }],
  ['404', { kind: 'status', status: 404 }, { code: 'git_not_found' }],
  ['500', { kind: 'status', status: 500 }, { code: 'git_server_error', retry: 'backoff' }],
  [
    '429 with Retry-After',
    { kind: 'status', status: 429, headers: { 'retry-after': '7' } },
    { code: 'git_rate_limited', retryAfterSeconds: 7 },
  ],
  ['418', { kind: 'status', status: 418 }, { code: 'git_protocol' }],
  [
    'an ERR packet',
    { kind: 'err', message: 'access denied\u0007 for you' },
    { code: 'git_auth', message: expect.stringContaining('access denied for you') },
  ],
  ['an ERR packet about a missing repository', { kind: 'err', message: 'repository not exported' }, { code: 'git_not_found' }],
  ['an empty 200', { kind: 'empty' }, { code: 'git_protocol' }],
  ['a web page', { kind: 'body', body: '<html>sign in</html>' }, { code: 'git_auth', message: expect.stringContaining('web page') }],
  ['a cut packet', { kind: 'body', body: '0040short' }, { code: 'git_protocol' }],
  ['a compressed answer', { kind: 'body', body: 'x', headers: { 'content-encoding': 'gzip' } }, { code: 'git_protocol' }],
  ['a connection that breaks', { kind: 'cut', body: '003f' }, { code: 'git_unreachable', retry: 'backoff' }],
];

test.each(cases)('%s has its own error code, for refs and for fetches', async (_title, fault, expected) => {
  host.fault('faulty', fault);
  await expect(list(url)).rejects.toMatchObject(expected);
  await expect(fetchIt()).rejects.toMatchObject(expected);
  host.clearFault('faulty');
  await expect(list(url)).resolves.toMatchObject({ empty: false });
});

test('a request to a hung host ends at the deadline', async () => {
  host.fault('faulty', { kind: 'hang' });
  await expect(list(url, { deadlineMs: 150 })).rejects.toMatchObject({
    code: 'git_timeout',
    retry: 'backoff',
    message: expect.stringContaining('150 ms'),
  });
  await expect(fetchIt({ deadlineMs: 150 })).rejects.toMatchObject({ code: 'git_timeout' });
  host.clearFault('faulty');
});

test("the caller's abort ends a request with the caller's reason", async () => {
  host.fault('faulty', { kind: 'hang' });
  const reason = new Error('shutting down');
  const controller = new AbortController();
  const pending = list(url, { signal: controller.signal });
  controller.abort(reason);
  await expect(pending).rejects.toBe(reason);
  host.clearFault('faulty');
});

test('a redirect to another origin is not followed; its target is named without credentials and query', async () => {
  let reached = 0;
  const other = createServer((_request, response) => {
    reached++;
    response.end();
  });
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
  const address = other.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  host.fault('faulty', { kind: 'redirect', location: `http://user:hunter2@127.0.0.1:${port}/moved.git/git-upload-pack?token=hunter2` });
  const failure = await list(url, { credentials: { token: 'secret-token' } }).catch((error: unknown) => error);
  host.clearFault('faulty');
  await new Promise((done) => other.close(done));
  expect(failure).toMatchObject({ code: 'git_redirect', message: expect.stringContaining(`"http://127.0.0.1:${port}/moved.git"`) });
  expect(String(failure)).not.toMatch(/hunter2|secret-token/);
  expect(reached).toBe(0);
});

test('a port without a listener is git_unreachable', async () => {
  const gone = await openGitHost();
  await gone.close();
  await expect(list(`${gone.url}/a.git`)).rejects.toMatchObject({ code: 'git_unreachable' });
});

test('a name that does not resolve is git_unreachable', async () => {
  await expect(list('http://no-such-host.invalid/a.git')).rejects.toMatchObject({ code: 'git_unreachable' });
});

test('private addresses, literal or resolved from a name, are refused before any request', async () => {
  const closed = addressGuard({ allowPrivate: false });
  const before = host.requests.length;
  await expect(list(url, { guard: closed })).rejects.toMatchObject({ code: 'address_refused' });
  await expect(list(url.replace('127.0.0.1', 'localhost'), { guard: closed })).rejects.toMatchObject({ code: 'address_refused' });
  await expect(list(url.replace('127.0.0.1', '[::ffff:127.0.0.1]'), { guard: closed })).rejects.toMatchObject({ code: 'address_refused' });
  await expect(list(url.replace('127.0.0.1', '2130706433'), { guard: closed })).rejects.toMatchObject({ code: 'address_refused' });
  await closeConnections(closed);
  expect(host.requests.length).toBe(before);
});

test('only credentials give access to a private repository', async () => {
  const hidden = await host.createRepository('private', { user: 'reader', password: 's3cret:x' });
  await host.commit('private', { a: 'a' });
  await expect(list(hidden)).rejects.toMatchObject({ code: 'git_auth' });
  await expect(list(hidden, { credentials: { username: 'reader', password: 'wrong' } })).rejects.toMatchObject({ code: 'git_auth' });
  await expect(list(hidden, { credentials: { username: 'reader', password: 's3cret:x' } })).resolves.toMatchObject({ empty: false });
  await expect(list(hidden)).rejects.toMatchObject({ code: 'git_auth' });
  await host.createRepository('private-token', { user: 'oauth2', password: 'glpat-1' });
  await host.commit('private-token', { a: 'a' });
  await expect(list(host.urlOf('private-token'), { credentials: { token: 'glpat-1' } })).resolves.toMatchObject({ empty: false });
});

test('an answer above the byte limit is refused', async () => {
  const limits = { ...DEFAULT_LIMITS, maxPackBytes: 1000 };
  const big = await host.createRepository('big');
  const tip = await host.commit('big', {
    'noise.bin': Buffer.from(Array.from({ length: 3_000_000 }, (_, n) => (n * n * 31 + (n >> 3) * 17) & 255)),
  });
  await expect(fetchSnapshot(remoteOf(big), { oid: tip, ref: 'main', limits, guard, deadlineMs: 15_000 })).rejects.toMatchObject({
    code: 'git_too_large',
  });
});

test('a commit that the host lacks is commit_missing, with a retry soon', async () => {
  await expect(fetchIt({ oid: '1'.repeat(40) })).rejects.toMatchObject({ code: 'commit_missing', retry: 'soon' });
});

test('a stale pooled connection is replaced without an error for the caller', async () => {
  const short = await openGitHost();
  const own = addressGuard({ allowPrivate: true });
  const address = await short.createRepository('stale');
  await short.commit('stale', { a: 'a' });
  await list(address, { guard: own });
  short.fault('stale', { kind: 'reset', count: 1 });
  await expect(list(address, { guard: own })).resolves.toMatchObject({ empty: false });
  await closeConnections(own);
  await short.close();
});
