import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DIRECTIONS, STRATEGIES } from '../../src/integration/integration.ts';
import type { Synced } from '../../src/integration/store/assignments.ts';
import { mergeDevice, type Rules, withoutFields } from '../../src/sync/fields.ts';
import { isSame, type MergeInput, type MergeRule, mergeField, mergeSets } from '../../src/sync/merge.ts';
import type { Json } from '../../src/wire/text/json.ts';

const item = fc.constantFrom<Json>('a', 'b', 'c', 'd', 1, null);
const VALUES: Record<MergeRule['kind'], fc.Arbitrary<Json>> = {
  scalar: fc.constantFrom<Json>('a', 'b', 'c', 7, true, null),
  set: fc.array(item, { maxLength: 5 }),
  map: fc.dictionary(fc.constantFrom('k', 'l', 'm', '__proto__'), item, { maxKeys: 3 }),
};
const time = fc.option(fc.constantFrom(new Date(1_000), new Date(2_000), new Date(3_000)));

const inputs: fc.Arbitrary<MergeInput> = fc
  .record({
    kind: fc.constantFrom<MergeRule['kind']>('scalar', 'set', 'map'),
    direction: fc.constantFrom(...DIRECTIONS),
    strategy: fc.constantFrom(...STRATEGIES),
  })
  .chain((rule) => {
    const value = fc.option(VALUES[rule.kind], { nil: undefined });
    return fc.record({ rule: fc.constant(rule), base: value, local: value, remote: value, localChangedAt: time, remoteChangedAt: time });
  });

type Sides = { local: Json | undefined; remote: Json | undefined; base: Json | undefined };

/** Both sides after the decision was carried out everywhere. */
function applied(input: MergeInput): Sides {
  const { base, local, remote } = input;
  const decision = mergeField(input);
  switch (decision.is) {
    case 'agreed':
      return { base: decision.value === undefined ? base : decision.value, local, remote };
    case 'carried':
      return { base: decision.value, local, remote, [decision.to]: decision.value };
    case 'resolved':
      return { base: decision.value, local: decision.value, remote: decision.value };
    case 'conflict':
      return { base, local, remote };
  }
}

describe('a merge of one field', () => {
  test('converges: after the decision was carried out, another merge writes nothing', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const after = applied(input);
        const again = mergeField({ ...input, ...after });
        expect(again.is).toBe(mergeField(input).is === 'conflict' ? 'conflict' : 'agreed');
      }),
      { numRuns: 2_000 },
    );
  });

  test('loses no edit where both sides are synced: the edit of one side alone reaches the other, and two edits are a conflict or decided', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const { rule, base, local, remote } = input;
        if (rule.direction !== 'both' || base === undefined || local === undefined || remote === undefined) return;
        const [isHere, isThere] = [!isSame(rule.kind, local, base), !isSame(rule.kind, remote, base)];
        const decision = mergeField(input);
        if (isHere && !isThere) expect(decision).toEqual({ is: 'carried', to: 'remote', value: local, overwritten: undefined });
        if (isThere && !isHere) expect(decision).toEqual({ is: 'carried', to: 'local', value: remote, overwritten: undefined });
        if (isHere && isThere) expect(decision.is).toBe(isSame(rule.kind, local, remote) ? 'agreed' : decision.is);
        if (isHere && isThere) expect(decision.is).not.toBe('carried');
      }),
      { numRuns: 2_000 },
    );
  });

  test('in one direction, names every edit that it overwrites', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const { rule, base, local, remote } = input;
        if (rule.direction === 'both' || base === undefined || local === undefined || remote === undefined) return;
        const replaced = rule.direction === 'import' ? local : remote;
        const decision = mergeField(input);
        if (decision.is !== 'carried') expect(decision.is).toBe('agreed');
        else expect(decision.overwritten).toEqual(isSame(rule.kind, replaced, base) ? undefined : replaced);
      }),
      { numRuns: 2_000 },
    );
  });

  test('concludes nothing from a field that a side does not show', () => {
    const rule = { kind: 'scalar', direction: 'both', strategy: 'manual' } as const;
    const none = { localChangedAt: null, remoteChangedAt: null };
    expect(mergeField({ rule, base: 'a', local: 'a', remote: undefined, ...none })).toEqual({ is: 'agreed', value: undefined });
    expect(mergeField({ rule, base: 'a', local: 'b', remote: undefined, ...none })).toMatchObject({ is: 'carried', to: 'remote' });
    expect(mergeField({ rule, base: undefined, local: 'default', remote: undefined, ...none })).toEqual({ is: 'agreed', value: undefined });
    expect(mergeField({ rule, base: undefined, local: undefined, remote: 'b', ...none })).toMatchObject({ is: 'carried', to: 'local' });
  });

  test('takes the newer side, and asks a person where the times do not tell', () => {
    const rule = { kind: 'scalar', direction: 'both', strategy: 'newest_wins' } as const;
    const sides = { rule, base: 'a', local: 'b', remote: 'c' };
    const [older, newer] = [new Date(1), new Date(2)];
    expect(mergeField({ ...sides, localChangedAt: newer, remoteChangedAt: older })).toEqual({ is: 'resolved', by: 'newest', value: 'b' });
    expect(mergeField({ ...sides, localChangedAt: older, remoteChangedAt: newer })).toEqual({ is: 'resolved', by: 'newest', value: 'c' });
    for (const [localChangedAt, remoteChangedAt] of [
      [newer, newer],
      [null, newer],
      [older, null],
    ] as const)
      expect(mergeField({ ...sides, localChangedAt, remoteChangedAt })).toEqual({ is: 'conflict' });
  });

  test('keeps the changes of both maps, and is a conflict where both changed the same key', () => {
    const rule = { kind: 'map', direction: 'both', strategy: 'merge' } as const;
    const times = { localChangedAt: null, remoteChangedAt: null };
    const base = { a: 1, b: 2, c: 3 };
    expect(mergeField({ rule, base, local: { a: 9, b: 2, c: 3 }, remote: { a: 1, c: 3, d: 4 }, ...times })).toEqual({
      is: 'resolved',
      by: 'merge',
      value: { a: 9, c: 3, d: 4 },
    });
    expect(mergeField({ rule, base, local: { ...base, a: 8 }, remote: { ...base, a: 9 }, ...times })).toEqual({ is: 'conflict' });
  });
});

describe('a merge of sets', () => {
  const sets = fc.array(item, { maxLength: 6 });

  test('does not depend on which side is which, nor on order and repetition', () => {
    fc.assert(
      fc.property(sets, sets, sets, (base, one, other) => {
        const result = mergeSets(base, one, other);
        expect(mergeSets(base, other, one)).toEqual(result);
        expect(mergeSets([...base].reverse(), [...one, ...one].reverse(), other)).toEqual(result);
        expect(mergeSets(result, result, result)).toEqual(result);
      }),
    );
  });

  test('keeps every addition and every removal', () => {
    fc.assert(
      fc.property(sets, sets, sets, (base, one, other) => {
        const result = mergeSets(base, one, other);
        for (const side of [one, other]) {
          expect(side.filter((each) => !base.includes(each) && !result.includes(each))).toEqual([]);
          expect(base.filter((each) => !side.includes(each) && result.includes(each))).toEqual([]);
        }
      }),
    );
  });
});

test('a field that cannot be read again is not written where the platform is known to have another value than the common one; others are', () => {
  const fields = ['name', 'room', 'tags'];
  const value = fc.constantFrom('a', 'b', 'c');
  const sides = fc.record({ local: value, base: value, lastShown: value });
  fc.assert(
    fc.property(fc.tuple(sides, sides, sides), fc.constantFrom(...STRATEGIES), (all, strategy) => {
      const of = (pick: (one: { local: string; base: string; lastShown: string }) => string) =>
        Object.fromEntries(fields.map((field, index) => [field, pick(all[index] ?? { local: '', base: '', lastShown: '' })]));
      const [local, base, lastShown] = [of((one) => one.local), of((one) => one.base), of((one) => one.lastShown)];
      const { name, ...attributes } = local;
      const device = { name, type: 'till', metadata: { attributes }, base, fieldTimes: {} } as unknown as Synced;
      const rules: Rules = new Map(fields.map((field) => [field, { kind: 'scalar', direction: 'both', strategy }]));
      // The walk left these to a person.
      const open = new Set(fields.filter((field) => lastShown[field] !== base[field] && local[field] !== base[field]));
      const { remote, conflicts } = mergeDevice(withoutFields(rules, open), device, { values: base, updatedAt: null });
      expect(Object.keys(remote).filter((field) => open.has(field))).toEqual([]);
      expect(Object.keys(remote)).toEqual(fields.filter((field) => local[field] !== base[field] && !open.has(field)));
      expect(conflicts).toEqual([]);
    }),
  );
});

test('the order of fields makes no difference', () => {
  const fields = ['name', 'tags', 'room'];
  const rules = fields.map((field): [string, MergeRule] => [
    field,
    { kind: field === 'tags' ? 'set' : 'scalar', direction: 'both', strategy: 'manual' },
  ]);
  const value = fc.constantFrom('a', 'b', 'c');
  fc.assert(
    fc.property(fc.tuple(value, value, value), fc.tuple(value, value, value), (local, remote) => {
      const device = {
        name: local[0],
        type: 'till',
        metadata: { attributes: { tags: [local[1]], room: local[2] } },
        base: { name: 'a', tags: ['a'], room: 'a' },
        fieldTimes: {},
      } as unknown as Synced;
      const shown = { values: { name: remote[0], tags: [remote[1]], room: remote[2] }, updatedAt: null };
      const merge = (order: Rules) => {
        const { conflicts, ...rest } = mergeDevice(order, device, shown);
        return { ...rest, conflicts: conflicts.map(({ field }) => field).sort() };
      };
      expect(merge(new Map([...rules].reverse()))).toEqual(merge(new Map(rules)));
    }),
  );
});
