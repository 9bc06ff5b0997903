import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batched } from '../../src/db/batched.ts';

test('each question gets its own answer, and no batch is larger than allowed', async () => {
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

test('a batch that fails fails its own questions alone', async () => {
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
