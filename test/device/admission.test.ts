import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Admission, createAdmission } from '../../src/delivery/admission.ts';
import type { DeviceKey } from '../../src/device/device.ts';

const IDLE_MS = 2_000;
const device = (deviceId: string, organizationId = 'o'): DeviceKey => ({ organizationId, deviceId });

let woken: string[] = [];
let admission: Admission;

beforeEach(() => {
  vi.useFakeTimers();
  woken = [];
});

afterEach(() => {
  admission.close();
  vi.useRealTimers();
});

const ask = (id: string, queue = 'a source') => admission.admit(device(id), queue, () => woken.push(id));

test('as many as the bound are told, the next one when one of them is through', () => {
  admission = createAdmission({ atWork: 2 });
  expect([ask('a'), ask('b'), ask('c'), ask('d')]).toEqual([true, true, false, false]);
  expect(admission.counts()).toEqual({ atWork: 2, waiting: 2 });
  admission.release(device('b'));
  expect(woken).toEqual(['c']);
  // Its turn has come: told now, and also when it asks again.
  expect([ask('c'), ask('c'), ask('e')]).toEqual([true, true, false]);
  expect(admission.counts()).toEqual({ atWork: 2, waiting: 2 });
});

test('who asks again while it waits keeps its place', () => {
  admission = createAdmission({ atWork: 1 });
  ask('a');
  for (const id of ['b', 'c', 'b']) expect(ask(id)).toBe(false);
  admission.release(device('a'));
  expect(woken).toEqual(['b']);
});

test('a device that asks nothing for the time of silence works by itself: the next one is told', async () => {
  admission = createAdmission({ atWork: 1, idleMs: IDLE_MS });
  ask('a');
  ask('b');
  await vi.advanceTimersByTimeAsync(IDLE_MS - 1);
  expect(woken).toEqual([]);
  await vi.advanceTimersByTimeAsync(IDLE_MS);
  expect(woken).toEqual(['b']);
});

test('a device whose request is being answered is not silent, however long that takes', async () => {
  admission = createAdmission({ atWork: 1, idleMs: IDLE_MS });
  ask('a');
  ask('b');
  const { promise, resolve } = Promise.withResolvers<string>();
  const served = admission.serve(device('a'), () => promise);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(woken).toEqual([]);
  resolve('answer');
  expect(await served).toBe('answer');
  await vi.advanceTimersByTimeAsync(2 * IDLE_MS);
  expect(woken).toEqual(['b']);
});

test('while the process stands still nobody is silent: what was asked meanwhile is read first', async () => {
  vi.useRealTimers();
  admission = createAdmission({ atWork: 1, idleMs: 40 });
  ask('a');
  ask('b');
  const standUntil = performance.now() + 400;
  while (performance.now() < standUntil);
  // The timers that are due, and then what came in.
  await new Promise(setImmediate);
  await admission.serve(device('a'), async () => expect(woken).toEqual([]));
  await expect.poll(() => woken).toEqual(['b']);
});

test('what fails while a device is served fails as it is, and ends the serving', async () => {
  admission = createAdmission({ atWork: 1, idleMs: IDLE_MS });
  ask('a');
  ask('b');
  await expect(admission.serve(device('a'), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  await vi.advanceTimersByTimeAsync(2 * IDLE_MS);
  expect(woken).toEqual(['b']);
});

test('a device of another queue does not wait behind a large one', () => {
  admission = createAdmission({ atWork: 1 });
  ask('first');
  for (const id of ['x1', 'x2', 'x3']) ask(id, 'large');
  ask('y', 'small');
  for (const id of ['first', 'x1', 'y', 'x2']) admission.release(device(id));
  expect(woken).toEqual(['x1', 'y', 'x2', 'x3']);
});

test('who has nothing to be told any more gives up its place in the queue', () => {
  admission = createAdmission({ atWork: 1 });
  for (const id of ['a', 'b', 'c']) ask(id);
  admission.withdraw(device('b'));
  admission.withdraw(device('never asked'));
  admission.release(device('a'));
  expect([woken, admission.counts()]).toEqual([['c'], { atWork: 1, waiting: 0 }]);
});

test('the same id in two organizations is two devices', () => {
  admission = createAdmission({ atWork: 1 });
  ask('a');
  expect(admission.admit(device('a', 'another'), 'q', () => woken.push('another'))).toBe(false);
});

test('whatever devices do, never more than the bound are told, and each that stays has its turn once', () => {
  const act = fc.record({ what: fc.constantFrom('ask', 'leave', 'withdraw'), id: fc.nat(12), queue: fc.nat(2) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(act, { maxLength: 80 }), (atWork, acts) => {
      admission = createAdmission({ atWork });
      const told = new Set<number>();
      const waiting = new Set<number>();
      const turn = (id: number) => () => {
        expect(waiting.delete(id)).toBe(true);
        told.add(id);
      };
      for (const { what, id, queue } of acts) {
        const key = device(String(id));
        if (what === 'ask') {
          const isAdmitted = admission.admit(key, String(queue), turn(id));
          expect(isAdmitted).toBe(told.has(id) || (told.size < atWork && !waiting.has(id)));
          (isAdmitted ? told : waiting).add(id);
        } else if (what === 'leave') {
          told.delete(id);
          admission.release(key);
        } else {
          waiting.delete(id);
          admission.withdraw(key);
        }
        expect(admission.counts()).toEqual({ atWork: told.size, waiting: waiting.size });
        expect(told.size).toBeLessThanOrEqual(atWork);
        expect(told.size === atWork || waiting.size === 0).toBe(true);
      }
      admission.close();
    }),
  );
});
