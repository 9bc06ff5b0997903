import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { generic } from '../../../src/source/webhook/generic.ts';
import { HookOptions } from '../../../src/source/webhook/options.ts';
import { webhookProvider } from '../../../src/source/webhook/registry.ts';
import { AFTER, BEFORE, fixture, hook, NOW, standardHeaders } from './fixtures.ts';

const SIGNING = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const SECRET = 'a webhook secret';
const PUSH = fixture('generic-push');
const unauthorized = { ok: false, problem: expect.objectContaining({ code: 'hook_unauthorized', status: 401 }) };
const expired = { ok: false, problem: expect.objectContaining({ code: 'hook_expired', status: 401 }) };
const secretInvalid = expect.objectContaining({ code: 'hook_secret_invalid', status: 400 });

const secondsFromNow = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);

const timed = webhookProvider(
  'generic',
  HookOptions.parse({
    scheme: 'hmac',
    header: 'X-Signature',
    timestamp: { header: 'X-Time', separator: ':', toleranceSeconds: 60 },
  }),
);

function timedHeaders(at = NOW): Record<string, string> {
  const seconds = String(Math.floor(at.getTime() / 1000));
  return { 'x-time': seconds, 'x-signature': createHmac('sha256', SECRET).update(`${seconds}:${PUSH}`).digest('hex') };
}

test('Standard Webhooks is the default scheme and can be named', () => {
  const request = hook(standardHeaders(SIGNING, PUSH), PUSH);
  for (const provider of [generic, webhookProvider('generic', { scheme: 'standard_webhooks' })]) {
    expect(provider.verify(request, SIGNING, NOW)).toEqual({ ok: true, proof: 'signing_token' });
    expect(provider.verify(request, SIGNING, secondsFromNow(301))).toEqual(expired);
    expect(provider.verify(hook(standardHeaders(SIGNING, PUSH), PUSH.subarray(0, -1)), SIGNING, NOW)).toEqual(unauthorized);
    const replayed = { ...standardHeaders(SIGNING, PUSH), 'webhook-id': 'msg-2' };
    expect(provider.verify(hook(replayed, PUSH), SIGNING, NOW)).toEqual(unauthorized);
    for (const secret of ['', SECRET, 'whsec_', 'whsec_AAAA']) expect(() => provider.checkSecret(secret)).toThrow(secretInvalid);
    for (const secret of ['', SECRET]) expect(provider.verify(request, secret, NOW)).toEqual(unauthorized);
    expect(() => provider.checkSecret(SIGNING)).not.toThrow();
  }
});

test('a signed time is accepted within its tolerance and expired after it', () => {
  const request = hook(timedHeaders(), PUSH);
  for (const now of [NOW, secondsFromNow(60), secondsFromNow(-60)])
    expect(timed.verify(request, SECRET, now)).toEqual({ ok: true, proof: 'hmac' });
  for (const now of [secondsFromNow(61), secondsFromNow(-61), secondsFromNow(1e8)])
    expect(timed.verify(request, SECRET, now)).toEqual(expired);
});

test('a time that is missing, duplicated, not a number or not the signed one is refused before its age is checked', () => {
  const good = timedHeaders();
  for (const time of ['', '-1', '1e9', '1772454600.5', 'NaN', '9'.repeat(20), `${good['x-time']}, ${good['x-time']}`])
    expect(timed.verify(hook({ ...good, 'x-time': time }, PUSH), SECRET, NOW), time).toEqual(unauthorized);
  const later = secondsFromNow(3600);
  expect(timed.verify(hook({ ...good, 'x-time': String(later.getTime() / 1000) }, PUSH), SECRET, later)).toEqual(unauthorized);
  expect(timed.verify(hook({ ...good, 'x-signature': 'a'.repeat(64) }, PUSH), SECRET, later)).toEqual(unauthorized);
  expect(timed.verify(hook({ 'x-signature': good['x-signature'] ?? '' }, PUSH), SECRET, NOW)).toEqual(unauthorized);
});

test('the id derives from the signed parts: an unsigned header does not change it, another signed time does', () => {
  const id = (headers: Record<string, string>) => timed.parse(hook(headers, PUSH)).deliveryId;
  const good = timedHeaders();
  expect(id(good)).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(id({ ...good, 'webhook-id': 'msg-2', 'x-request-id': 'r-2' })).toBe(id(good));
  expect(id(timedHeaders(secondsFromNow(1)))).not.toBe(id(good));
  const untimed = webhookProvider('generic', HookOptions.parse({ scheme: 'hmac', header: 'x-signature' }));
  expect(untimed.parse(hook({ 'webhook-id': 'msg-2' }, PUSH)).deliveryId).toBe(untimed.parse(hook({}, PUSH)).deliveryId);
});

test('a push is a change; bodies of GitHub and Gitea and minimal ones are accepted', () => {
  const change = { kind: 'change', event: 'push', ref: 'refs/heads/main', before: BEFORE, after: AFTER };
  const headers = { 'webhook-id': 'msg-1' };
  expect(generic.parse(hook(headers, PUSH))).toEqual({
    ...change,
    deliveryId: 'msg-1',
    repeats: 'always',
    repository: expect.objectContaining({ urls: ['https://git.example.com/fleet/terminals.git'] }),
    pusher: 'ana',
  });
  for (const name of ['github-push', 'gitea-push']) expect(generic.parse(hook(headers, fixture(name)))).toMatchObject(change);
  expect(generic.parse(hook(headers, '{"ref":"refs/tags/v1"}'))).toMatchObject({ event: 'tag', before: null, after: null });
  expect(generic.parse(hook(headers, JSON.stringify({ ref: 'refs/heads/main', pusher: 'x'.repeat(201) })))).toMatchObject({
    pusher: undefined,
  });
});

test('options are strict, header names ignore case', () => {
  expect(HookOptions.parse({ scheme: 'hmac', header: 'X-Sum' })).toEqual({
    scheme: 'hmac',
    header: 'x-sum',
    prefix: '',
    encoding: 'hex',
    algorithm: 'sha256',
  });
  for (const wrong of [
    {},
    { scheme: 'none' },
    { scheme: 'hmac' },
    { scheme: 'hmac', header: 'x sum' },
    { scheme: 'hmac', header: '' },
    { scheme: 'hmac', header: 'x'.repeat(101) },
    { scheme: 'hmac', header: 'x-sum', algorithm: 'md5' },
    { scheme: 'hmac', header: 'x-sum', timestamp: { header: 'x-time', toleranceSeconds: 1e9 } },
    { scheme: 'standard_webhooks', header: 'x' },
  ])
    expect(HookOptions.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
  expect(() => webhookProvider('generic', { scheme: 'header', header: 'x-t' })).toThrow(
    expect.objectContaining({ code: 'invalid_request' }),
  );
});
