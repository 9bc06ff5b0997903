import { expect, test } from 'vitest';
import { bitbucketCloud } from '../../../src/source/webhook/bitbucket-cloud.ts';
import { bitbucketDataCenter } from '../../../src/source/webhook/bitbucket-data-center.ts';
import { recogniseProvider } from '../../../src/source/webhook/registry.ts';
import { AFTER, BEFORE, fixture, githubSignature, hook, NOW } from './fixtures.ts';

const SECRET = 'a webhook secret';

const cloud = (body: Uint8Array | string, event = 'repo:push', id = 'r-1') =>
  hook({ 'X-Event-Key': event, 'X-Request-UUID': id, 'X-Attempt-Number': '1', 'X-Hub-Signature': githubSignature(SECRET, body) }, body);
const dataCenter = (body: Uint8Array | string, event = 'repo:refs_changed', id = 'r-1') =>
  hook({ 'X-Event-Key': event, 'X-Request-Id': id, 'X-Hub-Signature': githubSignature(SECRET, body) }, body);

test('Cloud: a push is recognised, accepted and parsed as a change', () => {
  const request = cloud(fixture('bitbucket-cloud-push'));
  expect(recogniseProvider(request.headers)).toBe(bitbucketCloud);
  expect(bitbucketCloud.verify(request, SECRET, NOW)).toEqual({ ok: true, proof: 'hmac' });
  expect(bitbucketCloud.parse(request)).toEqual({
    kind: 'change',
    deliveryId: 'r-1',
    repeats: 'always',
    event: 'push',
    ref: 'refs/heads/main',
    before: BEFORE,
    after: AFTER,
    repository: expect.objectContaining({ path: 'fleet/terminals', urls: ['https://bitbucket.org/fleet/terminals'] }),
    pusher: 'ana',
  });
});

test('Cloud: a push of several refs lists each of them', () => {
  expect(bitbucketCloud.parse(cloud(fixture('bitbucket-cloud-several')))).toMatchObject({
    ref: 'refs/heads/spring-menu',
    before: null,
    after: BEFORE,
    alsoRefs: [
      { event: 'push', ref: 'refs/heads/main', before: BEFORE, after: AFTER },
      { event: 'tag', ref: 'refs/tags/v1.4.0', before: null, after: AFTER },
      { event: 'push', ref: 'refs/heads/old-menu', before: BEFORE, after: null },
    ],
  });
  const deleted = bitbucketCloud.parse(cloud(fixture('bitbucket-cloud-branch-deleted')));
  expect(deleted).toMatchObject({ event: 'push', ref: 'refs/heads/spring-menu', before: BEFORE, after: null });
  const neither = fixture('bitbucket-cloud-branch-deleted').toString().replace('"old": {', '"older": {');
  expect(bitbucketCloud.parse(cloud(neither)).kind).toBe('ignored');
});

test('Cloud: a pull request is a change without a commit, because it names only the first 12 digits', () => {
  const body = fixture('bitbucket-cloud-pull-request');
  const change = { event: 'merge_request', ref: 'refs/heads/spring-menu', after: null };
  expect(bitbucketCloud.parse(cloud(body, 'pullrequest:updated'))).toMatchObject(change);
  const whole = body.toString().replace(AFTER.slice(0, 12), AFTER);
  expect(bitbucketCloud.parse(cloud(whole, 'pullrequest:fulfilled'))).toMatchObject({ ...change, after: AFTER });
  expect(bitbucketCloud.parse(cloud(body, 'pullrequest:comment_created')).kind).toBe('ignored');
  const long = body.toString().replace('"name": "spring-menu"', `"name": "${'x'.repeat(2000)}"`);
  expect(bitbucketCloud.parse(cloud(long, 'pullrequest:updated'))).toMatchObject({ event: 'merge_request', ref: null });
});

test('Data Center: a push is recognised, accepted and parsed as a change', () => {
  const request = dataCenter(fixture('bitbucket-data-center-push'));
  expect(recogniseProvider(request.headers)).toBe(bitbucketDataCenter);
  expect(bitbucketDataCenter.verify(request, SECRET, NOW)).toEqual({ ok: true, proof: 'hmac' });
  expect(bitbucketDataCenter.parse(request)).toEqual({
    kind: 'change',
    deliveryId: 'r-1',
    repeats: 'always',
    event: 'push',
    ref: 'refs/heads/main',
    before: BEFORE,
    after: AFTER,
    repository: expect.objectContaining({ urls: expect.arrayContaining(['https://bitbucket.example.com/scm/fleet/terminals.git']) }),
    pusher: 'ana',
  });
});

test('Data Center: a push of several refs lists each of them', () => {
  expect(bitbucketDataCenter.parse(dataCenter(fixture('bitbucket-data-center-several')))).toMatchObject({
    ref: 'refs/heads/spring-menu',
    after: null,
    alsoRefs: [
      { event: 'tag', ref: 'refs/tags/v1.4.0', before: null },
      { event: 'push', ref: 'refs/heads/main', after: AFTER },
    ],
  });
});

test('Data Center: a ping is recognised, and a pull request is a change of the ref that the host publishes for it', () => {
  expect(bitbucketDataCenter.parse(dataCenter('{"test": true}', 'diagnostics:ping'))).toMatchObject({ kind: 'ping', deliveryId: 'r-1' });
  const body = fixture('bitbucket-data-center-pull-request');
  expect(bitbucketDataCenter.parse(dataCenter(body, 'pr:from_ref_updated'))).toMatchObject({
    event: 'merge_request',
    ref: 'refs/pull-requests/7/from',
    before: BEFORE,
    after: AFTER,
    repository: { urls: expect.arrayContaining(['https://bitbucket.example.com/scm/fleet/terminals.git']) },
  });
  expect(bitbucketDataCenter.parse(dataCenter(body, 'pr:comment:added')).kind).toBe('ignored');
});

test.each([
  { provider: bitbucketCloud, request: cloud, push: fixture('bitbucket-cloud-push') },
  { provider: bitbucketDataCenter, request: dataCenter, push: fixture('bitbucket-data-center-push') },
])(
  '$provider.name: the id is not signed, so that a replay under another one triggers another check; a hook without an event is ignored',
  ({ provider, request, push }) => {
    const replay = request(push, undefined, 'r-2');
    expect(provider.verify(replay, SECRET, NOW).ok).toBe(true);
    expect(provider.parse(replay)).toMatchObject({ deliveryId: 'r-2', after: AFTER });
    expect(provider.parse(hook({}, push))).toMatchObject({ kind: 'ignored', reason: 'header X-Event-Key is missing' });
    expect(provider.parse(hook({ 'x-event-key': 'repo:push, repo:push' }, push)).kind).toBe('ignored');
  },
);
