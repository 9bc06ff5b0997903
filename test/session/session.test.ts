import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hashToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { pruneSessions } from '../../src/session/store.ts';
import { ADMIN_TOKEN, eventually, openService, type TestService } from '../support/service.ts';
import { type Browser, openBrowser, openLive, outcomeOf, pollLive } from './browser.ts';

let service: TestService;
const sockets: ReturnType<typeof openLive>[] = [];
beforeAll(async () => {
  service = await openService({ ROLE: 'api', RATE_LIMIT_REFUSED: '100000' });
});
afterAll(() => service.close());
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect();
});

async function signedIn(token = ADMIN_TOKEN): Promise<Browser> {
  const browser = openBrowser(service.url);
  expect((await browser.signIn({ token })).status).toBe(201);
  return browser;
}

async function mint(role: string): Promise<{ id: string; token: string }> {
  return (await service.api('POST', '/tokens', { name: `a ${role}`, role, email: 'ada@example.com' })).body;
}

async function tokenOfOthers(): Promise<string> {
  const { sql } = service.database;
  const id = await ensureOrganization(sql, newId(), 'others');
  const token = `token-of-others-${newId()}`;
  await insertToken(sql, id, { id: newId(), name: 'other', role: 'admin', hash: hashToken(token), last4: '' });
  return token;
}

function live(browser: Browser, headers: Record<string, string> = { origin: service.url }): ReturnType<typeof openLive> {
  const socket = openLive(service.url, { cookie: browser.cookie(), ...headers });
  sockets.push(socket);
  return socket;
}

const codeOf = ({ status, body }: { status: number; body: { code?: string } }) => [status, body.code];

describe('signing in with a token', () => {
  test('sets a cookie that no script reads and no other site sends, and whose key is not stored', async () => {
    const browser = await signedIn();
    expect(browser.setCookies).toHaveLength(1);
    const [text = ''] = browser.setCookies;
    expect(text).toMatch(/^bellwether_session=bws_[\w-]{43}; Max-Age=604\d{3}; Path=\/; HttpOnly; SameSite=Strict$/);
    const key = browser.cookies.get('bellwether_session') ?? '';
    const rows = await service.database.sql<{ hash: Buffer }[]>`select * from sessions where hash = ${hashToken(key)}`;
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(await service.database.sql`select * from sessions`)).not.toContain(key);
  });

  test('by https the cookie is Secure and has the prefix that subdomains cannot set, and no other name counts', async () => {
    await using proxied = await openService({ ROLE: 'api', TRUST_PROXY: 'true' });
    const browser = openBrowser(proxied.url);
    const https = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'fleet.example.com', origin: 'https://fleet.example.com' };
    await browser.signIn({ token: ADMIN_TOKEN }, https);
    const [text = ''] = browser.setCookies;
    expect(text).toMatch(/^__Host-bellwether_session=bws_[\w-]{43}; Max-Age=604\d{3}; Path=\/; HttpOnly; Secure; SameSite=Strict$/);
    expect((await browser.ask('GET', '/api/v1/me', undefined, https)).status).toBe(200);
    const key = browser.cookies.get('__Host-bellwether_session');
    const planted = { ...https, cookie: `bellwether_session=${key}` };
    expect((await browser.ask('GET', '/api/v1/me', undefined, planted)).status).toBe(401);
    const plain = { cookie: `__Host-bellwether_session=${key}` };
    expect((await browser.ask('GET', '/api/v1/me', undefined, plain)).status).toBe(401);
  });

  test('without TRUST_PROXY nobody can say https but PUBLIC_URL', async () => {
    await using known = await openService({ ROLE: 'api', PUBLIC_URL: 'https://fleet.example.com/bw' });
    const browser = openBrowser(known.url);
    await browser.signIn({ token: ADMIN_TOKEN }, { 'x-forwarded-proto': 'https' });
    expect(browser.setCookies[0]).toMatch(/^bellwether_session=/);
  });

  test('/me shows the caller alike for a session and for a token', async () => {
    const { token } = await mint('operator');
    const browser = await signedIn(token);
    const bySession = (await browser.ask('GET', '/api/v1/me')).body;
    const byToken = (await service.apiAs(token)('GET', '/me')).body;
    expect(bySession).toEqual({
      ...byToken,
      via: 'session',
      sessionExpiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      csrfToken: browser.csrfToken,
    });
    expect(byToken).toMatchObject({
      role: 'operator',
      kind: 'token',
      name: 'a operator',
      email: 'ada@example.com',
      via: 'token',
      csrfToken: null,
    });
    expect(byToken.organization.name).toBe('default');
    expect(Date.parse(bySession.sessionExpiresAt) - Date.now()).toBeLessThanOrEqual(12 * 3_600_000);
  });

  test('a wrong, revoked or foreign secret signs nobody in', async () => {
    const { id, token } = await mint('viewer');
    await service.api('DELETE', `/tokens/${id}`);
    const browser = openBrowser(service.url);
    for (const wrong of ['nonsense', token, 'x'.repeat(200)])
      expect(codeOf(await browser.signIn({ token: wrong }))).toEqual([401, 'unauthorized']);
    expect(codeOf(await browser.signIn({ code: 'nonsense' }))).toEqual([401, 'link_expired']);
    expect((await browser.ask('POST', '/api/v1/session', { token: ADMIN_TOKEN, code: 'both' })).status).toBe(400);
    expect((await browser.ask('POST', '/api/v1/session', {})).status).toBe(400);
    expect(browser.cookies.size).toBe(0);
  });

  test('anybody can ask how to sign in', async () => {
    expect((await service.apiAs(undefined)('GET', '/login-methods')).body).toEqual({ token: true, oidc: null });
  });

  test('a new sign-in ends the session that the browser had', async () => {
    const browser = await signedIn();
    const before = browser.cookie();
    await browser.signIn({ token: ADMIN_TOKEN });
    expect(browser.cookie()).not.toBe(before);
    expect((await browser.ask('GET', '/api/v1/me', undefined, { cookie: before })).status).toBe(401);
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(200);
  });

  test('the audit log has who signed in and out, and each change under the name of the token', async () => {
    const { token } = await mint('operator');
    const browser = await signedIn(token);
    expect((await browser.ask('POST', '/api/v1/sites', { name: 'audited' })).status).toBe(201);
    expect((await browser.ask('DELETE', '/api/v1/session')).status).toBe(204);
    const { items } = (await service.api('GET', '/audit?limit=3')).body;
    expect(items.map(({ actor, action }: Record<string, string>) => [actor, action])).toEqual([
      ['token:a operator', 'session.end'],
      ['token:a operator', 'site.create'],
      ['token:a operator', 'session.create'],
    ]);
    expect(items[2].detail).toMatchObject({ by: 'token', role: 'operator' });
  });

  test('a token has at most 100 sessions: one more ends the one that was used the longest time ago', async () => {
    const { id, token } = await mint('viewer');
    const first = await signedIn(token);
    const second = await signedIn(token);
    await service.database
      .sql`update sessions set last_used_at = now() - interval '1 hour' where hash = ${hashToken(first.cookies.get('bellwether_session') ?? '')}`;
    for (let more = 0; more < 99; more += 1) await signedIn(token);
    expect((await first.ask('GET', '/api/v1/me')).status).toBe(401);
    expect((await second.ask('GET', '/api/v1/me')).status).toBe(200);
    const [{ count } = { count: 0 }] = await service.database.sql<
      { count: number }[]
    >`select count(*)::int as count from sessions where token_id = ${id}`;
    expect(count).toBe(100);
  });
});

describe('the role and the organization of a session', () => {
  test('are those of its token', async () => {
    const viewer = await signedIn((await mint('viewer')).token);
    expect(codeOf(await viewer.ask('POST', '/api/v1/sites', { name: 'refused' }))).toEqual([403, 'forbidden']);
    expect((await viewer.ask('GET', '/api/v1/devices')).status).toBe(200);
    await service.api('POST', '/devices', { id: 'ours' });
    const other = await signedIn(await tokenOfOthers());
    expect(codeOf(await other.ask('GET', '/api/v1/devices/ours'))).toEqual([404, 'not_found']);
    expect((await other.ask('GET', '/api/v1/devices')).body.items).toEqual([]);
    expect((await other.ask('GET', '/api/v1/me')).body.organization.name).toBe('others');
  });

  test('a bearer token wins over the cookie', async () => {
    const browser = await signedIn((await mint('viewer')).token);
    const admin = { authorization: `Bearer ${ADMIN_TOKEN}` };
    expect((await browser.ask('GET', '/api/v1/me', undefined, admin)).body).toMatchObject({ role: 'admin', via: 'token' });
    const evil = { ...admin, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site', 'x-csrf-token': undefined };
    expect((await browser.ask('POST', '/api/v1/sites', { name: 'by token' }, evil)).status).toBe(201);
    expect((await browser.ask('GET', '/api/v1/me', undefined, { authorization: 'Bearer wrong' })).status).toBe(401);
  });

  test('older paths, devices, webhooks and the root take no session', async () => {
    const browser = await signedIn();
    for (const path of [
      '/api/devices',
      '/api/devices/ours/status',
      '/api/v1/organizations',
      '/api/v1/devices/pending',
      '/agent/v1/desired',
    ])
      expect([path, ...codeOf(await browser.ask('GET', path))]).toEqual([path, 401, 'unauthorized']);
    const source = (await service.api('POST', '/sources', { name: 's', url: 'https://example.com/a.git', layout: 'repo' })).body;
    expect((await browser.ask('POST', `/hooks/${source.id}`, { ref: 'refs/heads/main' })).status).toBe(401);
    expect((await browser.ask('POST', '/agent/v1/enroll', { deviceId: 'new' })).status).toBe(401);
  });

  test('the key of a session is no bearer token, and a token is no key of a session', async () => {
    const browser = await signedIn();
    const key = browser.cookies.get('bellwether_session') ?? '';
    expect((await service.apiAs(key)('GET', '/me')).status).toBe(401);
    expect((await browser.ask('GET', '/api/v1/me', undefined, { cookie: `bellwether_session=${ADMIN_TOKEN}` })).status).toBe(401);
    expect(codeOf(await browser.signIn({ token: key }))).toEqual([401, 'unauthorized']);
  });
});

describe('requests from other pages', () => {
  const other = 'https://evil.example';
  const own = () => service.url;

  test('a change needs proof that our own page sent it, and the CSRF token of this very session', async () => {
    const [browser, second] = [await signedIn(), await signedIn()];
    const headers = { none: undefined, own: own(), other };
    const sites = [undefined, 'same-origin', 'same-site', 'cross-site', 'none'];
    const tokens = { right: browser.csrfToken, wrong: second.csrfToken, missing: undefined, empty: '' };
    let accepted = 0;
    for (const [origin, sent] of Object.entries(headers))
      for (const site of sites)
        for (const [kind, token] of Object.entries(tokens)) {
          const answer = await browser.ask(
            'POST',
            '/api/v1/sites',
            { name: newId() },
            { origin: sent, 'sec-fetch-site': site, 'x-csrf-token': token },
          );
          const isOwn = site === 'same-origin' || ((site === undefined || site === 'none') && origin === 'own');
          const wanted = !isOwn ? [403, 'cross_origin'] : kind === 'right' ? [201, undefined] : [403, 'csrf_token_invalid'];
          expect([origin, site, kind, ...codeOf(answer)]).toEqual([origin, site, kind, ...wanted]);
          if (answer.status === 201) accepted += 1;
        }
    expect(accepted).toBe(5);
    for (const method of ['PUT', 'PATCH', 'DELETE'])
      expect(codeOf(await browser.ask(method, '/api/v1/no-such', undefined, { 'x-csrf-token': undefined }))).toEqual([
        403,
        'csrf_token_invalid',
      ]);
  });

  test('a read needs no CSRF token, but another page gets none', async () => {
    const browser = await signedIn();
    const read = async (origin: string | undefined, site: string | undefined) =>
      codeOf(await browser.ask('GET', '/api/v1/me', undefined, { origin, 'sec-fetch-site': site, 'x-csrf-token': undefined }));
    for (const [origin, site] of [
      [undefined, undefined],
      [undefined, 'none'],
      [own(), undefined],
      [other, 'same-origin'],
    ])
      expect([origin, site, ...(await read(origin, site))]).toEqual([origin, site, 200, undefined]);
    for (const [origin, site] of [
      [other, undefined],
      ['null', undefined],
      [undefined, 'cross-site'],
      [undefined, 'same-site'],
      [other, 'cross-site'],
    ])
      expect([origin, site, ...(await read(origin, site))]).toEqual([origin, site, 403, 'cross_origin']);
  });

  test('similar origins are other origins', async () => {
    const browser = await signedIn();
    const { host, port } = new URL(own());
    for (const origin of [
      `http://${host}.evil.example`,
      'http://127.0.0.1',
      `http://localhost:${port}`,
      'null',
      'garbage',
      `http://evil@${host}x`,
    ])
      expect([
        origin,
        ...codeOf(await browser.ask('POST', '/api/v1/sites', { name: 'x' }, { origin, 'sec-fetch-site': undefined })),
      ]).toEqual([origin, 403, 'cross_origin']);
  });

  test('another page cannot sign a browser in, which would make its user act for somebody else', async () => {
    const browser = openBrowser(service.url);
    for (const headers of [
      { origin: other, 'sec-fetch-site': undefined },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ])
      expect(codeOf(await browser.signIn({ token: ADMIN_TOKEN }, headers))).toEqual([403, 'cross_origin']);
    expect(browser.cookies.size).toBe(0);
    const program = { origin: undefined, 'sec-fetch-site': undefined };
    expect((await browser.signIn({ token: ADMIN_TOKEN }, program)).status).toBe(201);
  });

  test('no origin of CORS_ORIGINS may send the cookie', async () => {
    await using open = await openService({ ROLE: 'api', CORS_ORIGINS: 'https://allowed.example' });
    const browser = openBrowser(open.url);
    await browser.signIn({ token: ADMIN_TOKEN });
    const answer = await browser.ask('GET', '/api/v1/me', undefined, { origin: 'https://allowed.example', 'sec-fetch-site': 'cross-site' });
    expect(codeOf(answer)).toEqual([403, 'cross_origin']);
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
  });

  test('PUBLIC_URL is our own origin although a proxy changes the host', async () => {
    await using proxied = await openService({ ROLE: 'api', PUBLIC_URL: 'https://fleet.example.com/bw' });
    const browser = openBrowser(proxied.url);
    const page = { origin: 'https://fleet.example.com', 'sec-fetch-site': undefined };
    expect((await browser.signIn({ token: ADMIN_TOKEN }, page)).status).toBe(201);
    expect((await browser.ask('POST', '/api/v1/sites', { name: 'x' }, page)).status).toBe(201);
    expect((await browser.ask('POST', '/api/v1/sites', { name: 'y' }, { ...page, origin: 'http://fleet.example.com' })).status).toBe(403);
  });

  test('refusals are counted, and valid sessions of the same sender still pass', async () => {
    await using strict = await openService({ ROLE: 'api', RATE_LIMIT_REFUSED: '1' });
    const browser = openBrowser(strict.url);
    await browser.signIn({ token: ADMIN_TOKEN });
    const statuses = new Set<number>();
    for (let tried = 0; tried < 10; tried += 1)
      statuses.add((await browser.ask('GET', '/api/v1/me', undefined, { 'sec-fetch-site': 'cross-site' })).status);
    expect(statuses).toEqual(new Set([403, 429]));
    const wrong = new Set<number>();
    for (let tried = 0; tried < 5; tried += 1) wrong.add((await openBrowser(strict.url).signIn({ token: 'guess' })).status);
    expect(wrong).toContain(429);
    expect((await openBrowser(strict.url).signIn({ code: 'guess' })).status).toBe(429);
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(200);
    expect((await openBrowser(strict.url).signIn({ token: ADMIN_TOKEN })).status).toBe(201);
    const metrics = (await browser.ask('GET', '/metrics')).body;
    expect(metrics).toMatch(/bellwether_cross_origin_refused_total\{reason="other_origin"\} 10/);
  });
});

describe('the end of a session', () => {
  const hashOf = (browser: Browser) => hashToken(browser.cookies.get('bellwether_session') ?? '');

  test('signing out ends it, with its live connections, and removes the cookie', async () => {
    const browser = await signedIn();
    const socket = live(browser);
    expect(await outcomeOf(socket)).toBe('connected');
    const closing = new Promise((resolve) => socket.once('closing', resolve));
    const cookie = browser.cookie();
    expect((await browser.ask('DELETE', '/api/v1/session')).status).toBe(204);
    expect(browser.setCookies[0]).toMatch(/^bellwether_session=; Max-Age=0; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(await closing).toMatchObject({ code: 'unauthorized' });
    expect((await browser.ask('GET', '/api/v1/me', undefined, { cookie })).status).toBe(401);
  });

  test('a token has no session to end', async () => {
    expect((await service.api('DELETE', '/session')).status).toBe(204);
    expect((await service.api('GET', '/me')).status).toBe(200);
  });

  test('revoking the token ends its sessions, links and live connections at once', async () => {
    const { id, token } = await mint('operator');
    const browser = await signedIn(token);
    const link = (await browser.ask('POST', '/api/v1/session-links', {})).body;
    const socket = live(browser);
    expect(await outcomeOf(socket)).toBe('connected');
    const closing = new Promise((resolve) => socket.once('closing', resolve));
    expect((await service.api('DELETE', `/tokens/${id}`)).status).toBe(204);
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(401);
    expect(await closing).toMatchObject({ code: 'unauthorized' });
    expect(await outcomeOf(live(browser))).toBe('unauthorized');
    expect(codeOf(await openBrowser(service.url).signIn({ code: link.code }))).toEqual([401, 'link_expired']);
  });

  test('disabling the organization refuses its sessions', async () => {
    const browser = await signedIn(await tokenOfOthers());
    await service.database.sql`update organizations set disabled_at = now() where name = 'others'`;
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(401);
    await service.database.sql`update organizations set disabled_at = null where name = 'others'`;
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(200);
  });

  test('it is over after 12 hours without use, and each use counts', async () => {
    const { sql } = service.database;
    const browser = await signedIn();
    await sql`update sessions set last_used_at = now() - interval '11 hours 59 minutes' where hash = ${hashOf(browser)}`;
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(200);
    const [row] = await sql<
      { fresh: boolean }[]
    >`select last_used_at > now() - interval '1 minute' as fresh from sessions where hash = ${hashOf(browser)}`;
    expect(row?.fresh).toBe(true);
    await sql`update sessions set last_used_at = now() - interval '12 hours' where hash = ${hashOf(browser)}`;
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(401);
  });

  test('it is over after seven days, however much it is used', async () => {
    const { sql } = service.database;
    const browser = await signedIn();
    const [row] = await sql<
      { days: number }[]
    >`select extract(epoch from expires_at - created_at) / 86400 as days from sessions where hash = ${hashOf(browser)}`;
    expect(Number(row?.days)).toBe(7);
    await sql`update sessions set expires_at = now() + interval '1 hour' where hash = ${hashOf(browser)}`;
    const { sessionExpiresAt } = (await browser.ask('GET', '/api/v1/me')).body;
    expect(Date.parse(sessionExpiresAt) - Date.now()).toBeLessThanOrEqual(3_600_000);
    await sql`update sessions set expires_at = now() where hash = ${hashOf(browser)}`;
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(401);
    expect(await outcomeOf(live(browser))).toBe('unauthorized');
  });

  test('a check by the service itself is no use: an open page alone does not keep a session alive', async () => {
    const { sql } = service.database;
    const browser = await signedIn();
    const socket = live(browser);
    expect(await outcomeOf(socket)).toBe('connected');
    const used = async () => (await sql`select last_used_at from sessions where hash = ${hashOf(browser)}`)[0]?.last_used_at;
    await sql`update sessions set last_used_at = now() - interval '11 hours' where hash = ${hashOf(browser)}`;
    const before = await used();
    // A revocation makes every connection be checked.
    const second = await mint('viewer');
    const watched = live(await signedIn(second.token));
    expect(await outcomeOf(watched)).toBe('connected');
    const ended = new Promise((resolve) => watched.once('disconnect', resolve));
    await service.api('DELETE', `/tokens/${second.id}`);
    await ended;
    expect(await used()).toEqual(before);
    const closing = new Promise((resolve) => socket.once('closing', resolve));
    await sql`update sessions set last_used_at = now() - interval '12 hours' where hash = ${hashOf(browser)}`;
    await sql`select pg_notify('bellwether_tokens', '')`;
    expect(await closing).toMatchObject({ code: 'unauthorized' });
  });

  test('the sweeper removes sessions and links that are over, and those of revoked tokens', async () => {
    const { sql } = service.database;
    const [alive, idle, old] = [await signedIn(), await signedIn(), await signedIn()];
    const revoked = await mint('viewer');
    const gone = await signedIn(revoked.token);
    await service.api('DELETE', `/tokens/${revoked.id}`);
    await service.api('POST', '/session-links', {});
    await sql`update sessions set last_used_at = now() - interval '13 hours' where hash = ${hashOf(idle)}`;
    await sql`update sessions set expires_at = now() - interval '1 second' where hash = ${hashOf(old)}`;
    await sql`update session_links set expires_at = now()`;
    await pruneSessions(sql);
    const rows = await sql<{ hash: Buffer }[]>`select hash from sessions`;
    const has = (browser: Browser) => rows.some(({ hash }) => hash.equals(hashOf(browser)));
    expect([has(alive), has(idle), has(old), has(gone)]).toEqual([true, false, false, false]);
    expect(await sql`select 1 from session_links`).toHaveLength(0);
  });
});

describe('live connections with a session', () => {
  test('get the events of the session’s organization', async () => {
    const browser = await signedIn();
    const socket = live(browser);
    expect(await outcomeOf(socket)).toBe('connected');
    const seen: { type: string }[] = [];
    socket.on('event', (event) => seen.push(event));
    await socket.timeout(60_000).emitWithAck('subscribe', { topics: ['events'] });
    await browser.ask('POST', '/api/v1/devices', { id: 'live-device' });
    await eventually('the event', async () => seen.some(({ type }) => type === 'device.registered'));
  });

  test.each([
    ['another origin', { origin: 'https://evil.example' }],
    ['no origin', {}],
    ['another origin that says it is the same site', { origin: 'https://evil.example', 'sec-fetch-site': 'same-site' }],
    ['a sandboxed page', { origin: 'null' }],
  ])('are refused to %s, although the browser sends the cookie', async (_who, headers) => {
    expect(await outcomeOf(live(await signedIn(), headers))).toBe('unauthorized');
  });

  test('may begin by polling, from our own page', async () => {
    const browser = await signedIn();
    const headers = (extra: Record<string, string>) => ({ cookie: browser.cookie(), ...extra });
    expect(await pollLive(service.url, headers({ 'sec-fetch-site': 'same-origin' }))).toMatch(/^40\/live,/);
    expect(await pollLive(service.url, headers({ 'sec-fetch-site': 'cross-site' }))).toMatch(/^44\/live,\{"message":"unauthorized"/);
  });

  test('a wrong key and no key are refused', async () => {
    const browser = openBrowser(service.url);
    expect(await outcomeOf(live(browser))).toBe('unauthorized');
    browser.cookies.set('bellwether_session', `bws_${'x'.repeat(43)}`);
    expect(await outcomeOf(live(browser))).toBe('unauthorized');
  });
});

describe('one-time links', () => {
  const linkOf = async (token: string, role?: string) => service.apiAs(token)('POST', '/session-links', role === undefined ? {} : { role });

  test('sign in once, with the role that they name, and hide their code from servers', async () => {
    const { token } = await mint('operator');
    const { status, body } = await linkOf(token, 'viewer');
    expect(status).toBe(201);
    const url = new URL(body.url);
    expect([url.origin, url.pathname, url.search, url.hash]).toEqual([service.url, '/login', '', `#code=${body.code}`]);
    expect(body.code).toMatch(/^bwl_[\w-]{43}$/);
    expect(JSON.stringify(await service.database.sql`select * from session_links`)).not.toContain(body.code);
    const browser = openBrowser(service.url);
    const answer = await browser.signIn({ code: body.code });
    expect([answer.status, answer.body.role, answer.body.name]).toEqual([201, 'viewer', 'a operator']);
    expect(codeOf(await browser.ask('POST', '/api/v1/sites', { name: 'x' }))).toEqual([403, 'forbidden']);
    expect(codeOf(await openBrowser(service.url).signIn({ code: body.code }))).toEqual([401, 'link_expired']);
    expect((await browser.ask('GET', '/api/v1/me')).status).toBe(200);
  });

  test('of many sign-ins at the same moment one succeeds', async () => {
    const { body } = await linkOf(ADMIN_TOKEN);
    const answers = await Promise.all(Array.from({ length: 8 }, () => openBrowser(service.url).signIn({ code: body.code })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });

  test('are over after ten minutes', async () => {
    const { body } = await linkOf(ADMIN_TOKEN);
    expect(Date.parse(body.expiresAt) - Date.now()).toBeLessThanOrEqual(600_000);
    await service.database.sql`update session_links set expires_at = now() where hash = ${hashToken(body.code)}`;
    expect(codeOf(await openBrowser(service.url).signIn({ code: body.code }))).toEqual([401, 'link_expired']);
  });

  test('give no more than the own role', async () => {
    const { token } = await mint('viewer');
    for (const role of ['operator', 'admin']) expect(codeOf(await linkOf(token, role))).toEqual([403, 'forbidden']);
    expect((await linkOf(token)).body.role).toBe('viewer');
  });

  test('a link that a session made begins no session that outlives it', async () => {
    const browser = await signedIn();
    const key = hashToken(browser.cookies.get('bellwether_session') ?? '');
    await service.database.sql`update sessions set expires_at = now() + interval '1 hour' where hash = ${key}`;
    const link = (await browser.ask('POST', '/api/v1/session-links', {})).body;
    const second = openBrowser(service.url);
    const { sessionExpiresAt } = (await second.signIn({ code: link.code })).body;
    expect(Date.parse(sessionExpiresAt) - Date.now()).toBeLessThanOrEqual(3_600_000);
  });
});
