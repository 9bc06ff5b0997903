import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDebounce } from '../../src/async/debounce.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('the last work of a burst runs after a quiet period, separately for each key', async () => {
  const debounce = createDebounce(100);
  const ran: string[] = [];
  const work = (name: string) => async () => void ran.push(name);
  debounce.run('a', work('a1'));
  vi.advanceTimersByTime(60);
  debounce.run('a', work('a2'));
  debounce.run('b', work('b1'));
  vi.advanceTimersByTime(99);
  expect(ran).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ran).toEqual(['a2', 'b1']);
  await debounce.close();
});

test('close() drops work that has not begun, and waits for running work', async () => {
  const debounce = createDebounce(100);
  const gate = Promise.withResolvers<void>();
  const [dropped, ended] = [vi.fn(), vi.fn()];
  debounce.run('a', () => gate.promise);
  vi.advanceTimersByTime(100);
  debounce.run('b', async () => dropped());
  const closing = debounce.close().then(ended);
  await vi.advanceTimersByTimeAsync(1_000);
  expect([dropped.mock.calls.length, ended.mock.calls.length]).toEqual([0, 0]);
  gate.resolve();
  await closing;
  expect(vi.getTimerCount()).toBe(0);
});
