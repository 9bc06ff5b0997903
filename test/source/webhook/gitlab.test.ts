import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gitlab } from '../../../src/source/webhook/gitlab.ts';
import { AFTER, BEFORE, fixture, flipByte, hook, NOW, standardHeaders } from './fixtures.ts';

const TOKEN = 'a plain secret token';
const SIGNING = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const OTHER_SIGNING = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
const PUSH = fixture('gitlab-push');
const unauthorized = { ok: false, problem: expect.objectContaining({ code: 'hook_unauthorized', status: 401 }) };
const expired = { ok: false, problem: expect.objectContaining({ code: 'hook_expired', status: 401 }) };

const minutesFromNow = (minutes: number, extraMs = 0) => new Date(NOW.getTime() + minutes * 60_000 + extraMs);

test('only the configured secret token is accepted', () => {
  expect(gitlab.verify(hook({ 'x-gitlab-token': TOKEN }, PUSH), TOKEN, NOW)).toEqual({ ok: true, proof: 'token' });
  for (const token of [`${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase(), `${TOKEN}, ${TOKEN}`]) {
    expect(gitlab.verify(hook({ 'x-gitlab-token': token }, PUSH), TOKEN, NOW)).toEqual(unauthorized);
  }
  expect(gitlab.verify(hook({}, PUSH), TOKEN, NOW)).toEqual(unauthorized);
  expect(gitlab.verify(hook({ 'x-gitlab-token': '' }, PUSH), '', NOW)).toEqual(unauthorized);
});

test("the scheme's published vector is accepted", () => {
  // The example of the Standard Webhooks reference libraries.
  const headers = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  };
  const request = hook(headers, '{"test": 2432232314}');
  expect(gitlab.verify(request, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', new Date(1_614_265_330_000))).toEqual({
    ok: true,
    proof: 'signing_token',
  });
});

test('a signature is accepted up to five minutes before and after its time, and expired otherwise', () => {
  const request = hook(standardHeaders(SIGNING, PUSH), PUSH);
  for (const now of [NOW, minutesFromNow(5), minutesFromNow(-5)]) {
    expect(gitlab.verify(request, SIGNING, now)).toEqual({ ok: true, proof: 'signing_token' });
  }
  for (const now of [minutesFromNow(5, 1), minutesFromNow(-5, -1), minutesFromNow(60 * 24 * 365)]) {
    expect(gitlab.verify(request, SIGNING, now)).toEqual(expired);
  }
});

test('a replay under another id or another time is not genuine', () => {
  const headers = standardHeaders(SIGNING, PUSH);
  const later = String(Number(headers['webhook-timestamp']) + 600);
  expect(gitlab.verify(hook({ ...headers, 'webhook-id': 'msg-2' }, PUSH), SIGNING, NOW)).toEqual(unauthorized);
  expect(gitlab.verify(hook({ ...headers, 'webhook-timestamp': later }, PUSH), SIGNING, minutesFromNow(10))).toEqual(unauthorized);
});

test('one valid signature among several is enough during a key rotation', () => {
  const good = standardHeaders(SIGNING, PUSH);
  const bad = standardHeaders(OTHER_SIGNING, PUSH)['webhook-signature'];
  const both = { ...good, 'webhook-signature': `${bad} v1a,AAAA ${good['webhook-signature']}` };
  expect(gitlab.verify(hook(both, PUSH), SIGNING, NOW).ok).toBe(true);
  expect(gitlab.verify(hook({ ...good, 'webhook-signature': `${bad} ${bad}` }, PUSH), SIGNING, NOW)).toEqual(unauthorized);
});

test('a signing token is never satisfied by a token header, with or without a bad signature', () => {
  const bad = standardHeaders(OTHER_SIGNING, PUSH);
  expect(gitlab.verify(hook({ 'x-gitlab-token': SIGNING }, PUSH), SIGNING, NOW)).toEqual(unauthorized);
  expect(gitlab.verify(hook({ 'x-gitlab-token': SIGNING, ...bad }, PUSH), SIGNING, NOW)).toEqual(unauthorized);
});

test('a signed request is not accepted by its token alone', () => {
  const headers = { 'x-gitlab-token': TOKEN, ...standardHeaders(SIGNING, PUSH) };
  expect(gitlab.verify(hook(headers, PUSH), TOKEN, NOW)).toEqual(unauthorized);
});

test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('a signature without %s is refused', (missing) => {
  const headers: Record<string, string> = { ...standardHeaders(SIGNING, PUSH) };
  delete headers[missing];
  expect(gitlab.verify(hook(headers, PUSH), SIGNING, NOW)).toEqual(unauthorized);
});

test.each(['', '-1', '1e9', '0x10', '1772454600.5', '99999999999999999999', 'NaN', ' '])('the timestamp "%s" is refused', (timestamp) => {
  const headers = { ...standardHeaders(SIGNING, PUSH), 'webhook-timestamp': timestamp };
  expect(gitlab.verify(hook(headers, PUSH), SIGNING, NOW)).toEqual(unauthorized);
});

test('a truncated body, a truncated signature and duplicated headers are refused', () => {
  const headers = standardHeaders(SIGNING, PUSH);
  expect(gitlab.verify(hook(headers, PUSH.subarray(0, -1)), SIGNING, NOW)).toEqual(unauthorized);
  const shorter = headers['webhook-signature'].slice(0, -1);
  expect(gitlab.verify(hook({ ...headers, 'webhook-signature': shorter }, PUSH), SIGNING, NOW)).toEqual(unauthorized);
  for (const name of ['webhook-id', 'webhook-timestamp']) {
    const twice = new Headers(headers);
    twice.append(name, twice.get(name) ?? '');
    expect(gitlab.verify({ headers: twice, rawBody: PUSH }, SIGNING, NOW)).toEqual(unauthorized);
  }
});

test('changing any byte of body or signature is refused', () => {
  const headers = standardHeaders(SIGNING, PUSH);
  fc.assert(
    fc.property(fc.nat(PUSH.length - 1), fc.integer({ min: 1, max: 255 }), (index, mask) => {
      expect(gitlab.verify(hook(headers, flipByte(PUSH, index, mask)), SIGNING, NOW)).toEqual(unauthorized);
    }),
  );
  const signature = Buffer.from(headers['webhook-signature']);
  for (let index = 0; index < signature.length; index += 1) {
    for (let mask = 1; mask < 256; mask += 1) {
      const changed = new Map(Object.entries({ ...headers, 'webhook-signature': flipByte(signature, index, mask).toString('latin1') }));
      expect(gitlab.verify({ headers: changed, rawBody: PUSH }, SIGNING, NOW)).toEqual(unauthorized);
    }
  }
});

test('signing tokens that no request could match are refused on entry', () => {
  for (const secret of ['', 'whsec_', 'whsec_!!!!', 'whsec_AAAA', `whsec_${Buffer.alloc(65).toString('base64')}`]) {
    expect(() => gitlab.checkSecret(secret)).toThrow(expect.objectContaining({ code: 'hook_secret_invalid', status: 400 }));
    expect(gitlab.verify(hook(standardHeaders(SIGNING, PUSH), PUSH), secret, NOW)).toEqual(unauthorized);
  }
  for (const secret of [SIGNING, TOKEN]) expect(() => gitlab.checkSecret(secret)).not.toThrow();
});

test('a push is a change, whose signed id takes precedence over the unsigned one', () => {
  const change = {
    kind: 'change',
    event: 'push',
    ref: 'refs/heads/main',
    before: BEFORE,
    after: AFTER,
    repository: expect.objectContaining({ urls: expect.arrayContaining(['https://gitlab.example.com/fleet/terminals.git']) }),
    pusher: 'ana',
  };
  expect(gitlab.parse(hook({ 'idempotency-key': 'i-1', 'webhook-id': 'w-1' }, PUSH))).toEqual({
    ...change,
    deliveryId: 'w-1',
    repeats: 'always',
  });
  expect(gitlab.parse(hook({ 'idempotency-key': 'i-1' }, PUSH))).toEqual({ ...change, deliveryId: 'i-1', repeats: 'always' });
  const uuidOnly = gitlab.parse(hook({ 'x-gitlab-event-uuid': 'shared by recursive hooks' }, PUSH));
  expect(uuidOnly.deliveryId).toMatch(/^sha256:[0-9a-f]{64}$/);
});

test('a tag has the event tag, and a deleted branch has no commit', () => {
  expect(gitlab.parse(hook({}, fixture('gitlab-tag-push')))).toMatchObject({
    event: 'tag',
    ref: 'refs/tags/v1.4.0',
    before: null,
    after: AFTER,
  });
  expect(gitlab.parse(hook({}, fixture('gitlab-branch-deleted')))).toMatchObject({
    event: 'push',
    ref: 'refs/heads/spring-menu',
    after: null,
  });
});

test('a merge request is a change if its commits moved and is ignored otherwise', () => {
  const body = fixture('gitlab-merge-request').toString();
  expect(gitlab.parse(hook({}, body))).toMatchObject({
    event: 'merge_request',
    ref: 'refs/merge-requests/7/head',
    before: BEFORE,
    after: AFTER,
  });
  const described = body.replace('"oldrev"', '"nothing"');
  expect(described).not.toBe(body);
  expect(gitlab.parse(hook({}, described)).kind).toBe('ignored');
  expect(gitlab.parse(hook({}, body.replace('"update"', '"approved"'))).kind).toBe('ignored');
});

test('an unknown event is ignored', () => {
  expect(gitlab.parse(hook({ 'x-gitlab-event': 'Pipeline Hook' }, '{"object_kind":"pipeline"}'))).toMatchObject({
    kind: 'ignored',
    reason: 'event "pipeline"',
  });
});
