import { expect, test } from 'vitest';
import { createRerun } from '../../src/async/rerun.ts';

/** Makes a rerun whose work waits for `release`. */
function gated(isOver?: () => boolean) {
  const gates: PromiseWithResolvers<void>[] = [];
  const rerun = createRerun(async () => {
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    await gate.promise;
  }, isOver);
  const release = async () => {
    gates.at(-1)?.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { rerun, release, runs: () => gates.length };
}

test('requests during a run cause one more run, and all wait for it', async () => {
  const { rerun, release, runs } = gated();
  let isDone = false;
  const first = rerun.ask();
  const later = Promise.all([rerun.ask(), rerun.ask(), rerun.ask()]).then(() => {
    isDone = true;
  });
  expect(runs()).toBe(1);
  await release();
  expect([runs(), isDone]).toEqual([2, false]);
  await release();
  await Promise.all([first, later]);
  expect(runs()).toBe(2);
});

test('a request after the last run starts a new run', async () => {
  const { rerun, release, runs } = gated();
  void rerun.ask();
  await release();
  void rerun.ask();
  expect(runs()).toBe(2);
  await release();
  await rerun.idle();
});

test('once it is over, it drops requests, and idle() waits only for the active run', async () => {
  let over = false;
  const { rerun, release, runs } = gated(() => over);
  void rerun.ask();
  void rerun.ask();
  over = true;
  const idle = rerun.idle();
  await release();
  await idle;
  await rerun.ask();
  expect(runs()).toBe(1);
});
