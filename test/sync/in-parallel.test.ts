import { expect, test } from 'vitest';
import { inParallel } from '../../src/sync/export.ts';

/** Yields 0 to `count` - 1. */
async function* numbers(count: number): AsyncGenerator<number> {
  for (let number = 0; number < count; number += 1) yield number;
}

const AT_ONCE = 4;

test('inParallel() works on four items at once, and records each of them once', async () => {
  const recorded: number[][] = [];
  let [running, most] = [0, 0];
  await inParallel(
    numbers(205),
    async (number) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return number;
    },
    async (done) => {
      recorded.push(done);
    },
  );
  expect(most).toBe(AT_ONCE);
  expect(recorded.flat().sort((one, other) => one - other)).toEqual(Array.from({ length: 205 }, (_, index) => index));
  expect(recorded.length).toBeGreaterThan(2);
});

test('inParallel() goes on with the work while a batch is recorded', async () => {
  const begun: number[] = [];
  const whileRecording: number[] = [];
  await inParallel(
    numbers(60),
    async (number) => {
      begun.push(number);
      await new Promise((resolve) => setImmediate(resolve));
      return number;
    },
    async () => {
      const before = begun.length;
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      whileRecording.push(begun.length - before);
    },
  );
  expect(begun).toHaveLength(60);
  expect(whileRecording.some((count) => count > 0)).toBe(true);
});

test('inParallel() begins no more work after a failure, ends what is under way, records it, and throws the failure', async () => {
  const recorded: number[] = [];
  const begun: number[] = [];
  let endOthers: () => void = () => {};
  const others = new Promise<void>((resolve) => {
    endOthers = resolve;
  });
  const working = inParallel(
    numbers(100),
    async (number) => {
      begun.push(number);
      if (number === AT_ONCE - 1) throw new Error('the platform is down');
      await others;
      return number;
    },
    async (done) => {
      recorded.push(...done);
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  endOthers();
  await expect(working).rejects.toThrow('the platform is down');
  expect(begun).toEqual([0, 1, 2, 3]);
  expect(recorded).toEqual([0, 1, 2]);
});

test('inParallel() throws a failure of recording, and begins no more work', async () => {
  const begun: number[] = [];
  const working = inParallel(
    numbers(1_000),
    async (number) => {
      begun.push(number);
      return number;
    },
    async () => {
      throw new Error('another process has taken the sync over');
    },
  );
  await expect(working).rejects.toThrow('another process has taken the sync over');
  expect(begun.length).toBeLessThan(100);
});
