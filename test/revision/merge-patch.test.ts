import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRecord, valueAt } from '../../src/document/document.ts';
import { leafPaths, mergeAll, mergePatch, originOf } from '../../src/prepare/layer/merge-patch.ts';

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'c', '0', '__proto__', 'constructor', 'yes', 'a/b', 'm~n', ''),
  fc.string({ maxLength: 4 }),
);
const { value: json, patch } = fc.letrec((tie) => ({
  scalar: fc.oneof(
    fc.boolean(),
    fc.integer(),
    fc.string({ maxLength: 6 }),
    fc.constantFrom('yes', '012', '1_000', '~', '# x', '- a', '12:30:00'),
  ),
  value: fc.oneof({ maxDepth: 3 }, tie('scalar'), fc.array(tie('value'), { maxLength: 3 }), record(tie('value'))),
  patch: fc.oneof({ maxDepth: 3 }, fc.constant(null), tie('value'), record(tie('patch'))),
}));

/** Own members, whatever their names. */
function record(member: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.uniqueArray(fc.tuple(name, member), { maxLength: 4, selector: ([key]) => key }).map((entries) => Object.fromEntries(entries));
}

describe('a merge patch', () => {
  test.each([
    // RFC 7386, appendix A
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('of %j by %j gives %j', (target, change, expected) => {
    expect(mergePatch(target, change)).toEqual(expected);
  });

  test('applied twice is applied once, changes neither side, and leaves no null of its own', () => {
    fc.assert(
      fc.property(json, patch, (target, change) => {
        const before = JSON.stringify([target, change]);
        const merged = mergePatch(target, change);
        expect(mergePatch(merged, change)).toEqual(merged);
        expect(JSON.stringify([target, change])).toBe(before);
        if (isRecord(change)) expect(leafPaths(merged).some((path) => valueAt(merged, path) === null)).toBe(false);
      }),
    );
  });

  test('that is an object keeps every member that it does not name, and an empty one changes no object', () => {
    fc.assert(
      fc.property(record(json), record(patch), (target, change) => {
        const merged = mergePatch(target, change) as object;
        for (const [key, value] of Object.entries(target as object))
          if (!Object.hasOwn(change as object, key)) expect(Reflect.get(merged, key)).toEqual(value);
        expect(mergePatch(target, {})).toEqual(target);
      }),
    );
  });

  test('named __proto__ makes a member like any other and touches no prototype', () => {
    const merged = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')) as object;
    expect(Object.keys(merged)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect('polluted' in {}).toBe(false);
  });
});

describe('the origin of a value', () => {
  test('is the document that has that very value, for every leaf of a merge', () => {
    fc.assert(
      fc.property(record(json), fc.array(record(patch), { maxLength: 4 }), (first, patches) => {
        const documents = [first, ...patches];
        const merged = mergeAll(documents);
        for (const path of leafPaths(merged)) {
          const found = valueAt(documents[originOf(documents, path)], path);
          const value = valueAt(merged, path);
          // An object that is left empty comes from one that had, or took away, its members.
          if (isRecord(value)) expect(isRecord(found)).toBe(true);
          else expect(found).toEqual(value);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('rebuilds the merged document: each leaf taken from its origin', () => {
    fc.assert(
      fc.property(record(json), fc.array(record(patch), { maxLength: 3 }), (first, patches) => {
        const documents = [first, ...patches];
        const merged = mergeAll(documents);
        const rebuilt = structuredClone(merged);
        for (const path of leafPaths(merged)) {
          const origin = valueAt(documents[originOf(documents, path)], path);
          const parent = valueAt(rebuilt, path.slice(0, -1));
          if (path.length > 0 && !isRecord(origin)) Object.defineProperty(parent, path.at(-1) ?? '', { value: origin });
        }
        expect(rebuilt).toEqual(merged);
      }),
    );
  });

  test('of what is not there is that of its nearest ancestor', () => {
    expect(originOf([{ a: { b: 1 } }, { c: 1 }], ['a', 'x', 'y'])).toBe(0);
    expect(originOf([{ a: { b: 1 } }, { a: null }, { a: { d: 1 } }], ['a', 'b'])).toBe(2);
    expect(originOf([{ a: [1, 2, 3] }, { a: [4] }], ['a', '2'])).toBe(1);
    expect(originOf([{ a: 1 }, { b: 1 }], ['z'])).toBe(1);
  });
});
