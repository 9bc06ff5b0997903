import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ForgeKind } from '../../src/source/forge-settings.ts';
import { SERVERS } from '../forge/support.ts';
import { aHook, type ForgeServer, openForgeServer, TOKEN } from '../support/forge-server.ts';
import { openService, type TestService } from '../support/service.ts';

const SECRET = 'a-secret-of-the-source';

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
afterAll(() => service.close());

describe.each(['gitlab', 'github', 'gitea', 'forgejo'] as const)('%s', (kind) => {
  let forge: ForgeServer;
  beforeAll(async () => {
    forge = await openForgeServer(SERVERS[kind]);
  });
  afterAll(() => forge.close());

  let made = 0;
  const create = async (settings: Record<string, unknown> = {}): Promise<{ id: string; hookUrl: string }> => {
    const forgeSettings = { kind: kind satisfies ForgeKind };
    const plain = { name: `${kind}-${++made}`, url: forge.repositoryUrl, layout: 'repo', forge: forgeSettings, auth: { token: TOKEN } };
    const webhook = { provider: kind, secret: SECRET };
    return (await service.api('POST', '/sources', { ...plain, webhook, ...settings })).body;
  };
  const install = async ({ id }: { id: string }) => (await service.api('POST', `/sources/${id}/webhook`)).body;
  const hooksOf = ({ id }: { id: string }) => forge.state.hooks.filter(({ url }) => url.endsWith(id));
  const verdicts = async ({ id }: { id: string }) =>
    (await service.api('GET', `/sources/${id}/deliveries`)).body.items.map(({ verdict }: { verdict: string }) => verdict);

  test('a test delivery verifies a new webhook and an existing one', async () => {
    const source = await create();
    expect(await install(source)).toMatchObject({ installed: 'created', verified: true, detail: null });
    expect(await install(source)).toMatchObject({ installed: 'unchanged', verified: true, detail: null });
    expect(await verdicts(source)).toContain(kind === 'github' ? 'ping' : 'accepted');
  });

  test('a manually created hook with another secret is repaired', async () => {
    const source = await create();
    aHook(forge.state, { url: source.hookUrl, secret: 'made by hand' });
    expect(await install(source)).toMatchObject({ installed: 'updated', verified: true });
    expect(hooksOf(source)).toEqual([expect.objectContaining({ secret: SECRET, push: true, refs: true, mergeRequests: true })]);
    expect(await install(source)).toMatchObject({ installed: 'unchanged', verified: true });
  });

  test('the test detects a secret that was changed at the host, and repairs it', async () => {
    const source = await create();
    await install(source);
    for (const hook of hooksOf(source)) hook.secret = 'changed by hand';
    expect(await install(source)).toMatchObject({ verified: true });
    expect(hooksOf(source)).toEqual([expect.objectContaining({ secret: SECRET })]);
  });

  test('hooks are accepted if the host names the repository by another address', async () => {
    forge.state.publicUrl = 'https://code.example.com';
    const source = await create();
    expect(await install(source)).toMatchObject({ verified: true });
    expect(
      (await forge.push({ ref: 'refs/heads/main', before: 'c'.repeat(40), after: 'd'.repeat(40) })).map(({ status }) => status),
    ).toContain(202);
    forge.state.publicUrl = null;
    expect(await verdicts(source)).not.toContain('other_repository');
  });

  test.skipIf(kind === 'gitea' || kind === 'forgejo')(
    'a host that cannot reach the service is reported',
    { timeout: 120_000 },
    async () => {
      forge.state.isCutOff = true;
      const source = await create();
      const installed = await install(source);
      forge.state.isCutOff = false;
      expect(installed).toMatchObject({ installed: 'created', verified: false });
      expect(installed.detail).toMatch(
        kind === 'gitlab' ? /^Cannot test the webhook .* answered 422 \(Failed to open TCP/ : /^No test delivery was received within 8 s/,
      );
    },
  );

  test('a webhook stays installed if the host refuses its test, and the refusal is reported', async () => {
    const source = await create();
    forge.fault({ kind: 'answer', status: 404, body: '{"message":"404 Not Found"}', path: /\/(test|tests|pings)(\/|$)/, count: 1 });
    const installed = await install(source);
    expect(installed).toMatchObject({ installed: 'created', verified: false, detail: expect.stringContaining('Cannot test the webhook') });
    expect(hooksOf(source)).toHaveLength(1);
  });
});
