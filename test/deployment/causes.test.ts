import fc from 'fast-check';
import { expect, test } from 'vitest';
import { causeOf, normalDetail } from '../../src/deployment/causes.ts';

test.each([
  [
    'hook "check-config" ended with 1: till-0042 cannot reach 10.0.3.17:8443',
    'hook "check-config" ended with <n>: till-<n> cannot reach <address>',
  ],
  ['no answer from [fe80::1ff:fe23:4567:890a]:80 in 5.003 s', 'no answer from <address> in <n> s'],
  ['2026-12-01T10:00:00.123Z lease 0f8fad5b-d9cb-469f-a165-70867728950e expired', '<time> lease <id> expired'],
  ['at 10:31:07 the pump 00:1b:44:11:3a:b7 was silent', 'at <time> the pump <address> was silent'],
  ['object a1b2c3d4e5 at 0x7ffee3 is missing', 'object <id> at <id> is missing'],
  ['disk full:\n\t3 of 128,5 MB left', 'disk full: <n> of <n> MB left'],
  ['the facade is deadbeef', 'the facade is deadbeef'],
])('%j is %j', (detail, normal) => {
  expect(normalDetail({ detail })).toBe(normal);
});

test('the name of the device is no part of the cause, and a word that contains it stays', () => {
  expect(normalDetail({ detail: 'berlin: the berliner gate of Berlin is shut', deviceId: 'berlin' })).toBe(
    '<device>: the berliner gate of <device> is shut',
  );
  expect(normalDetail({ detail: 'a.b is no host', deviceId: 'a.b' })).toBe('<device> is no host');
});

const words = fc.stringMatching(/^[a-z" :,-]{0,30}$/);
const varying = fc.oneof(
  fc.nat().map(String),
  fc.uuid(),
  fc.ipV4(),
  fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }).map((date) => date.toISOString()),
);

test('a normal detail stays the same, has no digit and is short', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 600 }),
        fc.array(fc.oneof(words, varying)).map((parts) => parts.join(' ')),
      ),
      (detail) => {
        const normal = normalDetail({ detail });
        expect(normalDetail({ detail: normal })).toBe(normal);
        expect(normal).not.toMatch(/\p{Nd}|\p{Cc}/u);
        expect(normal.length).toBeLessThanOrEqual(400);
        expect(normal.isWellFormed()).toBe(true);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('failures that differ only in numbers, ids, addresses and times have one cause, and another code is another cause', () => {
  const values = (kind: fc.Arbitrary<string>) => fc.tuple(kind, kind);
  const kinds = [fc.nat().map(String), fc.uuid(), fc.ipV4(), fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString())];
  fc.assert(
    fc.property(words, fc.oneof(...kinds.map(values)), words, (before, [a, b], after) => {
      const failure = (value: string) => ({ code: 'health_check_failed', detail: `${before} ${value} ${after}` });
      expect(causeOf(failure(a))).toBe(causeOf(failure(b)));
      expect(causeOf({ ...failure(a), code: 'hook_failed' })).not.toBe(causeOf(failure(a)));
    }),
    { numRuns: 1_000 },
  );
});

test('text made to be slow is read in linear time', () => {
  for (const unit of ['1:', 'a-', 'ff:', '1.', '0x', ':::', 'a1', '1,1.'])
    expect(normalDetail({ detail: unit.repeat(50_000) }).length).toBeLessThanOrEqual(400);
});
