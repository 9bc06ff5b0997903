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

test('one of many idle workers polls every two seconds', async () => {
  for (const name of names) polls.idle(name);
  await vi.advanceTimersByTimeAsync(10_000);
  woken = [];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(woken).toHaveLength(30);
  // They poll in turn, so that a worker whose poll gets no answer does not block the others.
  expect(new Set(woken).size).toBe(names.length);
});

test('an idle worker polls instead of a busy one, and none polls while all are busy', async () => {
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

test('an announcement wakes one worker, and a worker that found a job wakes the next', () => {
  for (const name of names) polls.idle(name);
  polls.announced();
  expect(woken).toEqual(['w0']);
  polls.busy('w0');
  expect(woken).toEqual(['w0', 'w1']);
  polls.announced();
  expect(woken).toEqual(['w0', 'w1', 'w2']);
});

test('a job that ends after close() starts no poll and leaves no timer', async () => {
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
