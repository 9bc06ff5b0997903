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

test('as many devices as the limit are admitted, and the next one when one of them is released', () => {
  admission = createAdmission({ atWork: 2 });
  expect([ask('a'), ask('b'), ask('c'), ask('d')]).toEqual([true, true, false, false]);
  expect(admission.counts()).toEqual({ atWork: 2, waiting: 2 });
  admission.release(device('b'));
  expect(woken).toEqual(['c']);
  // Its turn has come, and it stays admitted when it asks again.
  expect([ask('c'), ask('c'), ask('e')]).toEqual([true, true, false]);
  expect(admission.counts()).toEqual({ atWork: 2, waiting: 2 });
});

test('a waiting device that asks again keeps its place', () => {
  admission = createAdmission({ atWork: 1 });
  ask('a');
  for (const id of ['b', 'c', 'b']) expect(ask(id)).toBe(false);
  admission.release(device('a'));
  expect(woken).toEqual(['b']);
});

test('a device without requests for the idle time is released, and the next one is admitted', async () => {
  admission = createAdmission({ atWork: 1, idleMs: IDLE_MS });
  ask('a');
  ask('b');
  await vi.advanceTimersByTimeAsync(IDLE_MS - 1);
  expect(woken).toEqual([]);
  await vi.advanceTimersByTimeAsync(IDLE_MS);
  expect(woken).toEqual(['b']);
});

test('a device does not count as idle while its request is answered, however long that takes', async () => {
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

test('a blocked process releases no device before it reads the requests that arrived meanwhile', async () => {
  vi.useRealTimers();
  admission = createAdmission({ atWork: 1, idleMs: 40 });
  ask('a');
  ask('b');
  const standUntil = performance.now() + 400;
  while (performance.now() < standUntil);
  // The event loop runs the due timers first, and then reads requests.
  await new Promise(setImmediate);
  await admission.serve(device('a'), async () => expect(woken).toEqual([]));
  await expect.poll(() => woken).toEqual(['b']);
});

test('an error of the work reaches the caller unchanged and ends the serving', async () => {
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

test('a device that is withdrawn loses its place in the queue', () => {
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

test('no sequence of calls admits more devices than the limit, and each waiting one gets its turn once', () => {
  const act = fc.record({ what: fc.constantFrom('ask', 'release', 'withdraw'), id: fc.nat(12), queue: fc.nat(2) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(act, { maxLength: 80 }), (atWork, acts) => {
      admission = createAdmission({ atWork });
      const admitted = new Set<number>();
      const waiting = new Set<number>();
      const turn = (id: number) => () => {
        expect(waiting.delete(id)).toBe(true);
        admitted.add(id);
      };
      for (const { what, id, queue } of acts) {
        const key = device(String(id));
        if (what === 'ask') {
          const isAdmitted = admission.admit(key, String(queue), turn(id));
          expect(isAdmitted).toBe(admitted.has(id) || (admitted.size < atWork && !waiting.has(id)));
          (isAdmitted ? admitted : waiting).add(id);
        } else if (what === 'release') {
          admitted.delete(id);
          admission.release(key);
        } else {
          waiting.delete(id);
          admission.withdraw(key);
        }
        expect(admission.counts()).toEqual({ atWork: admitted.size, waiting: waiting.size });
        expect(admitted.size).toBeLessThanOrEqual(atWork);
        expect(admitted.size === atWork || waiting.size === 0).toBe(true);
      }
      admission.close();
    }),
  );
});
