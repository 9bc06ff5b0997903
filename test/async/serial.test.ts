import { expect, test } from 'vitest';
import { createSerial } from '../../src/async/serial.ts';

const tick = () => new Promise((resolve) => setImmediate(resolve));

test('work of one key runs one at a time in the order of the calls; other keys do not wait', async () => {
  const serial = createSerial();
  const seen: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = serial.run('a', async () => {
    seen.push('a1 begins');
    await gate.promise;
    seen.push('a1 ends');
  });
  const second = serial.run('a', async () => void seen.push('a2'));
  await serial.run('b', async () => void seen.push('b1'));
  expect(seen).toEqual(['a1 begins', 'b1']);
  expect([serial.size('a'), serial.size('b'), serial.size('c')]).toEqual([2, 0, 0]);
  gate.resolve();
  await Promise.all([first, second]);
  expect(seen).toEqual(['a1 begins', 'b1', 'a1 ends', 'a2']);
});

test('a failure rejects only its own call; the next one runs, and no entry is kept', async () => {
  const serial = createSerial();
  const failing = serial.run('a', () => Promise.reject(new Error('broken')));
  const next = serial.run('a', () => Promise.resolve('fine'));
  await expect(failing).rejects.toThrow('broken');
  await expect(next).resolves.toBe('fine');
  await tick();
  expect(serial.size('a')).toBe(0);
});

test('work that throws synchronously fails like any other', async () => {
  const serial = createSerial();
  const failing = serial.run('a', () => {
    throw new Error('at once');
  });
  await expect(failing).rejects.toThrow('at once');
  await expect(serial.run('a', async () => 1)).resolves.toBe(1);
});
