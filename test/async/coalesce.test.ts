import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createCoalescer } from '../../src/async/coalesce.ts';

const INTERVAL_MS = 100;
type Sent = { key: string; value: number; atMs: number };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('each key sends at most one value per interval, in order, and its last value within an interval', () => {
  const offers = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), waitMs: fc.integer({ min: 0, max: 150 }) }), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(offers, (steps) => {
      const sent: Sent[] = [];
      const coalescer = createCoalescer<Omit<Sent, 'atMs'>>(INTERVAL_MS, (value) => sent.push({ ...value, atMs: performance.now() }));
      const last = new Map<string, { value: number; atMs: number }>();
      steps.forEach(({ key, waitMs }, value) => {
        vi.advanceTimersByTime(waitMs);
        last.set(key, { value, atMs: performance.now() });
        coalescer.offer(key, { key, value });
      });
      vi.advanceTimersByTime(3 * INTERVAL_MS);
      for (const [key, offered] of last) {
        const own = sent.filter((one) => one.key === key);
        expect(own.at(-1)?.value).toBe(offered.value);
        expect(own.at(-1)!.atMs - offered.atMs).toBeLessThanOrEqual(INTERVAL_MS + 2);
        own.forEach((one, i) => {
          if (i === 0) return;
          expect(one.value).toBeGreaterThan(own[i - 1]!.value);
          expect(one.atMs - own[i - 1]!.atMs).toBeGreaterThanOrEqual(INTERVAL_MS);
        });
      }
      expect(vi.getTimerCount()).toBe(0);
      coalescer.close();
    }),
  );
});

test('flush() sends waiting values at once', () => {
  const sent: number[] = [];
  const coalescer = createCoalescer<number>(INTERVAL_MS, (value) => sent.push(value));
  for (const value of [1, 2, 3]) coalescer.offer('a', value);
  expect(coalescer.isWaiting('a')).toBe(true);
  coalescer.flush();
  expect(sent).toEqual([1, 3]);
  expect(coalescer.isWaiting('a')).toBe(false);
  coalescer.close();
});
