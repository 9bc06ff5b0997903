import { afterEach, expect, test, vi } from 'vitest';
import { createBulkhead } from '../../controller/reconcile/bulkhead.ts';

afterEach(() => void vi.useRealTimers());

type Check = (signal: AbortSignal | undefined) => Promise<void>;

const source = (id: string, organizationId = 'a') => ({ organizationId, id });
const quick: Check = async () => undefined;

/** Checks that wait until `release`, or until their signal aborts them. */
function hanging(): { check: Check; asked(): number; release(): void } {
  const waiting = new Set<() => void>();
  let asked = 0;
  const check: Check = (signal) =>
    new Promise((resolve, reject) => {
      asked += 1;
      waiting.add(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason));
    });
  const release = () => {
    for (const resolve of waiting) resolve();
  };
  return { check, asked: () => asked, release };
}

test('a check that exceeds the fast limit runs again in a slow place, and is postponed while none is free', async () => {
  const bulkhead = createBulkhead({ workers: 8, slowAtOnce: 1, fastMs: 10 });
  const first = hanging();
  const second = hanging();
  const waits = bulkhead.run(source('a'), false, first.check);
  await expect.poll(first.asked).toBe(2);
  expect(await bulkhead.run(source('b'), false, second.check)).toBe(false);
  expect(second.asked()).toBe(1);
  // The source is known as slow: its check does not start without a slow place.
  expect(await bulkhead.run(source('b'), false, second.check)).toBe(false);
  expect(second.asked()).toBe(1);
  expect(await bulkhead.run(source('c'), true, quick)).toBe(false);
  expect(await bulkhead.run(source('d'), false, quick)).toBe(true);
  first.release();
  expect(await waits).toBe(true);
  expect(await bulkhead.run(source('b'), false, quick)).toBe(true);
  expect(await bulkhead.run(source('c'), true, quick)).toBe(true);
});

test('a slow source that is fast again gets the fast limit again', async () => {
  vi.useFakeTimers();
  const bulkhead = createBulkhead({ workers: 8, slowAtOnce: 1, fastMs: 10 });
  const { check, release, asked } = hanging();
  const waits = bulkhead.run(source('a'), false, check);
  await vi.advanceTimersByTimeAsync(10);
  expect(asked()).toBe(2);
  await vi.advanceTimersByTimeAsync(10);
  release();
  await waits;
  const signals: (AbortSignal | undefined)[] = [];
  const noting: Check = async (signal) => void signals.push(signal);
  for (let n = 0; n < 2; n++) await bulkhead.run(source('a'), false, noting);
  expect(signals[0]).toBeUndefined();
  expect(signals[1]).toBeDefined();
});

test('an error of a check is thrown, and its place is free again', async () => {
  const bulkhead = createBulkhead({ workers: 8, slowAtOnce: 1, fastMs: 1_000 });
  const broken = async () => {
    throw new Error('broken');
  };
  await expect(bulkhead.run(source('a'), false, broken)).rejects.toThrow('broken');
  await expect(bulkhead.run(source('a'), true, broken)).rejects.toThrow('broken');
  expect(await bulkhead.run(source('a'), true, quick)).toBe(true);
});

test('an organization takes at most its share of the slow places and of the workers', async () => {
  const bulkhead = createBulkhead({ workers: 8, slowAtOnce: 4, fastMs: 10 });
  const hung = hanging();
  const held = ['a1', 'a2'].map((id) => bulkhead.run(source(id, 'a'), true, hung.check));
  expect(await bulkhead.run(source('a3', 'a'), true, quick)).toBe(false);
  expect(await bulkhead.run(source('b1', 'b'), true, quick)).toBe(true);
  const busy = hanging();
  const working = ['a4', 'a5'].map((id) => bulkhead.run(source(id, 'a'), false, () => busy.check(undefined)));
  expect(await bulkhead.run(source('a6', 'a'), false, quick)).toBe(false);
  expect(await bulkhead.run(source('b2', 'b'), false, quick)).toBe(true);
  busy.release();
  hung.release();
  expect(await Promise.all([...held, ...working])).toEqual([true, true, true, true]);
  expect(await bulkhead.run(source('a3', 'a'), true, quick)).toBe(true);
});
