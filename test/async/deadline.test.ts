import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { startDeadline, within } from '../../src/async/deadline.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a deadline', () => {
  test('fires its signal with a TimeoutError when the time is over', () => {
    const deadline = startDeadline(100);
    vi.advanceTimersByTime(99);
    expect([deadline.signal.aborted, deadline.isOver()]).toEqual([false, false]);
    vi.advanceTimersByTime(1);
    expect([deadline.signal.aborted, deadline.isOver()]).toEqual([true, true]);
    expect(deadline.signal.reason).toMatchObject({ name: 'TimeoutError', message: 'not done within 100 ms' });
  });

  test('uses the given reason', () => {
    const late = new Error('late');
    const { signal } = startDeadline(100, undefined, late);
    vi.advanceTimersByTime(100);
    expect(signal.reason).toBe(late);
  });

  test("fires with its caller's signal, and does not count as over then", () => {
    const caller = new AbortController();
    const deadline = startDeadline(100, caller.signal);
    caller.abort('stopped');
    expect([deadline.signal.reason, deadline.isOver()]).toEqual(['stopped', false]);
  });

  test('never fires and leaves no timer once it is cleared', () => {
    const deadline = startDeadline(100);
    deadline.clear();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(deadline.signal.aborted).toBe(false);
  });
});

describe('within()', () => {
  const never = new Promise<string>(() => undefined);

  test('returns the result of the work, or throws its error', async () => {
    await expect(within(100, Promise.resolve('done'))).resolves.toBe('done');
    await expect(within(100, Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('returns undefined when the time is over', async () => {
    const outcome = within(100, never);
    await vi.advanceTimersByTimeAsync(101);
    await expect(outcome).resolves.toBeUndefined();
  });

  test('returns undefined after the signal, also if it fired before the call', async () => {
    const stop = new AbortController();
    const outcome = within(100, never, stop.signal);
    stop.abort();
    const again = within(100, never, stop.signal);
    await vi.advanceTimersByTimeAsync(1);
    await expect(Promise.all([outcome, again])).resolves.toEqual([undefined, undefined]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('ignores work that fails after the time', async () => {
    const { promise, reject } = Promise.withResolvers<string>();
    const outcome = within(100, promise);
    await vi.advanceTimersByTimeAsync(101);
    await outcome;
    reject(new Error('too late'));
    await vi.advanceTimersByTimeAsync(1);
  });
});

test('an answer that arrived while the process was busy counts although the time is over', async () => {
  vi.useRealTimers();
  const answer = new Promise<string>((resolve) => setTimeout(resolve, 2, 'there'));
  const outcome = within(1, answer);
  // Both timers are due when the event loop checks them next.
  const until = performance.now() + 10;
  while (performance.now() < until);
  await expect(outcome).resolves.toBe('there');
});
