import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { retryAfter, untilReset } from '../../src/async/retry-after.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { RemoteCall } from '../../src/git/http/client.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { redirectOf } from '../../src/git/protocol/protocol.ts';
import { listRefs } from '../../src/git/protocol/refs.ts';
import { type HttpRemote, parseRemote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { type Fault, git, openGitHost, type TestGitHost } from '../support/git-host.ts';
import { openHost } from '../support/http-host.ts';

const guard = addressGuard({ allowPrivate: true });
let host: TestGitHost;

beforeAll(async () => {
  host = await openGitHost();
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
});

function remoteOf(url: string): HttpRemote {
  const remote = parseRemote(url, { allowHttp: true, allowLocal: false });
  if (remote.kind !== 'http') throw new Error(url);
  return remote;
}
const list = (url: string, extra: Partial<RemoteCall> = {}) =>
  listRefs(remoteOf(url), { prefixes: ['refs/heads/main'], guard, deadlineMs: 15_000, ...extra });
const snapshot = (url: string, oid: string) =>
  fetchSnapshot(remoteOf(url), { oid, ref: 'main', limits: DEFAULT_LIMITS, guard, deadlineMs: 15_000 });
const refused = (url: string, extra: Partial<RemoteCall> = {}) => list(url, extra).then(() => undefined, String);

describe('redirects of the first request', () => {
  test.each([
    [301, true],
    [302, true],
    [307, false],
    [308, true],
  ])('%i to the same origin is followed, by every later request too', async (status, speaksV2) => {
    const [old, moved] = [`old-${status}`, `new-${status}`];
    await host.createRepository(moved, { user: 'oauth2', password: 'secret-token', speaksV2 });
    const oid = await host.commit(moved, { 'a.txt': 'a' });
    const location = `/${moved}.git/info/refs?service=git-upload-pack`;
    host.fault(old, { kind: 'status', status, headers: { location } });
    const remote = remoteOf(host.urlOf(old));
    const credentials = { token: 'secret-token' };
    for (let n = 0; n < 2; n++) {
      expect((await list(host.urlOf(old), { credentials })).refs.get('refs/heads/main')?.oid).toBe(oid);
      expect(redirectOf(remote)).toBe(host.urlOf(moved));
      const options = { oid, ref: 'main', limits: DEFAULT_LIMITS, guard, deadlineMs: 15_000, credentials };
      expect((await (await fetchSnapshot(remote, options)).readCommit(oid)).oid).toBe(oid);
    }
    // Once known it costs no request more, where the host speaks version 2.
    const asked = host.requests.length;
    await list(host.urlOf(old), { credentials });
    expect(host.requests.slice(asked).map(({ repository }) => repository)).toEqual(speaksV2 ? [moved] : [old, moved]);
    // Taken back: the address itself is read again.
    await host.createRepository(old, { user: 'oauth2', password: 'secret-token' });
    host.clearFault(old);
    host.fault(moved, { kind: 'status', status: 404 });
    await list(host.urlOf(old), { credentials }).catch(() => undefined);
    await list(host.urlOf(old), { credentials });
    expect(redirectOf(remote)).toBeNull();
  });

  test('a circle of redirects ends with an error', async () => {
    host.fault('circle', { kind: 'status', status: 302, headers: { location: '/circle.git/info/refs?service=git-upload-pack' } });
    const asked = host.requests.length;
    expect(await refused(host.urlOf('circle'))).toMatch(/redirects its requests in a circle/);
    expect(host.requests.length - asked).toBeLessThan(10);
  });

  test('another origin is never asked, and never recommended', async () => {
    const reached: string[] = [];
    await using other = await openHost((request, response) => {
      reached.push(request.url ?? '');
      response.end();
    });
    for (const status of [301, 302, 307, 308]) {
      const location = `${other.url}/stolen.git/info/refs?service=git-upload-pack`;
      host.fault('hostile', { kind: 'status', status, headers: { location } });
      const told = await refused(host.urlOf('hostile'), { credentials: { token: 'secret-token' } });
      expect(told).toMatch(/another origin, ".*\/stolen\.git"; redirects to other hosts are not followed/);
      expect(told).not.toMatch(/set the source's URL/);
      await expect(list(host.urlOf('hostile'))).rejects.toMatchObject({ code: 'git_redirect', retry: 'never' });
    }
    expect(reached).toEqual([]);
  });

  test('http that leads to https names https, and nothing else of the redirect', async () => {
    const location = 'https://127.0.0.1/elsewhere.git/info/refs?service=git-upload-pack';
    host.fault('plain', { kind: 'status', status: 301, headers: { location } });
    const told = await refused(host.urlOf('plain'));
    expect(told).toContain('begin the source\'s URL with "https://"');
    expect(told).not.toContain('elsewhere');
  });
});

describe('a host that wants fewer requests', () => {
  const in90s = () => new Date(Date.now() + 90_000).toUTCString();
  test.each<[string, () => Fault, number, number]>([
    ['429 with seconds', () => ({ kind: 'status', status: 429, headers: { 'retry-after': '7' } }), 7, 7],
    ['429 with a date', () => ({ kind: 'status', status: 429, headers: { 'retry-after': in90s() } }), 80, 91],
    ['429 alone', () => ({ kind: 'status', status: 429 }), 60, 60],
    ['403 with seconds', () => ({ kind: 'status', status: 403, headers: { 'retry-after': '30' } }), 30, 30],
    ['403 with a date', () => ({ kind: 'status', status: 403, headers: { 'retry-after': in90s() } }), 80, 91],
    ['403 that says so', () => ({ kind: 'status', status: 403, body: 'You have exceeded a secondary rate limit.' }), 60, 60],
    [
      '403 that says so in a long, compressed page',
      () => ({
        kind: 'status',
        status: 403,
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync(`<h1>Too many requests</h1>${'x'.repeat(100_000)}`),
      }),
      60,
      60,
    ],
    [
      '403 with a spent limit',
      () => ({
        kind: 'status',
        status: 403,
        headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': `${Math.round(Date.now() / 1000) + 300}` },
      }),
      290,
      301,
    ],
    [
      "429 with GitLab's headers",
      () => ({ kind: 'status', status: 429, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': '45' } }),
      45,
      45,
    ],
    ['a pause of a day', () => ({ kind: 'status', status: 429, headers: { 'retry-after': '86400' } }), 3600, 3600],
    ['a date that is over', () => ({ kind: 'status', status: 429, headers: { 'retry-after': new Date(0).toUTCString() } }), 0, 0],
  ])('%s', async (_what, fault, least, most) => {
    await host.createRepository('limited');
    host.fault('limited', fault());
    const error = await list(host.urlOf('limited')).catch((caught: unknown) => caught);
    host.clearFault('limited');
    expect(error).toMatchObject({ code: 'git_rate_limited', retry: 'backoff', message: expect.stringContaining('limits how often') });
    expect(error).toHaveProperty(
      'retryAfterSeconds',
      expect.toSatisfy((seconds: number) => seconds >= least && seconds <= most),
    );
  });

  test('503 may name a time as a date, and 403 without a word of it is about the credentials', async () => {
    host.fault('limited', { kind: 'status', status: 503, headers: { 'retry-after': in90s() } });
    await expect(list(host.urlOf('limited'))).rejects.toMatchObject({ code: 'git_server_error', retryAfterSeconds: expect.any(Number) });
    host.fault('limited', { kind: 'status', status: 403, body: 'Your SSO session has ended.' });
    await expect(list(host.urlOf('limited'))).rejects.toMatchObject({ code: 'git_auth', retryAfterSeconds: undefined });
    host.clearFault('limited');
  });

  test('header values of all kinds', () => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    const values = ['0', ' 5 ', '1.5', '-5', '', 'soon', 'Thu, 01 Jan 2026 00:01:00 GMT', 'Thursday, 01-Jan-26 00:02:00 GMT'];
    expect(values.map((value) => retryAfter(value, now))).toEqual([0, 5, 2, undefined, undefined, undefined, 60, 120]);
    expect(['10', `${now / 1000 + 20}`, 'x', '-1'].map((value) => untilReset(value, now))).toEqual([10, 20, undefined, undefined]);
  });
});

describe('a host that requires a sign-in', () => {
  const page = '<!DOCTYPE html><html><title>Sign in</title></html>';
  test.each<[string, Fault]>([
    ['a page as 200', { kind: 'body', body: page, headers: { 'content-type': 'text/html; charset=utf-8' } }],
    ['a page without a type', { kind: 'body', body: `\n${page}` }],
    ['a compressed page', { kind: 'body', body: gzipSync(page), headers: { 'content-encoding': 'gzip' } }],
    ['a page as 203', { kind: 'status', status: 203, headers: { 'content-type': 'text/html' }, body: page }],
    ['a redirect to its sign-in', { kind: 'redirect', location: '/users/sign_in' }],
    ['a redirect to its front page', { kind: 'redirect', location: '/' }],
    ['a redirect to a sign-in elsewhere', { kind: 'redirect', location: 'https://login.example.com/oauth2/authorize?client_id=1' }],
  ])('%s is about the credentials', async (_what, fault) => {
    await host.createRepository('closed');
    host.fault('closed', fault);
    await expect(list(host.urlOf('closed'))).rejects.toMatchObject({
      code: 'git_auth',
      retry: 'never',
      message: expect.stringMatching(/requires a sign-in; check the source's credentials/),
    });
    host.clearFault('closed');
  });
});

describe('answers in another form', () => {
  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['identity', (body: Buffer) => body],
  ])('an answer in %s is read', async (encoding, pack) => {
    await host.createRepository('packed');
    const oid = await host.commit('packed', { 'a.txt': 'a'.repeat(10_000) });
    await using front = await openHost(async (request, response) => {
      const body = await new Response(request as never).arrayBuffer().catch(() => undefined);
      const answer = await fetch(host.url + request.url, {
        method: request.method ?? 'GET',
        headers: Object.fromEntries(Object.entries(request.headers).filter(([name]) => /^git|^content-type/.test(name))) as never,
        ...(request.method === 'POST' ? { body } : {}),
      });
      const headers = { 'content-type': answer.headers.get('content-type') ?? '', 'content-encoding': encoding };
      response.writeHead(answer.status, headers).end(pack(Buffer.from(await answer.arrayBuffer())));
    });
    const url = `${front.url}/packed.git`;
    expect((await list(url)).refs.get('refs/heads/main')?.oid).toBe(oid);
    expect((await (await snapshot(url, oid)).readCommit(oid)).oid).toBe(oid);
  });

  test('what inflates to too much, breaks off or has an unknown encoding is refused', async () => {
    await host.createRepository('bomb');
    const bomb = (encoding: string, body: Buffer) => host.fault('bomb', { kind: 'body', body, headers: { 'content-encoding': encoding } });
    const zeros = Buffer.alloc(40 * 2 ** 20, '0');
    bomb('gzip', gzipSync(zeros));
    await expect(list(host.urlOf('bomb'))).rejects.toMatchObject({ code: 'git_too_large' });
    bomb('gzip', gzipSync(zeros).subarray(0, 5_000));
    expect(await refused(host.urlOf('bomb'))).toMatch(/no valid gzip/);
    bomb('rot13', Buffer.from('0000'));
    expect(await refused(host.urlOf('bomb'))).toMatch(/unknown encoding "rot13"/);
  });
});

describe('a host of plain files', () => {
  test.each<[string, string | undefined, (path: string) => string]>([
    ['as text', 'text/plain', (path) => path],
    ['without a type', undefined, (path) => path],
    ['of an empty repository', 'text/plain; charset=utf-8', () => ''],
    ['that says another type', 'application/octet-stream', (path) => path],
  ])('%s is named as such', async (_what, type, refsOf) => {
    const name = 'dumb';
    await host.createRepository(name);
    await host.commit(name, { a: 'a' });
    await git(host.pathOf(name), ['update-server-info']);
    const info = (await git(host.pathOf(name), ['for-each-ref', '--format=%(objectname)%09%(refname)'])).toString();
    for (const status of [404, 405, 501]) {
      await using front = await openHost((request, response) => {
        request.resume();
        if (request.method !== 'GET') return void response.writeHead(status).end();
        response.writeHead(200, type === undefined ? {} : { 'content-type': type }).end(refsOf(info));
      });
      expect(await refused(`${front.url}/dumb.git`)).toMatch(/this host serves no smart HTTP/);
      await expect(list(`${front.url}/dumb.git`)).rejects.toMatchObject({ code: 'git_unsupported', retry: 'never' });
    }
  });
});

describe('a user name in the URL', () => {
  test('alone is left out', () => {
    for (const url of ['https://contoso@dev.azure.com/contoso/_git/x', 'https://alice%40example.com@bitbucket.org/a/b.git'])
      expect(remoteOf(url).url.href).not.toContain('@');
  });

  test.each([
    ['https://alice:hunter2@example.com/a.git', /holds a password; leave it out and give the source "auth"/],
    ['https://:hunter2@example.com/a.git', /holds a password/],
    ['https://ghp_hunter2hunter2@github.com/a/b.git', /looks like a token; leave it out and give the source "auth"/],
    ['https://glpat-hunter2@gitlab.com/a/b.git', /looks like a token/],
    [`https://${'hunter2'.repeat(8)}@dev.azure.com/a/_git/b`, /looks like a token/],
  ])('%s is refused, naming the way', (url, why) => {
    expect(() => remoteOf(url)).toThrow(why);
    expect(() => remoteOf(url)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hunter2') }));
  });
});
