import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assignWaves, type Candidate } from '../../src/plan/waves.ts';
import { RolloutPolicy } from '../../src/policy/policy.ts';

const device = (id: string, over: Partial<Candidate> = {}): Candidate => ({ id, labels: {}, siteId: null, reachable: true, ...over });
const five = ['a', 'b', 'c', 'd', 'e'].map((id) => device(id));

function waves(policy: unknown, devices: readonly Candidate[]): Record<string, number> {
  return Object.fromEntries([...assignWaves(RolloutPolicy.parse(policy), devices).waves].sort());
}

test('without waves all devices are in one wave, offline ones too', () => {
  expect(waves({}, [device('a'), device('b', { reachable: false })])).toEqual({ a: 0, b: 0 });
});

test('a device that a later wave names is in that wave', () => {
  const policy = { waves: [{ count: 2 }, { devices: ['a'] }, { selector: { ring: 'late' } }] };
  const devices = [device('a'), device('b', { labels: { ring: 'late' } }), device('c'), device('d'), device('e')];
  expect(waves(policy, devices)).toEqual({ a: 1, b: 2, c: 0, d: 0, e: 3 });
});

test('a share refers to all devices and includes those of earlier waves', () => {
  expect(waves({ waves: [{ count: 1 }, { upToPercent: 50 }, { upToPercent: 40 }] }, five)).toEqual({ a: 0, b: 1, c: 1, d: 3, e: 3 });
});

test('an offline device is in the last wave, and in none if that wave limits devices in progress', () => {
  const devices = [device('a', { reachable: false }), device('b')];
  expect(waves({ waves: [{ devices: ['a', 'b'] }] }, devices)).toEqual({ a: 1, b: 0 });
  expect(waves({ waves: [{ devices: ['a', 'b'] }], maxParallel: 5 }, devices)).toEqual({ b: 0 });
});

test('with a limit per site, a wave of a fixed size takes the first devices of each site', () => {
  const devices = ['a', 'b', 'c', 'd'].map((id, index) => device(id, { siteId: index < 3 ? 'north' : 'south' }));
  expect(waves({ waves: [{ count: 2 }], maxParallelPerSite: 1 }, devices)).toEqual({ a: 0, b: 1, c: 1, d: 0 });
  expect(waves({ waves: [{ count: 2 }], maxParallelPerSite: 1, maxParallel: 1 }, devices)).toEqual({ a: 0, b: 0, c: 1, d: 1 });
});

test('every online device is in exactly one wave, whatever the order of devices', () => {
  const wave = fc.oneof(
    fc.record({ count: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ upToPercent: fc.integer({ min: 1, max: 100 }) }),
    fc.record({ devices: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1 }) }),
    fc.record({ selector: fc.constant({ ring: 'x' }) }),
  );
  const limits = fc.record(
    { maxParallel: fc.integer({ min: 1, max: 3 }), maxParallelPerSite: fc.integer({ min: 1, max: 2 }) },
    { requiredKeys: [] },
  );
  const flock = fc.array(fc.record({ ring: fc.boolean(), site: fc.constantFrom(null, 's', 't') }), { minLength: 5, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(wave, { maxLength: 4 }), limits, flock, (list, limit, about) => {
      const devices = five.map(({ id }, index) =>
        device(id, { labels: about[index]?.ring ? { ring: 'x' } : {}, siteId: about[index]?.site ?? null }),
      );
      const assigned = waves({ waves: list, ...limit }, devices);
      expect(Object.keys(assigned)).toEqual(['a', 'b', 'c', 'd', 'e']);
      expect(waves({ waves: list, ...limit }, devices.toReversed())).toEqual(assigned);
    }),
  );
});
