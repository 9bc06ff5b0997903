import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { devicePayloads } from '../../src/event/transact.ts';
import { backoffSeconds, followsRef, pollSeconds } from '../../src/source/source.ts';

const random = fc.double({ min: 0, max: 0.999999, noNaN: true });

test('backoff doubles from 2.5 to 5 s up to half an hour, with jitter', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), random, (failures, draw) => {
      const whole = Math.min(1800, 5 * 2 ** Math.min(failures - 1, 20));
      expect(backoffSeconds(failures, draw)).toBeGreaterThanOrEqual(whole / 2);
      expect(backoffSeconds(failures, draw)).toBeLessThanOrEqual(whole);
    }),
  );
  expect(backoffSeconds(3, 0.1)).not.toBe(backoffSeconds(3, 0.9));
});

test('a poll follows after its interval ± 10 %', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 5, max: 86_400 }),
      random,
      (interval, draw) => Math.abs(pollSeconds(interval, draw) - interval) <= interval * 0.1 + 1e-9,
    ),
  );
});

test('a push concerns a source that follows its branch or tag, under its short or full name', () => {
  expect(followsRef('main', 'refs/heads/main')).toBe(true);
  expect(followsRef('v1', 'refs/tags/v1')).toBe(true);
  expect(followsRef('refs/heads/main', 'refs/heads/main')).toBe(true);
  expect(followsRef('main', 'refs/heads/maintenance')).toBe(false);
  expect(followsRef('main', 'refs/heads/feature/main')).toBe(false);
});

test('wake-ups of any number of devices fit into notifications, without loss or repetition', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,63}$/), { maxLength: 600 }), (ids) => {
      const payloads = devicePayloads('0190-org', ids);
      expect(payloads.flatMap((payload) => payload.split(' ').slice(1))).toEqual(ids);
      for (const payload of payloads) expect(payload.length).toBeLessThan(8000);
    }),
  );
});

test('all faults of the environment are reported at once, with the variable’s name', () => {
  const wrong = () => readConfig({ PORT: '99999', ROLE: 'boss', BELLWETHER_SECRET_KEY: 'short', DATABASE_URL: 'mysql://x' });
  expect(wrong).toThrow(/PORT[\s\S]*ROLE|ROLE[\s\S]*PORT/);
  expect(wrong).toThrow(/BELLWETHER_SECRET_KEY: must be 32 bytes in base64/);
  expect(wrong).toThrow(/DATABASE_URL/);
  expect(readConfig({}).PORT).toBe(8080);
});
