import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { createRepeatedBodies } from '../../src/hook/repeated-bodies.ts';
import { networkOf } from '../../src/http/address.ts';
import { createRateLimit } from '../../src/http/rate-limit.ts';
import { storableJson, storableText } from '../../src/wire/text/text.ts';

test('the keys of a limit are bounded in number, size and age', () => {
  let nowMs = 0;
  const limit = createRateLimit('requests', { perSecond: 10, burst: 40 }, () => nowMs);
  for (let n = 0; n < 21_000; n += 1) limit.take(`${n} ${'x'.repeat(1_000)}`);
  expect(limit.size()).toBe(20_000);
  nowMs += 4_000;
  limit.take('another');
  expect(limit.size()).toBe(1);
});

test('long keys that differ at their end have buckets of their own', () => {
  const limit = createRateLimit('requests', { perSecond: 1, burst: 1 }, () => 0);
  limit.take(`${'x'.repeat(1_000)}1`);
  expect(limit.isExhausted(`${'x'.repeat(1_000)}1`)).toBe(true);
  expect(limit.isExhausted(`${'x'.repeat(1_000)}2`)).toBe(false);
});

test('no rate is so low that it refuses everything', () => {
  const limit = createRateLimit('requests', { perSecond: 0.1, burst: 0.4 }, () => 0);
  expect(() => limit.take('a')).not.toThrow();
});

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:aaaa::1', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
  ['unknown', 'unknown'],
])('the sender at %s counts as %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test.each([
  ['RATE_LIMIT_TOKEN', '0.0001'],
  ['RATE_LIMIT_DEVICE', '0'],
  ['RATE_LIMIT_HOOK', '-1'],
  ['RATE_LIMIT_REFUSED', 'Infinity'],
  ['BELLWETHER_ADMIN_TOKEN', 'a token that has spaces in it'],
  ['BELLWETHER_ADMIN_TOKEN', 'x'.repeat(201)],
  ['BELLWETHER_ROOT_TOKEN', 'too-short'],
])('%s=%s would lock everybody out: it is refused by name', (name, value) => {
  expect(() => readConfig({ [name]: value })).toThrow(name);
});

test('a body that was taken is a repetition for ten seconds, and for five where it names no commit', () => {
  let nowMs = 0;
  const bodies = createRepeatedBodies(() => nowMs);
  const body = { body: Buffer.from('{"ref":"refs/heads/main"}'), meaning: 'push' };
  expect(bodies.note('a', body, true)).toEqual({ kind: 'first' });
  nowMs = 4_000;
  expect(bodies.note('a', body, true)).toEqual({ kind: 'again', dueInSeconds: 6, isNew: true });
  expect(bodies.note('a', body, true)).toEqual({ kind: 'again', dueInSeconds: 6, isNew: false });
  expect(bodies.note('b', body, false)).toEqual({ kind: 'first' });
  nowMs = 9_000;
  expect(bodies.note('b', body, false)).toEqual({ kind: 'first' });
  nowMs = 10_000;
  expect(bodies.note('a', body, true)).toEqual({ kind: 'first' });
  bodies.forget('a', body);
  expect(bodies.note('a', body, true)).toEqual({ kind: 'first' });
});

test('texts that PostgreSQL cannot store become U+FFFD where they stand, all others stay', () => {
  expect(storableText('a\0b\ud800c😀')).toBe('a\uFFFDb\uFFFDc😀');
  const kept = { text: 'plain \\u0000 \\\\ud800 😀 "quoted" \n', nested: [{ '\\ud83d': null }] };
  expect(JSON.parse(storableJson(JSON.stringify(kept)))).toEqual(kept);
  expect(storableJson(String.raw`{"a\u0000":"\ud83d\ude00 \ud83d \uDE00 \\u0000 \\\u0000"}`)).toBe(
    String.raw`{"a\ufffd":"\ud83d\ude00 \ufffd \ufffd \\u0000 \\\ufffd"}`,
  );
});
