import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newId } from '../src/ids.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
// Each test uses a later time, far ahead of the last one: within a process the module's time never steps back.
let epochMs = Date.UTC(2040, 0, 1);

test('an id has version 7, the RFC variant and its time in the first 48 bits', () => {
  epochMs += 1_000_000;
  const id = newId(epochMs);
  expect(id).toMatch(UUID_V7);
  expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(epochMs);
});

test('20,000 ids of one millisecond are unique and ascend', () => {
  epochMs += 1_000_000;
  const ids = Array.from({ length: 20_000 }, () => newId(epochMs));
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
});

test('ids ascend even if the clock steps back', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -5_000, max: 5_000 }), { minLength: 2, maxLength: 200 }), (steps) => {
      const ids = steps.map((step) => newId(epochMs + step));
      expect([...ids].sort()).toEqual(ids);
      for (const id of ids) expect(id).toMatch(UUID_V7);
    }),
  );
});
