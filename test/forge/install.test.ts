import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHookSecret } from '../../src/source/credentials.ts';
import type { ForgeKind } from '../../src/source/forge-settings.ts';
import { sourceById } from '../../src/source/store.ts';
import { aHook, type ForgeServer, openForgeServer, TOKEN } from '../support/forge-server.ts';
import { folder, openScene } from '../support/scene.ts';
import { ADMIN_TOKEN, eventually, openService, type TestService } from '../support/service.ts';
import { SERVERS } from './support.ts';

test('a source without a webhook gets one installed, and from then on a push reaches its device', async () => {
  await using scene = await openScene();
  await scene.host.createRepository('fleet/tills', { user: 'oauth2', password: TOKEN });
  await using forge = await openForgeServer(SERVERS.gitlab, { gitUrl: scene.host.url });
  const source = (await scene.api('POST', '/sources', settingsOf(forge, 'gitlab'))).body;
  const device = await scene.device('till-7', source.id);
  const before = await scene.host.commit('fleet/tills', folder({ vlan: 1 }));
  await scene.api('POST', `/sources/${source.id}/sync`);
  await device.start();
  await scene.converged('till-7', before);
  expect((await scene.api('POST', `/sources/${source.id}/webhook`)).status).toBe(200);
  const after = await scene.host.commit('fleet/tills', folder({ vlan: 2 }));
  await forge.push({ ref: 'refs/heads/main', before, after });
  await scene.converged('till-7', after);
});

test('each kind of host posts hooks that its source accepts; a changed secret is repaired by another installation', async () => {
  await using scene = await openScene();
  await scene.host.createRepository('fleet/tills', { user: 'oauth2', password: TOKEN });
  for (const kind of ['gitlab', 'github', 'gitea', 'forgejo'] as const) {
    await using forge = await openForgeServer(SERVERS[kind], { gitUrl: scene.host.url });
    const source = (await scene.api('POST', '/sources', settingsOf(forge, kind))).body;
    const before = await scene.host.commit('fleet/tills', folder({ vlan: 1 }));
    const install = async () => (await scene.api('POST', `/sources/${source.id}/webhook`)).body;
    const installed = await install();
    expect(installed).toMatchObject({ installed: 'created', provider: kind, hookUrl: source.hookUrl, verified: true, detail: null });
    expect(installed.settingsUrl).toContain(`${forge.url}/fleet/tills/`);
    const after = await scene.host.commit('fleet/tills', folder({ vlan: 2 }));
    const push = async () => (await forge.push({ ref: 'refs/heads/main', before, after })).map(({ status }) => status);
    expect(await push()).toEqual([202]);
    await eventually('the pushed commit', async () => (await scene.sourceNow(source.id)).headCommit === after);
    const [delivery] = (await scene.api('GET', `/sources/${source.id}/deliveries`)).body.items;
    expect(delivery).toMatchObject({ verdict: 'accepted', provider: kind, commit: after });
    forge.state.hooks[0]!.secret = 'changed by hand';
    expect(await push()).toEqual([401]);
    // The test delivery reveals the other secret. At Gitea, where an edit keeps the secret, the hook is then replaced.
    expect(await install()).toMatchObject({ installed: kind === 'gitlab' || kind === 'github' ? 'unchanged' : 'updated', verified: true });
    expect(await push()).toEqual([202]);
    expect(forge.state.hooks).toHaveLength(1);
  }
});

function settingsOf(forge: ForgeServer, kind: ForgeKind): Record<string, unknown> {
  return { name: kind, url: forge.repositoryUrl, layout: 'repo', pollIntervalSeconds: 86_400, forge: { kind }, auth: { token: TOKEN } };
}

describe('the route', () => {
  let service: TestService;
  let forge: ForgeServer;
  beforeAll(async () => {
    [service, forge] = await Promise.all([openService({ ROLE: 'api', ALLOW_LOCAL_SOURCES: '1' }), openForgeServer(SERVERS.gitlab)]);
  });
  afterAll(async () => {
    await service.close();
    await forge.close();
  });

  let made = 0;
  const create = async (settings: Record<string, unknown> = {}): Promise<{ id: string; hookUrl: string }> => {
    const plain = {
      name: `source-${++made}`,
      url: forge.repositoryUrl,
      layout: 'repo',
      forge: { kind: 'gitlab' satisfies ForgeKind },
      auth: { token: TOKEN },
    };
    const answer = await service.api('POST', '/sources', { ...plain, ...settings });
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    return answer.body;
  };
  const install = (id: string, headers: Record<string, string> = {}) => service.api('POST', `/sources/${id}/webhook`, undefined, headers);
  const hooksOf = ({ id }: { id: string }) => forge.state.hooks.filter(({ url }) => url.endsWith(id));
  const secretOf = async (id: string) => {
    const source = await sourceById(service.database.sql, id);
    return source && openHookSecret(service.app.services.box, source);
  };

  test('uses the source’s secret, or creates and stores one', async () => {
    const given = await create({ webhook: { provider: 'gitlab', secret: 'a-secret-of-mine' } });
    await install(given.id);
    expect(hooksOf(given).map(({ secret }) => secret)).toEqual(['a-secret-of-mine']);
    const none = await create();
    await install(none.id);
    const secret = await secretOf(none.id);
    expect(secret).toMatch(/^[\w-]{43}$/);
    expect(hooksOf(none).map((hook) => hook.secret)).toEqual([secret]);
    const shown = (await service.api('GET', `/sources/${none.id}`)).body;
    expect(shown.webhook).toEqual({ provider: 'gitlab', secret: `…${secret?.slice(-4)}`, options: null });
  });

  test('writes an audit line and an event, without the secret', async () => {
    const source = await create();
    await install(source.id);
    const acts = (await service.api('GET', `/audit?subject=source:${source.id}`)).body.items;
    expect(acts.map(({ action }: { action: string }) => action)).toEqual(['source.webhook', 'source.change', 'source.create']);
    expect(acts[0].detail).toMatchObject({ installed: 'created', provider: 'gitlab' });
    const events = (await service.api('GET', '/events?limit=500')).body.items.filter(
      ({ subject }: { subject: string }) => subject === `source:${source.id}`,
    );
    const types = events.map(({ type }: { type: string }) => type).filter((type: string) => type !== 'hook.received');
    expect(types).toEqual(['source.created', 'source.changed', 'source.webhook_installed']);
    const secret = (await secretOf(source.id)) ?? '';
    expect(JSON.stringify([acts, events])).not.toContain(secret);
  });

  test('reports its change: it rewrites a changed secret and a foreign one', async () => {
    const source = await create();
    aHook(forge.state, { url: source.hookUrl, secret: 'of somebody else' });
    expect((await install(source.id)).body.installed).toBe('updated');
    expect((await install(source.id)).body.installed).toBe('unchanged');
    await service.api('PATCH', `/sources/${source.id}`, { webhook: { provider: 'gitlab', secret: 'the-second-secret' } });
    expect((await install(source.id)).body.installed).toBe('updated');
    expect(hooksOf(source).map(({ secret }) => secret)).toEqual(['the-second-secret']);
  });

  test('with one Idempotency-Key calls the host once', async () => {
    const source = await create();
    const first = await install(source.id, { 'idempotency-key': 'install' });
    const asked = forge.requests.length;
    expect((await install(source.id, { 'idempotency-key': 'install' })).body).toEqual(first.body);
    expect(forge.requests).toHaveLength(asked);
  });

  test('called several times at once creates one secret and one hook', async () => {
    const source = await create();
    forge.fault({ kind: 'together', method: 'GET', count: 3 });
    const answers = await Promise.all([install(source.id), install(source.id), install(source.id)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(hooksOf(source).map(({ secret }) => secret)).toEqual([await secretOf(source.id)]);
  });

  test('that fails after the host’s change is completed by the next call', async () => {
    const source = await create();
    const { sql } = service.database;
    await sql`create function fail() returns trigger language plpgsql as 'begin raise exception ''no''; end'`;
    await sql`create trigger fail before update of webhook_hook_id on sources for each row when (new.webhook_hook_id is not null) execute function fail()`;
    expect((await install(source.id)).status).toBe(500);
    await sql`drop trigger fail on sources`;
    expect(hooksOf(source)).toHaveLength(1);
    expect((await install(source.id)).body.installed).toBe('updated');
    expect(hooksOf(source).map(({ secret }) => secret)).toEqual([await secretOf(source.id)]);
  });

  test('reports a conflict if the secret changed during the call to the host', async () => {
    const source = await create();
    forge.fault({ kind: 'together', method: 'POST', count: 2 });
    const installing = install(source.id);
    await expect.poll(() => forge.asked().at(-1), { timeout: 60_000 }).toMatch(/^POST .*hooks$/);
    await service.api('PATCH', `/sources/${source.id}`, { webhook: { provider: 'gitlab', secret: 'the-second-secret' } });
    await fetch(`${forge.apiUrl}/projects/fleet%2Ftills/hooks`, { method: 'POST' });
    expect(await installing).toMatchObject({ status: 409, body: { code: 'source_changed' } });
    expect((await install(source.id)).body.installed).toBe('updated');
    expect(hooksOf(source).map(({ secret }) => secret)).toEqual(['the-second-secret']);
  });

  test('reports the host’s refusal, and marks its faults as retryable', async () => {
    forge.state.tokens.reader = { accountId: 8, may: [] };
    const reader = await create({ auth: { token: 'reader' } });
    expect(await install(reader.id)).toMatchObject({
      status: 422,
      body: { code: 'forge_forbidden', detail: expect.stringContaining('scope "api"') },
    });
    const source = await create();
    forge.fault({ kind: 'answer', status: 429, headers: { 'retry-after': '900' }, count: 1 });
    const busy = await install(source.id, { 'idempotency-key': 'busy' });
    expect([busy.status, busy.body.code, busy.headers.get('retry-after')]).toEqual([503, 'forge_rate_limited', '900']);
    expect(await install(source.id, { 'idempotency-key': 'busy' })).toMatchObject({ status: 200, body: { installed: 'created' } });
  });

  test('is cancelled when its client disconnects', async () => {
    const source = await create();
    forge.fault({ kind: 'hang', count: 1 });
    const before = forge.requests.length;
    const caller = new AbortController();
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const installing = fetch(`${service.url}/api/v1/sources/${source.id}/webhook`, { method: 'POST', headers, signal: caller.signal });
    await expect.poll(() => forge.requests.length, { timeout: 60_000 }).toBe(before + 1);
    caller.abort();
    await expect(installing).rejects.toThrow();
    let isOver = false;
    void forge.requests.at(-1)?.over.then(() => {
      isOver = true;
    });
    // Sooner than the attempt's own limit.
    await expect.poll(() => isOver, { timeout: 60_000 }).toBe(true);
    expect((await install(source.id)).body.installed).toBe('created');
  });

  test.each([
    ['a path on this machine', { url: '/srv/git/tills.git', forge: undefined }, 422, 'forge_unsupported'],
    ['a host of unknown kind', { forge: undefined }, 422, 'forge_unsupported'],
    ['no token', { auth: undefined }, 422, 'forge_token_missing'],
    ['a host that cannot reach this service', { url: 'https://gitlab.example.com/fleet/tills.git' }, 422, 'public_url_missing'],
    [
      'a webhook of another provider',
      { webhook: { provider: 'github', secret: 'of-another-provider' } },
      409,
      'webhook_of_another_provider',
    ],
  ])('refuses a source with %s before anything happens', async (_, settings, status, code) => {
    const source = await create(settings);
    const asked = forge.requests.length;
    const before = (await service.api('GET', `/sources/${source.id}`)).body.webhook;
    const answer = await install(source.id);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect((await service.api('GET', `/sources/${source.id}`)).body.webhook).toEqual(before);
    expect(forge.requests).toHaveLength(asked);
  });

  test('is for operators', async () => {
    const source = await create();
    const tokenOf = async (role: string) => service.apiAs((await service.api('POST', '/tokens', { name: role, role })).body.token);
    expect((await (await tokenOf('viewer'))('POST', `/sources/${source.id}/webhook`)).status).toBe(403);
    expect((await (await tokenOf('operator'))('POST', `/sources/${source.id}/webhook`)).status).toBe(200);
  });

  test('only an admin may send credentials to another origin, and a new repository needs a new approval', async () => {
    const { token } = (await service.api('POST', '/tokens', { name: 'op', role: 'operator' })).body;
    const operator = service.apiAs(token);
    const elsewhere = { kind: 'gitlab', apiUrl: 'https://collector.example/api/v4' };
    const attempt = { name: 'attempt', url: forge.repositoryUrl, layout: 'repo', forge: elsewhere, auth: { token: TOKEN } };
    expect(await operator('POST', '/sources', attempt)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    const source = await create({ apiToken: 'glpat-0123456789-abcd' });
    const path = `/sources/${source.id}`;
    expect((await operator('PATCH', path, { forge: elsewhere })).status).toBe(403);
    expect((await operator('PATCH', path, { forge: { kind: 'gitlab', apiUrl: forge.apiUrl } })).status).toBe(200);
    const changed = await service.api('PATCH', path, { forge: elsewhere });
    expect(changed.body).toMatchObject({ forge: elsewhere, apiToken: 'token …abcd' });
    // An admin's approval remains valid while the repository's address stays the same.
    expect((await operator('PATCH', path, { name: 'renamed' })).body.forge).toEqual(elsewhere);
    expect((await operator('PATCH', path, { url: 'https://other.example/fleet/tills.git', forge: elsewhere })).status).toBe(403);
    const moved = (await operator('PATCH', path, { url: 'https://other.example/fleet/tills.git' })).body;
    expect([moved.auth, moved.apiToken, moved.forge]).toEqual([null, null, null]);
    expect((await operator('PATCH', path, { forge: { kind: 'gitlab', apiUrl: 'https://user:pw@other.example/' } })).status).toBe(400);
  });

  test('for another repository does not reuse the previous repository’s hook id', async () => {
    const source = await create();
    await install(source.id);
    await service.api('PATCH', `/sources/${source.id}`, { url: forge.repositoryUrl.replace('tills', 'gates') });
    expect(await install(source.id)).toMatchObject({ status: 422, body: { code: 'forge_not_found' } });
    await service.api('PATCH', `/sources/${source.id}`, { url: forge.repositoryUrl });
    expect((await install(source.id)).body.installed).toBe('updated');
  });
});
