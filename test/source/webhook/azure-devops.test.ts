import { expect, test } from 'vitest';
import { azureDevOps } from '../../../src/source/webhook/azure-devops.ts';
import { webhookProvider } from '../../../src/source/webhook/registry.ts';
import { AFTER, BEFORE, fixture, hook, NOW } from './fixtures.ts';

const SECRET = 'bellwether:a secret: with a colon, and ü';
const PUSH = fixture('azure-devops-push');
const unauthorized = { ok: false, problem: expect.objectContaining({ code: 'hook_unauthorized', status: 401 }) };

const basic = (secret: string) => `Basic ${Buffer.from(secret).toString('base64')}`;

test('only the configured user and password are accepted', () => {
  const verify = (authorization: string) => azureDevOps.verify(hook({ authorization }, PUSH), SECRET, NOW);
  expect(verify(basic(SECRET))).toEqual({ ok: true, proof: 'token' });
  const good = basic(SECRET);
  const others = [
    '',
    SECRET,
    basic(`${SECRET}x`),
    basic('bellwether:'),
    basic(''),
    good.replace('Basic', 'Bearer'),
    good.slice(0, -1),
    `${good}, ${good}`,
    basic('x'.repeat(100_000)),
  ];
  for (const authorization of others) expect(verify(authorization), authorization.slice(0, 60)).toEqual(unauthorized);
  expect(azureDevOps.verify(hook({}, PUSH), SECRET, NOW)).toEqual(unauthorized);
  expect(azureDevOps.verify(hook({ authorization: basic('') }, PUSH), '', NOW)).toEqual(unauthorized);
});

test('with the option "header" only that header is checked for the secret', () => {
  const provider = webhookProvider('azure-devops', { scheme: 'header', header: 'x-hook-token' });
  const verify = (headers: Record<string, string>) => provider.verify(hook(headers, PUSH), SECRET_TOKEN, NOW);
  expect(verify({ 'X-Hook-Token': SECRET_TOKEN })).toEqual({ ok: true, proof: 'token' });
  for (const token of ['', `${SECRET_TOKEN}x`, SECRET_TOKEN.slice(1), `${SECRET_TOKEN}, ${SECRET_TOKEN}`])
    expect(verify({ 'X-Hook-Token': token })).toEqual(unauthorized);
  expect(verify({ authorization: basic(SECRET_TOKEN) })).toEqual(unauthorized);
  expect(provider.verify(hook({ 'x-hook-token': '' }, PUSH), '', NOW)).toEqual(unauthorized);
});

const SECRET_TOKEN = 'a token without the sign';

test('a secret that no request could match and options of other providers are refused on entry', () => {
  const invalid = expect.objectContaining({ code: 'hook_secret_invalid', status: 400 });
  for (const secret of ['', SECRET_TOKEN]) expect(() => azureDevOps.checkSecret(secret)).toThrow(invalid);
  expect(() => azureDevOps.checkSecret(SECRET)).not.toThrow();
  expect(() => webhookProvider('azure-devops', { scheme: 'header', header: 'x-t' }).checkSecret(SECRET_TOKEN)).not.toThrow();
  const refused = expect.objectContaining({ code: 'invalid_request' });
  expect(() => webhookProvider('azure-devops', { scheme: 'standard_webhooks' })).toThrow(refused);
  expect(() => webhookProvider('gitlab', { scheme: 'header', header: 'x-t' })).toThrow(refused);
});

test('a push is a change with the id of its body; a replay under another header id is the same delivery', () => {
  const change = {
    kind: 'change',
    deliveryId: '03c164c2-8912-4d5e-8009-3707d5f83734',
    repeats: 'always',
    event: 'push',
    ref: 'refs/heads/main',
    before: BEFORE,
    after: AFTER,
    repository: expect.objectContaining({ urls: ['https://dev.azure.com/fleet/Fleet/_git/terminals'] }),
    pusher: 'Ana Costa',
  };
  expect(azureDevOps.parse(hook({}, PUSH))).toEqual(change);
  expect(azureDevOps.parse(hook({ id: 'other', 'x-request-id': 'other', 'x-vss-activityid': 'other' }, PUSH))).toEqual(change);
});

test('a push of several refs lists each of them', () => {
  expect(azureDevOps.parse(hook({}, fixture('azure-devops-several')))).toMatchObject({
    ref: 'refs/heads/spring-menu',
    after: null,
    alsoRefs: [
      { event: 'tag', ref: 'refs/tags/v1.4.0', before: null },
      { event: 'push', ref: 'refs/heads/main', after: AFTER },
    ],
  });
});

test('a pull request is a change, another event is ignored', () => {
  const body = fixture('azure-devops-pull-request').toString();
  expect(azureDevOps.parse(hook({}, body))).toMatchObject({ event: 'merge_request', ref: 'refs/pull/7/merge', after: AFTER });
  expect(azureDevOps.parse(hook({}, body.replace('git.pullrequest.updated', 'build.complete'))).kind).toBe('ignored');
  const long = azureDevOps.parse(hook({}, body.replace('git.pullrequest.updated', 'x'.repeat(500))));
  expect(long).toMatchObject({ kind: 'ignored', reason: `event "${'x'.repeat(100)}"` });
});
