import { describe, expect, test } from 'vitest';
import { aHook } from '../support/forge-server.ts';
import { openForge } from './support.ts';

const SECRET = 'a-secret-of-the-source';

describe.each(['gitlab', 'github', 'gitea', 'forgejo'] as const)('the webhook at %s', (kind) => {
  test('is created with the secret, for pushes, tags and merge requests; a second call changes nothing', async () => {
    await using host = await openForge(kind);
    const first = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
    const [hook] = host.state.hooks;
    expect(hook).toMatchObject({
      url: host.hookUrl,
      secret: SECRET,
      push: true,
      tags: true,
      mergeRequests: true,
      active: true,
      json: true,
    });
    expect(first).toEqual({
      id: String(hook?.id),
      installed: 'created',
      settingsUrl: expect.stringMatching(new RegExp(`/fleet/tills/.*hooks/${hook?.id}`)),
    });
    const again = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: first.id });
    expect(again).toEqual({ ...first, installed: 'unchanged' });
    expect(host.state.hooks).toEqual([hook]);
  });

  test('verifies certificates of https URLs', async () => {
    await using host = await openForge(kind);
    const url = host.hookUrl.replace('http:', 'https:');
    await host.forge.installWebhook({ url, secret: SECRET, knownId: null });
    // Gitea has no such setting per hook and always verifies.
    if (kind === 'gitlab' || kind === 'github') expect(host.state.hooks[0]?.verifiesTls).toBe(true);
    expect((await host.forge.installWebhook({ url, secret: SECRET, knownId: String(host.state.hooks[0]?.id) })).installed).toBe(
      'unchanged',
    );
  });

  // An edit at Gitea keeps the secret, so that such a hook is replaced.
  const isEdited = kind === 'gitlab' || kind === 'github';

  test('with another secret gets the current one, and a changed setting is repaired', async () => {
    await using host = await openForge(kind);
    const hook = aHook(host.state, { url: host.hookUrl, secret: 'of somebody else', push: false, mergeRequests: false });
    const installed = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
    expect(installed.installed).toBe('updated');
    expect(installed.id === String(hook.id)).toBe(isEdited);
    expect(host.state.hooks).toHaveLength(1);
    expect(host.state.hooks[0]).toMatchObject({ secret: SECRET, push: true, mergeRequests: true });
  });

  test('counts as having the current secret only after an installation with it', async () => {
    await using host = await openForge(kind);
    const { id } = await host.forge.installWebhook({ url: host.hookUrl, secret: 'the-old-secret', knownId: null });
    const second = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
    expect([second.installed, second.id === id]).toEqual(['updated', isEdited]);
    expect(host.state.hooks.map(({ secret }) => secret)).toEqual([SECRET]);
  });

  test('that stopped delivering is repaired', async () => {
    await using host = await openForge(kind);
    const { id } = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
    host.state.hooks[0]!.active = false;
    const repaired = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: id });
    expect(repaired.installed).toBe('updated');
    expect(host.state.hooks).toEqual([expect.objectContaining({ id: Number(repaired.id), active: true, secret: SECRET })]);
    // An edit does not revive a hook that GitLab disabled.
    expect(repaired.id === id).toBe(kind === 'github');
  });

  test('changes with the service’s address; hooks of other services do not change', async () => {
    await using host = await openForge(kind);
    const others = [
      aHook(host.state, { url: 'http://ci.example/hooks/00000000-0000-7000-8000-000000000000', secret: 'theirs', type: 'slack' }),
      aHook(host.state, { url: 'http://bellwether.example/hooks/', secret: 'theirs' }),
    ];
    const before = structuredClone(others);
    const moved = aHook(host.state, { url: host.hookUrl.replace('bellwether.example', 'old.example:8080/base') });
    const installed = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
    expect([installed.installed, installed.id === String(moved.id)]).toEqual(['updated', isEdited]);
    expect(host.state.hooks).toEqual([...before, expect.objectContaining({ id: Number(installed.id), url: host.hookUrl })]);
  });

  test('is found after more than a page of others', async () => {
    await using host = await openForge(kind);
    for (let at = 0; at < 130; at += 1) aHook(host.state, { url: `http://ci.example/${at}` });
    const hook = aHook(host.state, { url: host.hookUrl });
    expect(await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: String(hook.id) })).toMatchObject({
      id: String(hook.id),
    });
    expect(host.state.hooks).toHaveLength(131);
  });

  test('exists once, even if the response to its creation is lost or several calls create it at once', async () => {
    await using host = await openForge(kind);
    host.server.fault({ kind: 'lost', method: 'POST', count: 1 });
    const install = () => host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
    expect((await install()).id).toBe(String(host.state.hooks[0]?.id));
    expect(host.state.hooks).toHaveLength(1);
    host.state.hooks.length = 0;
    host.server.fault({ kind: 'together', method: 'GET', count: 3 });
    const ids = (await Promise.all([install(), install(), install()])).map(({ id }) => id);
    expect(host.state.hooks).toEqual([expect.objectContaining({ url: host.hookUrl, secret: SECRET })]);
    expect(new Set(ids)).toEqual(new Set([String(host.state.hooks[0]?.id)]));
  });

  test('needs a token with the permission to create it', async () => {
    await using host = await openForge(kind);
    host.state.tokens.reader = { accountId: 8, may: [] };
    const install = (token: string) =>
      host.connect({ credentials: { token } }).installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
    await expect(install('reader')).rejects.toMatchObject({
      code: 'forge_forbidden',
      status: 422,
      retry: 'never',
      message: expect.stringMatching(/^Cannot install the webhook of fleet\/tills: "127.*answered 403 \(.+\); the token needs scope "/),
    });
    await expect(install('unknown-token')).rejects.toMatchObject({
      code: 'forge_unauthorized',
      message: expect.stringContaining('apiToken'),
    });
    expect(host.server.asked()).toHaveLength(2);
    expect(host.state.hooks).toEqual([]);
  });
});

const SIGNING = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

test('GitLab gets a signing token as such, and a new hook for a change back to a plain token', async () => {
  await using host = await openForge('gitlab');
  const first = await host.forge.installWebhook({ url: host.hookUrl, secret: SIGNING, knownId: null });
  expect(host.state.hooks[0]).toMatchObject({ secret: SIGNING, signs: true });
  const second = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
  expect(second).toMatchObject({ installed: 'updated' });
  expect(second.id).not.toBe(first.id);
  expect(host.state.hooks).toHaveLength(1);
  expect(host.state.hooks[0]).toMatchObject({ secret: SECRET });
  expect(host.state.hooks[0]?.signs).toBeUndefined();
});

test('a GitLab without signing tokens causes an error instead of a hook without a secret', async () => {
  await using host = await openForge('gitlab');
  host.state.storesSigningTokens = false;
  await expect(host.forge.installWebhook({ url: host.hookUrl, secret: SIGNING, knownId: null })).rejects.toMatchObject({
    code: 'forge_rejected',
    message: expect.stringContaining('does not begin with "whsec_"'),
  });
  expect(await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null })).toMatchObject({ installed: 'updated' });
  expect(host.state.hooks).toEqual([expect.objectContaining({ secret: SECRET })]);
});

test.each(['gitlab', 'gitea'] as const)('a branch filter is removed at %s, since it would lose pushes', async (kind) => {
  await using host = await openForge(kind);
  const { id } = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
  host.state.hooks[0]!.branchFilter = 'release/*';
  const first = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: id });
  expect([first.installed, first.id === id]).toEqual(['updated', kind === 'gitlab']);
  const again = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: first.id });
  expect(again).toMatchObject({ id: first.id, installed: 'unchanged' });
});

test('a hook of Gitea with the format of another service is replaced', async () => {
  await using host = await openForge('gitea');
  const slack = aHook(host.state, { url: host.hookUrl, type: 'slack' });
  const { id } = await host.forge.installWebhook({ url: host.hookUrl, secret: SECRET, knownId: null });
  expect(id).not.toBe(String(slack.id));
  expect(host.state.hooks).toEqual([expect.objectContaining({ id: Number(id), type: 'gitea' })]);
});
