import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';

const SECRET = 'hook-secret';
const rawBody = Buffer.from(JSON.stringify({ event: { devices: [{ id: 'a' }, { id: 7 }, { id: 'a' }, { id: null }] } }));
const unreachable = () => expect.unreachable('a hook sends no request');

function hookOf(hook: { [key: string]: Json }) {
  const settings = { baseUrl: 'https://p.example', auth: { kind: 'none' }, hook };
  return BUILT_IN.of('rest').open({ settings, credentials: {}, connect: () => ({ send: unreachable }) }).hook!;
}

const verifies = (hook: { [key: string]: Json }, headers: Record<string, string>, body: Buffer = rawBody, secret = SECRET) =>
  hookOf(hook).verify({ headers: new Headers(headers), rawBody: body }, secret);

test('a secret in a header proves a hook, with or without a prefix', () => {
  const plain = { proof: { kind: 'secret' } };
  expect(verifies(plain, { 'x-hook-secret': SECRET })).toBe(true);
  expect(verifies(plain, { 'x-hook-secret': 'other' })).toBe(false);
  expect(verifies(plain, {})).toBe(false);
  expect(verifies(plain, { 'x-hook-secret': '' }, rawBody, '')).toBe(false);
  const prefixed = { proof: { kind: 'secret', header: 'Authorization', prefix: 'Token ' } };
  expect(verifies(prefixed, { authorization: `Token ${SECRET}` })).toBe(true);
  expect(verifies(prefixed, { authorization: SECRET })).toBe(false);
});

test.each(
  (['sha1', 'sha256', 'sha512'] as const).flatMap((algorithm) =>
    (['hex', 'base64'] as const).flatMap((encoding) => ['', 'v1='].map((prefix) => ({ algorithm, encoding, prefix }))),
  ),
)('a signature by $algorithm in $encoding with prefix "$prefix" proves the bytes that it signs', ({ algorithm, encoding, prefix }) => {
  const hook = { proof: { kind: 'hmac', header: 'X-Sig', algorithm, encoding, prefix } };
  const signature = createHmac(algorithm, SECRET).update(rawBody).digest(encoding);
  expect(verifies(hook, { 'x-sig': prefix + signature })).toBe(true);
  expect(verifies(hook, { 'x-sig': prefix + signature }, Buffer.concat([rawBody, Buffer.from(' ')]))).toBe(false);
  expect(verifies(hook, { 'x-sig': prefix + signature }, rawBody, 'other')).toBe(false);
  expect(verifies(hook, { 'x-sig': `x${prefix}${signature}` })).toBe(false);
  expect(verifies(hook, { 'x-sig': `${prefix}${signature}00` })).toBe(false);
});

test('a signed time proves that the hook is new', () => {
  const timestamp = { header: 'X-Time', before: 'v0:', after: ':', toleranceSeconds: 60 };
  const hook = { proof: { kind: 'hmac', header: 'X-Sig', timestamp } };
  const at = (seconds: number, signed = seconds) => ({
    'x-time': String(seconds),
    'x-sig': createHmac('sha256', SECRET).update(`v0:${signed}:`).update(rawBody).digest('hex').toUpperCase(),
  });
  const now = Math.floor(Date.now() / 1000);
  expect(verifies(hook, at(now))).toBe(true);
  expect(verifies(hook, at(now - 3_600))).toBe(false);
  expect(verifies(hook, at(now, now - 3_600))).toBe(false);
  expect(verifies(hook, { ...at(now), 'x-time': 'soon' })).toBe(false);
});

test('a hook names its devices and its delivery', () => {
  const reader = hookOf({ proof: { kind: 'secret' }, deliveryHeader: 'X-Delivery', devices: '$.event.devices[*].id' });
  expect(reader.parse({ headers: new Headers({ 'x-delivery': 'd1' }), rawBody })).toEqual({
    deliveryId: 'd1',
    devices: [
      { externalId: 'a', seenAt: null },
      { externalId: '7', seenAt: null },
    ],
  });
  for (const empty of ['', ' ']) expect(reader.parse({ headers: new Headers({ 'x-delivery': empty }), rawBody }).deliveryId).toBeNull();
  for (const body of ['no json', '['.repeat(100)])
    expect(() => reader.parse({ headers: new Headers(), rawBody: Buffer.from(body) })).toThrow(
      expect.objectContaining({ code: 'hook_malformed' }),
    );
});

test('a number that lost digits names no device', () => {
  const reader = hookOf({ proof: { kind: 'secret' }, devices: '$[*]' });
  const ids = (body: string) => reader.parse({ headers: new Headers(), rawBody: Buffer.from(body) }).devices.map((one) => one.externalId);
  expect(ids('[9007199254740993, "9007199254740993", 7]')).toEqual(['9007199254740993', '7']);
  expect(ids('[9007199254740993]')).toEqual([]);
});
