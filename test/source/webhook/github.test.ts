import fc from 'fast-check';
import { expect, test } from 'vitest';
import { github } from '../../../src/source/webhook/github.ts';
import { AFTER, BEFORE, fixture, flipByte, githubSignature, hook, NOW } from './fixtures.ts';

const SECRET = 'a webhook secret';
const PUSH = fixture('github-push');
const unauthorized = { ok: false, problem: expect.objectContaining({ code: 'hook_unauthorized', status: 401 }) };
const malformed = expect.objectContaining({ code: 'hook_malformed', status: 400 });

function signed(body: Uint8Array | string, headers: Record<string, string> = {}) {
  return hook(
    { 'x-github-event': 'push', 'x-github-delivery': 'd-1', 'x-hub-signature-256': githubSignature(SECRET, body), ...headers },
    body,
  );
}

test("GitHub's published vector is accepted", () => {
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
  const request = hook({ 'x-hub-signature-256': signature }, 'Hello, World!');
  expect(github.verify(request, "It's a Secret to Everybody", NOW)).toEqual({ ok: true, proof: 'hmac' });
});

test('a push is accepted and parsed as a change', () => {
  expect(github.verify(signed(PUSH), SECRET, NOW)).toEqual({ ok: true, proof: 'hmac' });
  expect(github.parse(signed(PUSH))).toEqual({
    kind: 'change',
    deliveryId: 'd-1',
    repeats: 'always',
    event: 'push',
    ref: 'refs/heads/main',
    before: BEFORE,
    after: AFTER,
    repository: {
      id: '186853002',
      path: 'fleet/terminals',
      urls: ['https://github.com/fleet/terminals.git', 'https://github.com/fleet/terminals', 'git@github.com:fleet/terminals.git'],
      defaultBranch: 'refs/heads/main',
    },
    pusher: 'ana',
  });
});

test('a form-encoded push is verified over its raw bytes and parses to the same change', () => {
  const form = new URLSearchParams({ payload: PUSH.toString() }).toString();
  const request = signed(form, { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' });
  expect(github.verify(request, SECRET, NOW).ok).toBe(true);
  expect(github.parse(request)).toEqual(github.parse(signed(PUSH)));
});

test.each(['', 'payload=%7B%7D&payload=%7B%7D', 'other=1', 'payload=%7B'])('the form "%s" is malformed', (form) => {
  const request = hook({ 'x-github-event': 'push', 'content-type': 'application/x-www-form-urlencoded' }, form);
  expect(() => github.parse(request)).toThrow(malformed);
});

test('a tag has its own event, and a deleted branch has no commit', () => {
  expect(github.parse(signed(fixture('github-tag')))).toMatchObject({ event: 'tag', ref: 'refs/tags/v1.4.0', before: null, after: AFTER });
  expect(github.parse(signed(fixture('github-branch-deleted')))).toMatchObject({
    event: 'push',
    ref: 'refs/heads/spring-menu',
    after: null,
  });
});

test('a pull request is a change of the ref that the host publishes for it', () => {
  const request = signed(fixture('github-pull-request'), { 'x-github-event': 'pull_request' });
  expect(github.parse(request)).toMatchObject({ event: 'merge_request', ref: 'refs/pull/7/head', before: BEFORE, after: AFTER });
  const labeled = fixture('github-pull-request').toString().replace('"synchronize"', '"labeled"');
  expect(github.parse(signed(labeled, { 'x-github-event': 'pull_request' })).kind).toBe('ignored');
});

test('a ping is recognised; an unknown and a missing event are ignored', () => {
  expect(github.parse(signed(fixture('github-ping'), { 'x-github-event': 'ping' }))).toMatchObject({ kind: 'ping', deliveryId: 'd-1' });
  expect(github.parse(signed('{}', { 'x-github-event': 'star' })).kind).toBe('ignored');
  expect(github.parse(hook({}, PUSH))).toMatchObject({ kind: 'ignored', reason: 'header X-GitHub-Event is missing' });
});

test('a redelivery has the same id; without one, the id is a digest of the body', () => {
  const anonymous = (body: Uint8Array) => github.parse(hook({ 'x-github-event': 'push' }, body)).deliveryId;
  expect(anonymous(PUSH)).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(anonymous(PUSH)).toBe(anonymous(PUSH));
  expect(anonymous(PUSH)).not.toBe(anonymous(fixture('github-tag')));
});

test('unsigned, signed with SHA-1 only, or signed with another secret is refused', () => {
  expect(github.verify(hook({}, PUSH), SECRET, NOW)).toEqual(unauthorized);
  expect(github.verify(hook({ 'x-hub-signature': 'sha1=0000' }, PUSH), SECRET, NOW)).toEqual(unauthorized);
  expect(github.verify(hook({ 'x-hub-signature-256': githubSignature('other', PUSH) }, PUSH), SECRET, NOW)).toEqual(unauthorized);
});

test('a signature that is duplicated, cut short, extended, in upper case or without its prefix is refused', () => {
  const signature = githubSignature(SECRET, PUSH);
  const twice = new Headers({ 'x-hub-signature-256': signature });
  twice.append('x-hub-signature-256', signature);
  expect(github.verify({ headers: twice, rawBody: PUSH }, SECRET, NOW)).toEqual(unauthorized);
  const variants = [signature.slice(0, -1), `${signature}0`, `sha256=${signature.slice(7).toUpperCase()}`, signature.slice(7), 'sha256='];
  for (const variant of variants) expect(github.verify(hook({ 'x-hub-signature-256': variant }, PUSH), SECRET, NOW)).toEqual(unauthorized);
});

test('an empty secret is refused, even with the right signature for it', () => {
  expect(github.verify(hook({ 'x-hub-signature-256': githubSignature('', PUSH) }, PUSH), '', NOW)).toEqual(unauthorized);
  expect(() => github.checkSecret('')).toThrow(expect.objectContaining({ code: 'hook_secret_invalid' }));
});

test('without a configured secret a hook is accepted and marked as unverified', () => {
  expect(github.verify(hook({}, PUSH), null, NOW)).toEqual({ ok: true, proof: 'none' });
});

test('changing any byte of the body or of the signature is refused', () => {
  const signature = Buffer.from(githubSignature(SECRET, PUSH));
  fc.assert(
    fc.property(fc.nat(PUSH.length - 1), fc.integer({ min: 1, max: 255 }), (index, mask) => {
      const request = hook({ 'x-hub-signature-256': signature.toString() }, flipByte(PUSH, index, mask));
      expect(github.verify(request, SECRET, NOW)).toEqual(unauthorized);
    }),
  );
  for (let index = 0; index < signature.length; index += 1) {
    for (const mask of [1, 2, 4, 8, 16, 32, 64, 127, 128, 255]) {
      const headers = new Map([['x-hub-signature-256', flipByte(signature, index, mask).toString('latin1')]]);
      expect(github.verify({ headers, rawBody: PUSH }, SECRET, NOW)).toEqual(unauthorized);
    }
  }
});
