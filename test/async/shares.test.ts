import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openShares } from '../../src/async/shares.ts';

const takeAll = (shares: ReturnType<typeof openShares>, organizationId: string) => {
  let taken = 0;
  while (shares.take(organizationId) !== undefined) taken += 1;
  return taken;
};

test('one organization gets half of the places, the next one half of the rest, and no place is assigned twice', () => {
  const shares = openShares(12);
  expect(takeAll(shares, 'a')).toBe(6);
  expect(takeAll(shares, 'b')).toBe(3);
  expect(takeAll(shares, 'a')).toBe(0);
  expect(takeAll(shares, 'c')).toBe(2);
  expect(takeAll(shares, 'd')).toBe(1);
  expect(takeAll(shares, 'e')).toBe(0);
});

test('a single place goes to the first caller, and a second release of it has no effect', () => {
  const shares = openShares(1);
  const release = shares.take('a');
  expect(shares.take('b')).toBeUndefined();
  release?.();
  release?.();
  expect(shares.take('b')).toBeDefined();
  expect(shares.take('a')).toBeUndefined();
});

test('an organization without a place gets one while any is free, and places never exceed the limit', () => {
  const act = fc.record({ organizationId: fc.constantFrom('a', 'b', 'c'), gives: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 16 }), fc.array(act, { maxLength: 60 }), (places, acts) => {
      const shares = openShares(places);
      const held = new Map<string, (() => void)[]>([
        ['a', []],
        ['b', []],
        ['c', []],
      ]);
      for (const { organizationId, gives } of acts) {
        const its = held.get(organizationId) ?? [];
        const total = [...held.values()].flat().length;
        if (gives) {
          its.pop()?.();
          continue;
        }
        const place = shares.take(organizationId);
        if (its.length === 0) expect(place !== undefined).toBe(total < places);
        if (place !== undefined) its.push(place);
        expect([...held.values()].flat().length).toBeLessThanOrEqual(places);
      }
    }),
  );
});
