import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Polls, startPolls } from '../../src/db/polls.ts';

let woken: string[] = [];
let polls: Polls;

beforeEach(() => {
  vi.useFakeTimers();
  woken = [];
  polls = startPolls((worker) => woken.push(worker));
});

afterEach(() => {
  void polls.close();
  vi.useRealTimers();
});

const names = Array.from({ length: 12 }, (_, n) => `w${n}`);

test('of many workers with nothing to do one looks, every two seconds', async () => {
  for (const name of names) polls.idle(name);
  await vi.advanceTimersByTimeAsync(10_000);
  woken = [];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(woken).toHaveLength(30);
  // In turn: one whose question gets no answer does not keep the others from asking.
  expect(new Set(woken).size).toBe(names.length);
});

test('a busy worker is not asked to look: another one is, and nobody while all are busy', async () => {
  for (const name of names) polls.idle(name);
  polls.busy('w0');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(woken.length).toBeGreaterThan(0);
  expect(woken).not.toContain('w0');
  for (const name of names) polls.busy(name);
  woken = [];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(woken).toEqual([]);
});

test('what is announced wakes one worker, and one that found a job the next', () => {
  for (const name of names) polls.idle(name);
  polls.announced();
  expect(woken).toEqual(['w0']);
  polls.busy('w0');
  expect(woken).toEqual(['w0', 'w1']);
  polls.announced();
  expect(woken).toEqual(['w0', 'w1', 'w2']);
});

test('a job that ends after the stop begins no look, and keeps no process alive', async () => {
  polls.idle('a');
  await vi.advanceTimersByTimeAsync(10_000);
  polls.busy('a');
  void polls.close();
  woken = [];
  polls.idle('a');
  expect(vi.getTimerCount()).toBe(0);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(woken).toEqual([]);
});
