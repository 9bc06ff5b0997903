import { beforeEach, expect, test } from 'vitest';
import { createCheck, type Heap, openHeap } from '../src/heap.ts';
import { createLog } from '../src/log.ts';

const log = createLog('silent');
let held = 0;
let collected = 0;
let grows: number | undefined;
/** A hundred of its bytes are in use. */
const heap: Heap = {
  heldBytes: () => held,
  collect: () => {
    collected += 1;
    held = 100;
  },
  letGrow: (percent) => {
    grows = percent;
  },
};

beforeEach(() => {
  held = 100;
  collected = 0;
});

test('memory of a peak is released once after enough quiet checks', () => {
  const check = createCheck(heap, log);
  held = 400;
  for (const isQuiet of [false, true, true]) check(isQuiet);
  expect(collected).toBe(0);
  check(true);
  expect([collected, held]).toEqual([1, 100]);
  for (let n = 0; n < 20; n++) check(true);
  expect(collected).toBe(1);
});

test('no collection stops the process during work with short pauses', () => {
  const check = createCheck(heap, log);
  held = 1_000;
  for (let n = 0; n < 30; n++) check(n % 3 !== 0);
  expect(collected).toBe(0);
});

test('a heap below the growth at which V8 collects is left to V8', () => {
  const check = createCheck(heap, log);
  held = 159;
  for (let n = 0; n < 30; n++) check(true);
  expect(collected).toBe(0);
});

test('after work of devices, smaller growth is released as well', () => {
  const check = createCheck(heap, log);
  held = 120;
  for (const isQuiet of [false, true, true, true]) check(isQuiet);
  expect(collected).toBe(1);
  held = 120;
  for (let n = 0; n < 30; n++) check(true);
  expect(collected).toBe(1);
});

test('after a collection it rests, and compares the heap with its size after that collection', () => {
  const check = createCheck({ ...heap, collect: () => (collected += 1) }, log);
  held = 300;
  for (let n = 0; n < 10; n++) check(true);
  expect(collected).toBe(1);
  held = 470;
  for (let n = 0; n < 30; n++) check(true);
  expect(collected).toBe(1);
  held = 480;
  check(true);
  expect(collected).toBe(2);
  held = 10_000;
  for (let n = 0; n < 11; n++) check(true);
  expect(collected).toBe(2);
  check(true);
  expect(collected).toBe(3);
});

test('the heap may grow by a fifth at rest and by half during work before V8 collects', () => {
  const check = createCheck(heap, log);
  for (const isQuiet of [true, true, true]) check(isQuiet);
  expect(grows).toBe(20);
  check(false);
  expect(grows).toBe(50);
  for (const isQuiet of [true, true]) check(isQuiet);
  expect(grows).toBe(50);
  check(true);
  expect(grows).toBe(20);
});

test('the real collector releases unreferenced memory', () => {
  const real = openHeap();
  let garbage: unknown[] | null = Array.from({ length: 1_000_000 }, (_, n) => ({ n }));
  const full = real.heldBytes();
  expect(garbage).toHaveLength(1_000_000);
  garbage = null;
  real.collect();
  expect(real.heldBytes()).toBeLessThan(full - 10_000_000);
});
