import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { Forge } from '../../src/forge/forge.ts';
import { TOKEN } from '../support/forge-server.ts';
import { openForge } from './support.ts';

const COMMIT = 'c'.repeat(40);
const SECRET = 'a-secret-of-the-source';
const set = (forge: Forge, signal?: AbortSignal) => forge.setCommitStatus(COMMIT, { state: 'success', description: 'done' }, signal);

describe.each(['gitlab', 'github', 'gitea'] as const)('%s', (kind) => {
  test.each([
    ['answers 500', { kind: 'answer', status: 500, body: '{"message":"500 Internal Server Error"}' }, 'forge_server_error', 502],
    ['answers 503 as HTML', { kind: 'answer', status: 503, body: '<html>maintenance</html>' }, 'forge_server_error', 502],
    ['breaks the connection', { kind: 'reset' }, 'forge_unreachable', 502],
    ['asks for patience', { kind: 'answer', status: 429, headers: { 'retry-after': '0' } }, 'forge_rate_limited', 503],
  ] as const)('that %s is asked again, and twice in vain is enough', async (_, fault, code, status) => {
    await using host = await openForge(kind);
    host.server.fault({ ...fault, count: 2 });
    await set(host.forge);
    expect(host.server.requests).toHaveLength(3);
    expect(host.statusesOf(COMMIT)).toHaveLength(1);
    host.server.fault(fault);
    await expect(set(host.forge)).rejects.toMatchObject({ code, status, retry: 'backoff' });
    expect(host.server.requests).toHaveLength(6);
  });

  test.each([
    ['400', { status: 400, body: '{"message":{"name":["is too long"]}}' }, 'forge_rejected', 'name'],
    ['422', { status: 422, body: '{"message":"Validation Failed","errors":[{"field":"url"}]}' }, 'forge_rejected', 'url'],
    ['409', { status: 409, body: '{"message":"in progress"}' }, 'forge_conflict', 'in progress'],
    ['200 with HTML', { status: 200, body: '<html>sign in</html>' }, 'forge_protocol', 'forge.apiUrl'],
    ['200 with something else', { status: 200, body: '[{"id":"one"}]' }, 'forge_protocol', 'not as expected'],
  ])('that answers %s gets no second request', async (_, answer, code, text) => {
    await using host = await openForge(kind);
    host.server.fault({ kind: 'answer', ...answer });
    await expect(host.forge.openMergeRequests('main')).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
    expect(host.server.requests).toHaveLength(1);
  });

  test('that asks for a pause beyond the deadline causes an error with the pause', async () => {
    await using host = await openForge(kind);
    host.server.fault({ kind: 'answer', status: 429, headers: { 'retry-after': '120' } });
    await expect(set(host.forge)).rejects.toMatchObject({ code: 'forge_rate_limited', retryAfterSeconds: 120, status: 503 });
    expect(host.server.requests).toHaveLength(1);
  });

  test('that hangs is abandoned at the attempt’s limit, at the deadline, and at the caller’s abort', async () => {
    await using host = await openForge(kind);
    host.server.fault({ kind: 'hang', count: 1 });
    await set(host.connect({ limits: { attemptTimeoutMs: 250 } }));
    expect(host.statusesOf(COMMIT)).toHaveLength(1);
    host.server.fault({ kind: 'hang' });
    const before = host.server.requests.length;
    await expect(set(host.connect({ limits: { attemptTimeoutMs: 50 } }))).rejects.toMatchObject({ code: 'forge_timeout', status: 504 });
    expect(host.server.requests.length).toBeLessThanOrEqual(before + 3);
    await expect(set(host.connect({ limits: { deadlineMs: 50 } }))).rejects.toMatchObject({
      code: 'forge_timeout',
      message: expect.stringContaining('within 50 ms'),
    });
    const caller = new AbortController();
    const given = expect(set(host.forge, caller.signal)).rejects.toMatchObject({ code: 'forge_cancelled' });
    caller.abort();
    await given;
  });

  test('that redirects is not followed', async () => {
    await using host = await openForge(kind);
    await using other = await openForge(kind);
    host.server.fault({ kind: 'answer', status: 301, headers: { location: `${other.server.apiUrl}/elsewhere` } });
    await expect(set(host.forge)).rejects.toMatchObject({ code: 'forge_redirect', retry: 'never' });
    expect(other.server.requests).toEqual([]);
  });

  test('that refuses connections gets no requests for a while; a 502 for one source does not count against its host', async () => {
    await using host = await openForge(kind);
    host.server.fault({ kind: 'answer', status: 502 });
    for (let n = 0; n < 3; n++) await expect(set(host.forge)).rejects.toMatchObject({ code: 'forge_server_error' });
    const down = host.connect({ url: new URL(new URL(host.server.repositoryUrl).pathname, 'http://127.0.0.1:1').href });
    await expect(set(down)).rejects.toMatchObject({ code: 'forge_unreachable' });
    await expect(set(down)).rejects.toMatchObject({ code: 'git_host_unavailable', status: 503, retry: 'backoff' });
  });

  test('that rejects requests does not count as down, however often', async () => {
    await using host = await openForge(kind);
    host.state.tokens.reader = { accountId: 8, may: [] };
    const reader = host.connect({ credentials: { token: 'reader' } });
    for (let at = 0; at < 8; at += 1) await expect(set(reader)).rejects.toMatchObject({ code: 'forge_forbidden' });
    await set(host.forge);
  });

  test('that echoes requests or sends endless bodies leaks no secret and fills no memory', async () => {
    await using host = await openForge(kind);
    const body = JSON.stringify({ message: `cannot use ${TOKEN}`, errors: [{ value: SECRET, text: '\u001b[31m'.repeat(1000) }] });
    host.server.fault({ kind: 'answer', status: 422, body, count: 1 });
    const error: unknown = await host.forge
      .installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null })
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'forge_rejected', message: expect.stringContaining('cannot use ***') });
    const { message } = error as Error;
    expect(message).not.toContain(SECRET);
    expect(message).not.toContain('\u001b');
    expect(message.length).toBeLessThan(600);
    host.server.fault({ kind: 'answer', status: 200, body: `["${'x'.repeat(9 * 1024 * 1024)}"]` });
    await expect(host.forge.openMergeRequests('main')).rejects.toMatchObject({ code: 'forge_too_large' });
  });

  test('on a forbidden address gets no request', async () => {
    await using host = await openForge(kind);
    await expect(set(host.connect({ allowPrivate: false }))).rejects.toMatchObject({ code: 'address_refused' });
    expect(host.server.requests).toEqual([]);
  });
});

test('GitHub’s rate limits with status 403 are no lack of permission', async () => {
  await using host = await openForge('github');
  const reset = Math.floor(Date.now() / 1000) + 900;
  const spent = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset) };
  host.server.fault({
    kind: 'answer',
    status: 403,
    headers: spent,
    body: '{"message":"API rate limit exceeded for user ID 7."}',
    count: 1,
  });
  const error: unknown = await set(host.forge).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'forge_rate_limited' });
  const { retryAfterSeconds } = error as { retryAfterSeconds: number };
  expect(retryAfterSeconds).toBeGreaterThan(0);
  expect(retryAfterSeconds).toBeLessThanOrEqual(900);
  host.server.fault({ kind: 'answer', status: 403, body: '{"message":"You have exceeded a secondary rate limit."}', count: 1 });
  await expect(set(host.forge)).rejects.toMatchObject({ code: 'forge_rate_limited', retryAfterSeconds: 60 });
});

test('an empty list of Gitea may be null', async () => {
  await using host = await openForge('gitea');
  host.server.fault({ kind: 'answer', status: 200, body: 'null' });
  expect(await host.forge.openMergeRequests('main')).toEqual([]);
});

test('an endless list is abandoned', async () => {
  let at = 0;
  const server = createServer((_, response) => {
    at += 1;
    const one = { iid: at, sha: COMMIT, target_branch: 'main', title: 't', web_url: 'u' };
    response.writeHead(200, { 'x-next-page': String(at + 1) }).end(JSON.stringify([one]));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using host = await openForge('gitlab');
  await expect(host.connect({ url: `${origin}/fleet/tills.git` }).openMergeRequests('main')).rejects.toMatchObject({
    code: 'forge_too_large',
  });
  expect(at).toBe(100);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test.each(['gitlab', 'github', 'gitea'] as const)(
  '%s takes the password of Git as its token, and the API’s own token takes precedence',
  async (kind) => {
    await using host = await openForge(kind);
    await set(host.connect({ credentials: { username: 'bot', password: TOKEN } }));
    await set(host.connect({ credentials: { username: 'bot', password: 'a password for Git' }, apiToken: TOKEN }));
    await expect(set(host.connect({ apiToken: 'another-token' }))).rejects.toMatchObject({ code: 'forge_unauthorized' });
  },
);

test.each(['gitlab', 'github'] as const)('a token that no header can carry is a fault of the source, not of %s', async (kind) => {
  await using host = await openForge(kind);
  const broken = host.connect({ credentials: { token: 'two\nlines' } });
  for (let at = 0; at < 8; at += 1) await expect(set(broken)).rejects.toMatchObject({ code: 'forge_unauthorized', retry: 'never' });
  await set(host.forge);
});
