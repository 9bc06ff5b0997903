import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { forgejo, gitea } from '../../../src/source/webhook/gitea.ts';
import { recogniseProvider } from '../../../src/source/webhook/registry.ts';
import { AFTER, BEFORE, fixture, githubSignature, hook, NOW } from './fixtures.ts';

const SECRET = 'a webhook secret';
const PUSH = fixture('gitea-push');
const unauthorized = { ok: false, problem: expect.objectContaining({ code: 'hook_unauthorized', status: 401 }) };

const digest = (body: Uint8Array, secret = SECRET) => createHmac('sha256', secret).update(body).digest('hex');

/** All headers that a host sends, including the copies under other hosts' names. */
function sent(host: 'Gitea' | 'Forgejo', event: string, body: Uint8Array, signature: string, id = 'd-1'): Record<string, string> {
  const names = host === 'Forgejo' ? ['Forgejo', 'Gitea', 'Gogs'] : ['Gitea', 'Gogs'];
  const own = names.flatMap((name) => [
    [`X-${name}-Event`, event],
    [`X-${name}-Delivery`, id],
    [`X-${name}-Signature`, signature],
  ]);
  return {
    ...Object.fromEntries(own),
    'X-GitHub-Event': event,
    'X-GitHub-Delivery': id,
    'X-Hub-Signature': `sha1=${createHmac('sha1', SECRET).update(body).digest('hex')}`,
    'X-Hub-Signature-256': githubSignature(SECRET, body),
  };
}

test.each([
  { host: 'Gitea', provider: gitea },
  { host: 'Forgejo', provider: forgejo },
] as const)('$host is recognised although it sends the headers of GitHub, and its push is parsed as a change', ({ host, provider }) => {
  const request = hook(sent(host, 'push', PUSH, digest(PUSH)), PUSH);
  expect(recogniseProvider(request.headers)).toBe(provider);
  expect(provider.verify(request, SECRET, NOW)).toEqual({ ok: true, proof: 'hmac' });
  expect(provider.parse(request)).toEqual({
    kind: 'change',
    deliveryId: 'd-1',
    repeats: 'always',
    event: 'push',
    ref: 'refs/heads/main',
    before: BEFORE,
    after: AFTER,
    repository: expect.objectContaining({ urls: expect.arrayContaining(['https://git.example.com/fleet/terminals.git']) }),
    pusher: 'ana',
  });
});

test('a source configured for Gitea also accepts hooks of Forgejo', () => {
  const request = hook(sent('Forgejo', 'push', PUSH, digest(PUSH)), PUSH);
  expect(gitea.verify(request, SECRET, NOW).ok).toBe(true);
  expect(gitea.parse(request)).toEqual(forgejo.parse(request));
});

test('the empty signature of a host without a secret is refused, whatever the copied headers contain', () => {
  const request = hook(sent('Gitea', 'push', PUSH, ''), PUSH);
  expect(gitea.verify(request, SECRET, NOW)).toEqual(unauthorized);
  expect(gitea.verify(hook({ 'x-gitea-signature': digest(PUSH, '') }, PUSH), SECRET, NOW)).toEqual(unauthorized);
  expect(gitea.verify(hook({ 'x-gitea-signature': githubSignature(SECRET, PUSH) }, PUSH), SECRET, NOW)).toEqual(unauthorized);
});

test('the id is not signed, so that a replay under another one is genuine and triggers another check', () => {
  const replay = hook(sent('Gitea', 'push', PUSH, digest(PUSH), 'd-2'), PUSH);
  expect(gitea.verify(replay, SECRET, NOW).ok).toBe(true);
  expect(gitea.parse(replay)).toMatchObject({ kind: 'change', deliveryId: 'd-2', after: AFTER });
});

test('a form-encoded push is signed over the JSON inside, not over its raw bytes, and parses to the same change', () => {
  const form = Buffer.from(new URLSearchParams({ payload: PUSH.toString() }).toString());
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const request = hook({ ...sent('Gitea', 'push', PUSH, digest(PUSH)), ...headers }, form);
  expect(gitea.verify(request, SECRET, NOW).ok).toBe(true);
  expect(gitea.verify(hook({ ...sent('Gitea', 'push', form, digest(form)), ...headers }, form), SECRET, NOW)).toEqual(unauthorized);
  const twice = `${form}&${form}`;
  expect(gitea.verify(hook({ ...sent('Gitea', 'push', PUSH, digest(PUSH)), ...headers }, twice), SECRET, NOW)).toEqual(unauthorized);
  expect(gitea.parse(request)).toEqual(gitea.parse(hook(sent('Gitea', 'push', PUSH, ''), PUSH)));
});

test('a tag has the event tag, a deleted branch has no commit, and a duplicated event header is ignored', () => {
  const parse = (name: string) => gitea.parse(hook({ 'x-gitea-event': 'push' }, fixture(name)));
  expect(parse('gitea-tag')).toMatchObject({ event: 'tag', ref: 'refs/tags/v1.4.0', before: null, after: AFTER });
  expect(parse('gitea-branch-deleted')).toMatchObject({ event: 'push', ref: 'refs/heads/spring-menu', after: null });
  expect(gitea.parse(hook({ 'x-gitea-event': 'push, push' }, PUSH)).kind).toBe('ignored');
  expect(gitea.parse(hook({}, PUSH))).toMatchObject({ kind: 'ignored', reason: 'header x-gitea-event is missing' });
});

test('a pull request is a change if its commits moved and is ignored otherwise', () => {
  const body = fixture('gitea-pull-request').toString();
  const parse = (text: string) => gitea.parse(hook({ 'x-gitea-event': 'pull_request' }, text));
  expect(parse(body)).toMatchObject({ event: 'merge_request', ref: 'refs/pull/7/head', after: AFTER, pusher: 'ana' });
  for (const action of ['label_updated', 'x'.repeat(5000)])
    expect(parse(body.replace('"synchronized"', JSON.stringify(action))).kind).toBe('ignored');
  for (const number of ['-1', '0', '1.5', '1e400', '"7"'])
    expect(parse(body.replace('"number": 7', `"number": ${number}`)).kind).toBe('ignored');
});
