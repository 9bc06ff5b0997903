import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { spaced } from '../../src/source/spaced.ts';

const REST_MS = 150;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('who calls once is acted on at once; a storm is acted on at its beginning and after its end', () => {
  const acts: string[] = [];
  const call = spaced(REST_MS, (key) => acts.push(key));
  call('a');
  call('b');
  expect(acts).toEqual(['a', 'b']);
  for (let n = 0; n < 5; n++) call('a');
  vi.advanceTimersByTime(REST_MS - 1);
  expect(acts).toEqual(['a', 'b']);
  vi.advanceTimersByTime(1);
  expect(acts).toEqual(['a', 'b', 'a']);
  // Nothing is left to be acted on, nor remembered.
  vi.advanceTimersByTime(10 * REST_MS);
  expect(acts).toEqual(['a', 'b', 'a']);
  expect(vi.getTimerCount()).toBe(0);
});

test('whatever the order and times of calls, each is followed by an act within the rest, and acts on a key are that far apart', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), waitMs: fc.nat(200) }), { maxLength: 40 }), (calls) => {
      const acts: { key: string; atMs: number }[] = [];
      const call = spaced(REST_MS, (key) => acts.push({ key, atMs: Date.now() }));
      const called: { key: string; atMs: number }[] = [];
      for (const { key, waitMs } of calls) {
        vi.advanceTimersByTime(waitMs);
        called.push({ key, atMs: Date.now() });
        call(key);
      }
      vi.advanceTimersByTime(REST_MS);
      for (const { key, atMs } of called)
        expect(acts.some((act) => act.key === key && act.atMs >= atMs && act.atMs <= atMs + REST_MS)).toBe(true);
      for (const [, times] of Map.groupBy(acts, ({ key }) => key))
        for (const [n, { atMs }] of times.entries()) expect(atMs - (times[n - 1]?.atMs ?? -Infinity)).toBeGreaterThanOrEqual(REST_MS);
      vi.advanceTimersByTime(REST_MS);
    }),
  );
});
