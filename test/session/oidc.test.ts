import { createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization } from '../../src/organization/store.ts';
import { grantOf } from '../../src/session/grant.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';
import { type Browser, openBrowser, openLive, outcomeOf } from './browser.ts';
import { CLIENT, openProvider, type TestProvider } from './oidc-provider.ts';

let service: TestService;
let provider: TestProvider;
let port: number;
const ROLES = { ops: 'operator', admins: 'admin', 'acme-viewers': 'viewer@acme', 'no-such': 'viewer@missing' };

beforeAll(async () => {
  port = await freePort();
  provider = await openProvider(`http://127.0.0.1:${port}/login/oidc/callback`);
  service = await openService(settings({ PORT: String(port) }));
  await ensureOrganization(service.database.sql, newId(), 'acme');
});
afterAll(async () => {
  await service.close();
  await provider.close();
});
beforeEach(() => {
  Object.assign(provider, { user: 'ada', declines: false, isSilent: false });
  provider.users.clear();
  provider.users.set('ada', { email: 'ada@example.com', email_verified: true, preferred_username: 'ada', groups: ['ops', 'other'] });
});

function settings(more: Record<string, string>): Record<string, string> {
  return {
    ROLE: 'api',
    RATE_LIMIT_REFUSED: '100000',
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    OIDC_ISSUER: provider.issuer,
    OIDC_CLIENT_ID: CLIENT.id,
    OIDC_CLIENT_SECRET: CLIENT.secret,
    OIDC_NAME: 'Example SSO',
    OIDC_ROLES: JSON.stringify(ROLES),
    ...more,
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

const navigation = { 'sec-fetch-site': 'none', origin: undefined };

/** Follows the provider's pages from its first address. @returns the address of the callback */
async function throughProvider(address: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let at = new URL(address);
  for (let hops = 0; hops < 10 && at.origin === provider.issuer; hops += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const text of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? [];
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (location === null) throw new Error(`${at.pathname} answers ${response.status}: ${await response.text()}`);
    at = new URL(location, at);
  }
  return at;
}

async function begin(browser: Browser, query = ''): Promise<string> {
  const answer = await browser.ask('GET', `/login/oidc${query}`, undefined, navigation);
  expect(answer.status).toBe(302);
  return answer.headers.get('location') ?? '';
}

/** @returns the address to which the callback leads */
async function callback(browser: Browser, at: URL): Promise<string> {
  const answer = await browser.ask('GET', at.pathname + at.search, undefined, { 'sec-fetch-site': 'cross-site', origin: undefined });
  expect(answer.status).toBe(302);
  return answer.headers.get('location') ?? '';
}

async function signIn(browser: Browser, query = ''): Promise<string> {
  return callback(browser, await throughProvider(await begin(browser, query)));
}

const refusedWith = (code: string) => `http://127.0.0.1:${port}/login?error=${code}`;

describe('signing in by OpenID Connect', () => {
  test('opens a session of the user, with the role of their group', async () => {
    const browser = openBrowser(service.url);
    expect(await signIn(browser)).toBe(`${service.url}/`);
    expect([...browser.cookies.keys()]).toEqual(['bellwether_session']);
    const { body: me } = await browser.ask('GET', '/api/v1/me');
    expect(me).toMatchObject({ kind: 'user', name: 'ada@example.com', email: 'ada@example.com', role: 'operator', via: 'session' });
    expect(me.organization.name).toBe('default');
    browser.csrfToken = me.csrfToken;
    expect((await browser.ask('POST', '/api/v1/sites', { name: 'by-ada' })).status).toBe(201);
    expect((await browser.ask('POST', '/api/v1/tokens', { name: 'x', role: 'viewer' })).status).toBe(403);
    const { items } = (await service.api('GET', '/audit?limit=2')).body;
    expect(items.map(({ actor, action }: Record<string, string>) => [actor, action])).toEqual([
      ['user:ada@example.com', 'site.create'],
      ['user:ada@example.com', 'session.create'],
    ]);
    expect(items[1].detail).toMatchObject({ by: 'oidc', role: 'operator' });
    const socket = openLive(service.url, { cookie: browser.cookie(), origin: service.url });
    expect(await outcomeOf(socket)).toBe('connected');
    socket.disconnect();
  });

  test('sends the provider state, nonce and an S256 challenge, and keeps their counterparts sealed for ten minutes', async () => {
    const browser = openBrowser(service.url);
    const address = new URL(await begin(browser));
    expect(Object.fromEntries(address.searchParams)).toMatchObject({
      client_id: CLIENT.id,
      response_type: 'code',
      code_challenge_method: 'S256',
      redirect_uri: `${service.url}/login/oidc/callback`,
      scope: 'openid profile email',
    });
    const [cookie = ''] = browser.setCookies;
    expect(cookie).toMatch(/^bellwether_sign_in=v1\.[\w.-]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(cookie).not.toContain(address.searchParams.get('state'));
  });

  test('a session lasts a day at most', async () => {
    await signIn(openBrowser(service.url));
    const [row] = await service.database.sql<{ hours: string }[]>`
      select extract(epoch from expires_at - created_at) / 3600 as hours from sessions where subject is not null order by created_at desc limit 1`;
    expect(Number(row?.hours)).toBe(24);
  });

  test('signing out ends the session, and a link of the user acts for the user', async () => {
    const browser = openBrowser(service.url);
    await signIn(browser);
    browser.csrfToken = (await browser.ask('GET', '/api/v1/me')).body.csrfToken;
    const link = (await browser.ask('POST', '/api/v1/session-links', { role: 'viewer' })).body;
    const second = openBrowser(service.url);
    expect((await second.signIn({ code: link.code })).body).toMatchObject({ kind: 'user', name: 'ada@example.com', role: 'viewer' });
    const cookie = browser.cookie();
    expect((await browser.ask('DELETE', '/api/v1/session')).status).toBe(204);
    expect((await browser.ask('GET', '/api/v1/me', undefined, { cookie })).status).toBe(401);
  });

  test('leads to the page that the person wanted, and never to another host', async () => {
    expect(await signIn(openBrowser(service.url), `?next=${encodeURIComponent('/devices?q=till')}`)).toBe(`${service.url}/devices?q=till`);
    for (const next of ['//evil.example', '/\\evil.example', 'https://evil.example', '/a\\b', 'javascript:alert(1)', '/\n/evil.example'])
      expect([next, await signIn(openBrowser(service.url), `?next=${encodeURIComponent(next)}`)]).toEqual([next, `${service.url}/`]);
  });

  test('/login-methods names the provider and a text for every error', async () => {
    const { oidc } = (await service.apiAs(undefined)('GET', '/login-methods')).body;
    expect(oidc.name).toBe('Example SSO');
    expect(oidc.errors.oidc_no_role).toContain('"groups"');
    expect(Object.keys(oidc.errors).sort()).toEqual(['oidc_no_role', 'oidc_refused', 'oidc_state_invalid', 'oidc_unavailable']);
  });
});

describe('the role', () => {
  const meAfter = async (claims: Record<string, unknown>, at: TestService = service) => {
    provider.users.set('ada', claims);
    const browser = openBrowser(at.url);
    const location = await signIn(browser);
    return browser.cookies.has('bellwether_session') ? (await browser.ask('GET', '/api/v1/me')).body : location;
  };

  test('is the highest of all groups, in the organization that the setting names', async () => {
    expect(await meAfter({ groups: ['ops', 'admins'] })).toMatchObject({ role: 'admin', name: 'ada' });
    const acme = await meAfter({ groups: ['acme-viewers'] });
    expect([acme.role, acme.organization.name]).toEqual(['viewer', 'acme']);
    expect(await meAfter({ groups: 'ops' })).toMatchObject({ role: 'operator' });
  });

  test('is missing: nobody gets in, and the text names the claim', async () => {
    for (const groups of [undefined, [], ['other'], 'opsx', { ops: true }, [['ops']], ['no-such']])
      expect([groups, await meAfter({ groups })]).toEqual([groups, refusedWith('oidc_no_role')]);
  });

  test('an address that the provider has not verified is no email: four eyes and the audit log must not trust it', async () => {
    const me = await meAfter({ groups: ['ops'], email: 'boss@example.com', email_verified: false, preferred_username: 'mallory' });
    expect([me.name, me.email]).toEqual(['mallory', null]);
  });
});

describe('what is refused', () => {
  test('an answer with another state, without a begun sign-in, or of another browser', async () => {
    const browser = openBrowser(service.url);
    const at = await throughProvider(await begin(browser));
    const wrong = new URL(at);
    wrong.searchParams.set('state', 'another');
    const begun = browser.cookie();
    expect(await callback(browser, wrong)).toBe(refusedWith('oidc_state_invalid'));
    // The first answer ends the attempt.
    expect(browser.cookies.size).toBe(0);
    expect(await callback(browser, at)).toBe(refusedWith('oidc_state_invalid'));
    expect(await callback(openBrowser(service.url), at)).toBe(refusedWith('oidc_state_invalid'));
    const other = openBrowser(service.url);
    await begin(other);
    expect(await callback(other, at)).toBe(refusedWith('oidc_state_invalid'));
    const tampered = openBrowser(service.url);
    tampered.cookies.set('bellwether_sign_in', `${begun.slice('bellwether_sign_in='.length, -4)}AAAA`);
    expect(await callback(tampered, at)).toBe(refusedWith('oidc_state_invalid'));
    expect(tampered.cookies.has('bellwether_session')).toBe(false);
  });

  test('a code that was used before, even with its own attempt', async () => {
    const browser = openBrowser(service.url);
    const at = await throughProvider(await begin(browser));
    const attempt = browser.cookies.get('bellwether_sign_in') ?? '';
    expect(await callback(browser, at)).toBe(`${service.url}/`);
    const thief = openBrowser(service.url);
    thief.cookies.set('bellwether_sign_in', attempt);
    expect(await callback(thief, at)).toBe(refusedWith('oidc_refused'));
    expect(thief.cookies.has('bellwether_session')).toBe(false);
  });

  test('a code of another sign-in: its challenge does not fit', async () => {
    const [first, second] = [openBrowser(service.url), openBrowser(service.url)];
    const stolen = await throughProvider(await begin(first));
    const own = await throughProvider(await begin(second));
    own.searchParams.set('code', stolen.searchParams.get('code') ?? '');
    expect(await callback(second, own)).toBe(refusedWith('oidc_refused'));
  });

  test('a user who declines', async () => {
    provider.declines = true;
    expect(await signIn(openBrowser(service.url))).toBe(refusedWith('oidc_refused'));
  });

  test('anything while the provider is silent or away; then it works again without a restart', async () => {
    const later = await openProvider(`http://127.0.0.1:${port}/login/oidc/callback`);
    await using fresh = await openService(settings({ OIDC_ISSUER: later.issuer }));
    await later.close();
    const browser = openBrowser(fresh.url);
    const gone = await browser.ask('GET', '/login/oidc', undefined, navigation);
    expect([gone.status, gone.headers.get('location')]).toEqual([302, refusedWith('oidc_unavailable')]);
    const at = await throughProvider(await begin(openBrowser(service.url)));
    provider.isSilent = true;
    await using silent = await openService(settings({}));
    const waited = await openBrowser(silent.url).ask('GET', '/login/oidc', undefined, navigation);
    expect(waited.headers.get('location')).toBe(refusedWith('oidc_unavailable'));
    provider.isSilent = false;
    const again = await openBrowser(silent.url).ask('GET', '/login/oidc', undefined, navigation);
    expect(again.headers.get('location')).toContain(provider.issuer);
    expect(at.searchParams.get('code')).not.toBeNull();
  });

  test('sessions of users, once the service has another provider or none', async () => {
    const browser = openBrowser(service.url);
    await signIn(browser);
    const ask = (where: TestService) => openBrowser(where.url).ask('GET', '/api/v1/me', undefined, { cookie: browser.cookie() });
    await using none = await openService({ ROLE: 'api' });
    for (const table of ['organizations', 'sessions']) {
      const rows = await service.database
        .sql`select * from ${service.database.sql(table)} ${table === 'sessions' ? service.database.sql`where subject is not null order by created_at desc limit 1` : service.database.sql``}`;
      for (const row of rows) {
        const mine = table === 'organizations' && row.name === 'default' ? { ...row, name: 'copied' } : row;
        await none.database.sql`insert into ${none.database.sql(table)} ${none.database.sql(mine)}`;
      }
    }
    expect((await ask(service)).status).toBe(200);
    expect((await ask(none)).status).toBe(401);
  });
});

test('everybody whom the provider knows gets the default role, but groups decide where they say something', () => {
  const rules = readConfig({ OIDC_ROLES: '{"ops":"operator","acme":"viewer@acme","acme-ops":"operator@acme"}' }).OIDC_ROLES;
  const of = (values: string[], usual: 'none' | 'viewer' | 'operator') => grantOf(values, { OIDC_ROLES: rules, OIDC_DEFAULT_ROLE: usual });
  expect(of([], 'none')).toBeUndefined();
  expect(of(['other'], 'viewer')).toEqual({ role: 'viewer', organization: 'default' });
  expect(of(['acme'], 'operator')).toEqual({ role: 'viewer', organization: 'acme' });
  expect(of(['acme', 'ops'], 'none')).toEqual({ role: 'operator', organization: 'default' });
  expect(of(['acme-ops', 'ops'], 'viewer')).toEqual({ role: 'operator', organization: 'default' });
});

test('without an identity provider its addresses do not exist', async () => {
  await using none = await openService({ ROLE: 'api' });
  for (const path of ['/login/oidc', '/login/oidc/callback'])
    expect((await openBrowser(none.url).ask('GET', path, undefined, navigation)).status).toBe(404);
  expect((await openBrowser(none.url).signIn({ token: ADMIN_TOKEN })).status).toBe(201);
});

test('the start fails with settings that cannot work', () => {
  const valid = { OIDC_ISSUER: 'https://sso.example.com', OIDC_CLIENT_ID: 'x', PUBLIC_URL: 'https://fleet.example.com' };
  expect(readConfig(valid).OIDC_ROLES.map(({ role }) => role)).toEqual(['admin', 'operator', 'viewer']);
  for (const [name, value, text] of [
    ['OIDC_ISSUER', 'http://sso.example.com', /OIDC_ISSUER: must be an https URL/],
    ['OIDC_CLIENT_ID', '', /OIDC_CLIENT_ID: is required/],
    ['PUBLIC_URL', '', /PUBLIC_URL: is required/],
    ['OIDC_ROLES', '{"a":"root"}', /OIDC_ROLES: must be a JSON object/],
    ['OIDC_ROLES', 'a=admin', /OIDC_ROLES: must be a JSON object/],
    ['OIDC_SCOPES', 'profile', /OIDC_SCOPES: must contain openid/],
    ['OIDC_DEFAULT_ROLE', 'admin', /OIDC_DEFAULT_ROLE/],
  ] as const)
    expect(() => readConfig({ ...valid, [name]: value }), name).toThrow(text);
});
