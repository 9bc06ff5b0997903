import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withEntries, withValues } from '../../src/integration/providers/mobivisor/push/apps.ts';
import { judge, type Proof } from '../../src/integration/providers/mobivisor/push/proof.ts';
import type { Json } from '../../src/wire/text/json.ts';

const key = fc.constantFrom('url', 'lanes', 'theme', 'locale');
const json = fc.jsonValue() as fc.Arbitrary<Json>;
/** Entries of an app object, some of which have no key and are not ours to read. */
const entries = fc
  .uniqueArray(fc.record({ key, value: json, type: fc.constantFrom('string', 'bool') }), { selector: (entry) => entry.key })
  .chain((keyed) => fc.array(json.filter((value) => typeof value !== 'object')).map((others): Json[] => [...others, ...keyed]));
const values = fc.dictionary(key, json, { noNullPrototype: true });
const byKey = (list: readonly Json[]) => new Map(list.map((entry) => [(entry as { key?: string }).key ?? entry, entry]));

describe('managed configuration', () => {
  test('a change made twice is the change made once, and touches no other entry', () => {
    fc.assert(
      fc.property(entries, values, (before, wanted) => {
        const after = withValues(before, wanted);
        expect(withValues(after, wanted)).toEqual(after);
        const isOther = (entry: Json) => !Object.hasOwn(wanted, (entry as { key?: string } | null)?.key ?? '\n');
        expect(after.filter(isOther)).toEqual(before.filter(isOther));
      }),
    );
  });

  test('what was changed is put back, once and twice, and edits of others in between stay', () => {
    fc.assert(
      fc.property(entries, values, json, (before, wanted, edit) => {
        const theirs = { key: 'theirs', value: edit };
        const edited = [...withValues(before, wanted), theirs];
        const back = withEntries(edited, before, Object.keys(wanted));
        expect(byKey(back)).toEqual(byKey([...before, theirs]));
        expect(withEntries(back, before, Object.keys(wanted))).toEqual(back);
      }),
    );
  });
});

describe('proof', () => {
  const kinds = ['proven', 'awaited', 'contradicted', 'failed', 'unknowable'] as const;
  const proofOf = (is: (typeof kinds)[number]) => (is === 'proven' ? { is } : { is, reason: is }) as Proof;

  test('only proof of every part is proof, at any time', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...kinds)), fc.nat(200), (all, ageSeconds) => {
        const verdict = judge(all.map(proofOf), ageSeconds, 100);
        expect(verdict.is === 'verified').toBe(all.every((kind) => kind === 'proven'));
        expect(verdict.is === 'refused').toBe(all.includes('failed'));
      }),
    );
  });

  test.each([
    [['awaited'], 5, 'pending'],
    [['awaited'], 100, 'unverified'],
    [['unknowable', 'proven'], 0, 'unverified'],
    [['contradicted', 'unknowable'], 500, 'pending'],
    [['failed', 'contradicted'], 0, 'refused'],
  ] as const)('%j after %d s of 100 s is %s', (all, ageSeconds, is) => {
    expect(judge(all.map(proofOf), ageSeconds, 100).is).toBe(is);
  });
});
