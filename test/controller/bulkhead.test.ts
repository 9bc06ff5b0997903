import { afterEach, expect, test, vi } from 'vitest';
import { createBulkhead } from '../../controller/reconcile/bulkhead.ts';

afterEach(() => void vi.useRealTimers());

type Look = (signal: AbortSignal | undefined) => Promise<void>;

const source = (id: string, organizationId = 'a') => ({ organizationId, id });
const quick: Look = async () => undefined;

/** Waits until it is let go, or given up by its signal. */
function hanging(): { look: Look; asked(): number; release(): void } {
  const waiting = new Set<() => void>();
  let asked = 0;
  const look: Look = (signal) =>
    new Promise((resolve, reject) => {
      asked += 1;
      waiting.add(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason));
    });
  const release = () => {
    for (const resolve of waiting) resolve();
  };
  return { look, asked: () => asked, release };
}

test('a look that takes too long is begun again in one of the slow places, and put off while none is free', async () => {
  const lanes = createBulkhead({ workers: 8, slowAtOnce: 1, fastMs: 10 });
  const first = hanging();
  const second = hanging();
  const waits = lanes.run(source('a'), false, first.look);
  await expect.poll(first.asked).toBe(2);
  expect(await lanes.run(source('b'), false, second.look)).toBe(false);
  expect(second.asked()).toBe(1);
  // Known as slow: it is not tried again before there is a place.
  expect(await lanes.run(source('b'), false, second.look)).toBe(false);
  expect(second.asked()).toBe(1);
  expect(await lanes.run(source('c'), true, quick)).toBe(false);
  expect(await lanes.run(source('d'), false, quick)).toBe(true);
  first.release();
  expect(await waits).toBe(true);
  expect(await lanes.run(source('b'), false, quick)).toBe(true);
  expect(await lanes.run(source('c'), true, quick)).toBe(true);
});

test('a source that was slow and is quick again gets little time again', async () => {
  vi.useFakeTimers();
  const lanes = createBulkhead({ workers: 8, slowAtOnce: 1, fastMs: 10 });
  const { look, release, asked } = hanging();
  const waits = lanes.run(source('a'), false, look);
  await vi.advanceTimersByTimeAsync(10);
  expect(asked()).toBe(2);
  await vi.advanceTimersByTimeAsync(10);
  release();
  await waits;
  const signals: (AbortSignal | undefined)[] = [];
  const noting: Look = async (signal) => void signals.push(signal);
  for (let n = 0; n < 2; n++) await lanes.run(source('a'), false, noting);
  expect(signals[0]).toBeUndefined();
  expect(signals[1]).toBeDefined();
});

test('what a look throws of itself is thrown, and its place is free again', async () => {
  const lanes = createBulkhead({ workers: 8, slowAtOnce: 1, fastMs: 1_000 });
  const broken = async () => {
    throw new Error('broken');
  };
  await expect(lanes.run(source('a'), false, broken)).rejects.toThrow('broken');
  await expect(lanes.run(source('a'), true, broken)).rejects.toThrow('broken');
  expect(await lanes.run(source('a'), true, quick)).toBe(true);
});

test('an organization takes no more than its share of the slow places and of the workers', async () => {
  const lanes = createBulkhead({ workers: 8, slowAtOnce: 4, fastMs: 10 });
  const hung = hanging();
  const held = ['a1', 'a2'].map((id) => lanes.run(source(id, 'a'), true, hung.look));
  expect(await lanes.run(source('a3', 'a'), true, quick)).toBe(false);
  expect(await lanes.run(source('b1', 'b'), true, quick)).toBe(true);
  const busy = hanging();
  const working = ['a4', 'a5'].map((id) => lanes.run(source(id, 'a'), false, () => busy.look(undefined)));
  expect(await lanes.run(source('a6', 'a'), false, quick)).toBe(false);
  expect(await lanes.run(source('b2', 'b'), false, quick)).toBe(true);
  busy.release();
  hung.release();
  expect(await Promise.all([...held, ...working])).toEqual([true, true, true, true]);
  expect(await lanes.run(source('a3', 'a'), true, quick)).toBe(true);
});
