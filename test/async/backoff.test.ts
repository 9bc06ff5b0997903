import { expect, test } from 'vitest';
import { around, atLeast, backoff, doubled, jittered, linearBackoff } from '../../src/async/backoff.ts';

test('each failure doubles the pause, up to the cap, however many there are', () => {
  const limits = { base: 5, cap: 60 };
  expect([1, 2, 3, 4, 5, 6, 5_000].map((failures) => doubled(limits, failures))).toEqual([5, 10, 20, 40, 60, 60, 60]);
  expect(doubled({ base: 400 }, 3)).toBe(1_600);
});

test('a back-off is random between half of the pause and all of it', () => {
  const limits = { base: 100, cap: 1_000 };
  expect(backoff(limits, 2, 0)).toBe(100);
  expect(backoff(limits, 2, 1)).toBe(200);
  expect(backoff(limits, 50, 1)).toBe(1_000);
  expect(jittered(80, 0.5)).toBe(60);
});

test('a linear back-off grows by its base, times 0.5 to 1.5', () => {
  expect([1, 2, 3].map((failures) => linearBackoff(10, failures, 0.5))).toEqual([10, 20, 30]);
  expect([linearBackoff(10, 1, 0), linearBackoff(10, 1, 1)]).toEqual([5, 15]);
});

test('a period spreads by 10 % in both directions, a requested pause only upwards', () => {
  expect([around(100, 0), around(100, 0.5), around(100, 1)].map(Math.round)).toEqual([90, 100, 110]);
  expect([atLeast(100, 0), atLeast(100, 1)].map(Math.round)).toEqual([100, 110]);
});

test('without a given random, pauses differ and stay within bounds', () => {
  const pauses = Array.from({ length: 200 }, () => backoff({ base: 8, cap: 8 }, 1));
  expect(new Set(pauses).size).toBeGreaterThan(100);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(4);
  expect(Math.max(...pauses)).toBeLessThan(8);
});
