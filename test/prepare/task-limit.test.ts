import { once } from 'node:events';
import { expect, test } from 'vitest';
import { startTaskLimit } from '../../src/prepare/task-limit.ts';

const shared = (value: number) => new Int32Array(new SharedArrayBuffer(4)).fill(value);

test('a task ends at its limit', async () => {
  const limit = startTaskLimit(20, shared(0));
  await once(limit.signal, 'abort');
  expect([limit.isOver(), limit.limitMs()]).toEqual([true, 20]);
});

test('a task that went on with a low priority before its limit has eight times as long', async () => {
  const isSlow = shared(0);
  const started = performance.now();
  const limit = startTaskLimit(20, isSlow);
  Atomics.store(isSlow, 0, 1);
  await once(limit.signal, 'abort');
  // Timers may be early by a millisecond.
  expect(performance.now() - started).toBeGreaterThan(150);
  expect([limit.isOver(), limit.limitMs()]).toEqual([true, 160]);
});

test('a task that ended in time has no limit any more', async () => {
  const limit = startTaskLimit(1, shared(0));
  limit.clear();
  const later = startTaskLimit(20, shared(0));
  await once(later.signal, 'abort');
  expect(limit.isOver()).toBe(false);
});
