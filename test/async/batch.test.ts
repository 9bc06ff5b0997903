import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { batched } from '../../src/async/batch.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('each call gets its own answer, and no batch exceeds the size', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), async (keys, size) => {
      const sizes: number[] = [];
      const square = batched(size, async (batch: readonly number[]) => {
        sizes.push(batch.length);
        await new Promise((done) => setImmediate(done));
        return batch.map((key) => key * key);
      });
      expect(await Promise.all(keys.map((key) => square(key)))).toEqual(keys.map((key) => key * key));
      expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(size);
    }),
    { numRuns: 50 },
  );
});

test('a failed batch rejects only its own calls', async () => {
  const ask = batched(2, async (keys: readonly string[]) => {
    if (keys.includes('bad')) throw new Error('no answer');
    return keys.map((key) => key.toUpperCase());
  });
  const asked = await Promise.allSettled([ask('a'), ask('b'), ask('bad'), ask('c'), ask('d')]);
  expect(asked.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.message))).toEqual([
    'A',
    'B',
    'no answer',
    'no answer',
    'D',
  ]);
  expect(await ask('e')).toBe('E');
});

test('single calls share a query when the first one waits for others', async () => {
  vi.useFakeTimers();
  const batches: (readonly number[])[] = [];
  const ask = batched(
    3,
    async (keys: readonly number[]) => {
      batches.push(keys);
      return keys;
    },
    50,
  );
  const asked = [ask(1)];
  await vi.advanceTimersByTimeAsync(30);
  asked.push(ask(2));
  await vi.advanceTimersByTimeAsync(19);
  expect(batches).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(await Promise.all(asked)).toEqual([1, 2]);
  const later = [3, 4, 5, 6].map((key) => ask(key));
  await vi.advanceTimersByTimeAsync(50);
  expect(await Promise.all(later)).toEqual([3, 4, 5, 6]);
  expect(batches).toEqual([[1, 2], [3, 4, 5], [6]]);
});
