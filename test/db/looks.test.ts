import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Looks, startLooks } from '../../src/db/looks.ts';

let woken: string[] = [];
let looks: Looks;

beforeEach(() => {
  vi.useFakeTimers();
  woken = [];
  looks = startLooks((worker) => woken.push(worker));
});

afterEach(() => {
  void looks.close();
  vi.useRealTimers();
});

const names = Array.from({ length: 12 }, (_, n) => `w${n}`);

test('of many workers with nothing to do one looks, every two seconds', async () => {
  for (const name of names) looks.idle(name);
  await vi.advanceTimersByTimeAsync(10_000);
  woken = [];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(woken).toHaveLength(30);
  // In turn: one whose question gets no answer does not keep the others from asking.
  expect(new Set(woken).size).toBe(names.length);
});

test('a busy worker is not asked to look: another one is, and nobody while all are busy', async () => {
  for (const name of names) looks.idle(name);
  looks.busy('w0');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(woken.length).toBeGreaterThan(0);
  expect(woken).not.toContain('w0');
  for (const name of names) looks.busy(name);
  woken = [];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(woken).toEqual([]);
});

test('what is announced wakes one worker, and one that found a job the next', () => {
  for (const name of names) looks.idle(name);
  looks.announced();
  expect(woken).toEqual(['w0']);
  looks.busy('w0');
  expect(woken).toEqual(['w0', 'w1']);
  looks.announced();
  expect(woken).toEqual(['w0', 'w1', 'w2']);
});

test('a job that ends after the stop begins no look, and keeps no process alive', async () => {
  looks.idle('a');
  await vi.advanceTimersByTimeAsync(10_000);
  looks.busy('a');
  void looks.close();
  woken = [];
  looks.idle('a');
  expect(vi.getTimerCount()).toBe(0);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(woken).toEqual([]);
});
