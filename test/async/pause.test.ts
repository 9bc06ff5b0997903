import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pause } from '../../src/async/pause.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a pause lasts for the given time', async () => {
  const over = vi.fn();
  void pause(100).then(over);
  await vi.advanceTimersByTimeAsync(99);
  expect(over).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(over).toHaveBeenCalledOnce();
});

test('the signal ends a pause at once, without an error, and leaves no timer', async () => {
  const stop = new AbortController();
  const running = pause(100_000, stop.signal);
  stop.abort();
  await expect(running).resolves.toBeUndefined();
  await expect(pause(100_000, stop.signal)).resolves.toBeUndefined();
  expect(vi.getTimerCount()).toBe(0);
});
