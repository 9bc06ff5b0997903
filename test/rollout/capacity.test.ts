import { describe, expect, test } from 'vitest';
import { amountOf, RolloutPolicy } from '../../src/policy/policy.ts';
import { capacity, quota, ratePerMinute, rolloutSize, takesAway } from '../../src/rollout/decide/capacity.ts';
import { at, brief, NOW, type Shown, snapshot } from './snapshots.ts';

const room = (shown: Shown) => capacity(snapshot(shown), NOW);
const rate = (more: object = {}) => RolloutPolicy.parse({ rate: { perMinute: 10, ...more } }).rate!;

describe('capacity()', () => {
  test('is unlimited without limits in the policy', () => {
    expect(room({ waves: [{ open: 1_000 }], unavailable: 1_000 }).devices).toBe(Number.POSITIVE_INFINITY);
  });

  test('maxParallel counts attempts under way in all waves, but neither ended ones nor offline devices', () => {
    const waves = [{ open: 1, succeeded: 9, failed: 9, offline: 9, passedAt: NOW }, { open: 2 }];
    expect(room({ policy: { maxParallel: 5 }, waves }).devices).toBe(2);
    expect(room({ policy: { maxParallel: 2 }, waves })).toEqual({
      devices: 0,
      why: { code: 'max_parallel', detail: '3 devices are under way, maxParallel is 2' },
      until: null,
    });
  });

  test('maxUnavailable counts devices that are under way or failed, as a number or a share of all devices of the rollout', () => {
    expect(room({ policy: { maxUnavailable: 3 }, unavailable: 1 }).devices).toBe(2);
    const half = {
      policy: { maxUnavailable: '50%' },
      waves: [{ succeeded: 4, offline: 1, failed: 1 }],
      eligible: { reachable: 3, away: 2 },
    };
    expect(room({ ...half, unavailable: 1 }).devices).toBe(4);
    expect(room({ ...half, unavailable: 5 })).toEqual({
      devices: 0,
      why: { code: 'max_unavailable', detail: '5 devices are under way or failed, maxUnavailable is 50%' },
      until: null,
    });
  });

  test.each([['0%'], ['1%'], [0]])(
    'maxUnavailable %s of ten devices lets one be unavailable, else nothing would ever start',
    (maxUnavailable) => {
      expect(room({ policy: { maxUnavailable }, eligible: { reachable: 10 } }).devices).toBe(1);
    },
  );

  test('a rate counts the starts of the last minute and returns when the first of them is a minute old', () => {
    expect(room({ policy: { rate: { perMinute: 10 } }, startedLastMinute: { count: 7, firstAt: at(-20) } }).devices).toBe(3);
    expect(room({ policy: { rate: { perMinute: 10 } }, startedLastMinute: { count: 10, firstAt: at(-20) } })).toEqual({
      devices: 0,
      why: { code: 'rate', detail: '10 devices were started within a minute, the rate is 10' },
      until: at(40),
    });
  });

  test('a rate grows with the successes of all waves', () => {
    const waves = [
      { succeeded: 60, passedAt: NOW },
      { succeeded: 50, failed: 90 },
    ];
    expect(room({ policy: { rate: { perMinute: 10, factor: 2 } }, waves }).devices).toBe(20);
  });

  test('the limit per site is the free capacity of the sites', () => {
    const policy = { maxParallelPerSite: 2 };
    expect(room({ policy, eligible: { reachable: 9, room: 3 } }).devices).toBe(3);
    expect(room({ policy, eligible: { reachable: 9, room: 0 }, waves: [{ open: 2 }] })).toMatchObject({ devices: 0, until: null });
  });

  test('checks again by itself while another rollout has attempts under way at a site', () => {
    const full = room({ policy: { maxParallelPerSite: 2 }, eligible: { reachable: 9, room: 0 } });
    expect(full).toMatchObject({ devices: 0, why: { code: 'max_parallel_per_site' }, until: at(5) });
  });

  test('returns and names the tightest limit', () => {
    const policy = { maxParallel: 9, maxUnavailable: 7, rate: { perMinute: 5 }, maxParallelPerSite: 8 };
    const shown = { policy, eligible: { reachable: 20, room: 8 }, unavailable: 3, waves: [{ open: 3 }] };
    expect(room(shown).devices).toBe(4);
    expect(room({ ...shown, startedLastMinute: { count: 3, firstAt: NOW } })).toMatchObject({ devices: 2, why: { code: 'rate' } });
    expect(room({ ...shown, unavailable: 9 })).toMatchObject({ devices: 0, why: { code: 'max_unavailable' } });
  });
});

describe('ratePerMinute()', () => {
  test('is multiplied after every increaseAfterSuccesses successes', () => {
    const doubling = rate({ factor: 2, increaseAfterSuccesses: 5 });
    expect([0, 4, 5, 9, 10, 25].map((succeeded) => ratePerMinute(doubling, succeeded))).toEqual([10, 10, 20, 20, 40, 320]);
  });

  test('stays constant with factor 1, and never exceeds its maximum', () => {
    expect(ratePerMinute(rate(), 1_000_000)).toBe(10);
    expect(ratePerMinute(rate({ factor: 5, increaseAfterSuccesses: 1, maxPerMinute: 500 }), 1_000_000)).toBe(500);
    expect(ratePerMinute(rate({ factor: 5, increaseAfterSuccesses: 1 }), 1_000_000)).toBeGreaterThan(1e15);
  });

  test('is a whole number, rounded down, without the noise of binary fractions', () => {
    expect(ratePerMinute(rate({ perMinute: 1, factor: 1.5, increaseAfterSuccesses: 1 }), 1)).toBe(1);
    expect(ratePerMinute(rate({ perMinute: 100, factor: 1.15, increaseAfterSuccesses: 1 }), 1)).toBe(115);
  });
});

describe('quota()', () => {
  test('a number adds devices, and started offline devices count', () => {
    const policy = { waves: [{ count: 2 }, { count: 5 }] };
    const waves = [
      { succeeded: 2, passedAt: NOW },
      { open: 1, offline: 1, succeeded: 1, failed: 1 },
    ];
    expect(quota(snapshot({ policy, waves: waves.slice(0, 1) }), 1)).toBe(5);
    expect(quota(snapshot({ policy, waves }), 1)).toBe(1);
    expect(quota(snapshot({ policy: { waves: [{ count: 1 }] }, waves: [{ open: 2 }] }), 0)).toBe(0);
  });

  test('a percentage refers to all devices, includes earlier waves, and is rounded up', () => {
    const policy = { waves: [{ upToPercent: 10 }, { upToPercent: 50 }] };
    expect(quota(snapshot({ policy, eligible: { reachable: 11 } }), 0)).toBe(2);
    expect(quota(snapshot({ policy, waves: [{ succeeded: 2, passedAt: NOW }], eligible: { reachable: 5, away: 4 } }), 1)).toBe(4);
    expect(quota(snapshot({ policy, waves: [{ succeeded: 9, passedAt: NOW }], eligible: { reachable: 2 } }), 1)).toBe(0);
  });

  test('a percentage that is a whole number of devices is not rounded', () => {
    const seven = (reachable: number) => quota(snapshot({ policy: { waves: [{ upToPercent: 7 }] }, eligible: { reachable } }), 0);
    expect(seven(100)).toBe(7);
    expect(seven(101)).toBe(8);
  });

  test('naming waves and the last one are unlimited', () => {
    const policy = { waves: [{ devices: ['a'] }, { selector: { ring: 'canary' } }] };
    expect([0, 1, 2].map((wave) => quota(snapshot({ policy }), wave))).toEqual(Array(3).fill(Number.POSITIVE_INFINITY));
  });
});

test('shares refer to started and eligible devices; a device with a superseded attempt counts once it is eligible again', () => {
  expect(
    rolloutSize(
      snapshot({
        waves: [
          { open: 1, offline: 2 },
          { succeeded: 3, failed: 4 },
        ],
        eligible: { total: 5 },
      }),
    ),
  ).toBe(15);
});

test('shares of devices are rounded down, without the noise of binary fractions', () => {
  expect([
    amountOf('29%', 100),
    amountOf('7%', 100),
    amountOf('99%', 10),
    amountOf('0.5%', 1_000),
    amountOf('100%', 7),
    amountOf(4, 1),
  ]).toEqual([29, 7, 9, 5, 7, 4]);
});

test('offline devices get their attempt only in the last wave of a rollout without limits', () => {
  const policy = { waves: [{ count: 1 }] };
  expect([0, 1].map((wave) => takesAway(RolloutPolicy.parse(policy), wave))).toEqual([false, true]);
  for (const limit of [{ rate: { perMinute: 1 } }, { maxUnavailable: 1 }, { maxParallel: 1 }, { maxParallelPerSite: 1 }])
    expect(takesAway(RolloutPolicy.parse({ ...policy, ...limit }), 1)).toBe(false);
});

describe('plan() within the limits', () => {
  test.each([
    ['maxParallel', { policy: { maxParallel: 4 }, waves: [{ open: 1 }] }, 3],
    ['maxUnavailable', { policy: { maxUnavailable: 4 }, waves: [{ open: 1 }], unavailable: 2 }, 2],
    ['a rate', { policy: { rate: { perMinute: 4 } }, waves: [{ open: 1 }], startedLastMinute: { count: 3, firstAt: NOW } }, 1],
    ['the limit per site', { policy: { maxParallelPerSite: 2 }, waves: [{ open: 1 }], eligible: { reachable: 9, room: 5 } }, 5],
    ['who is left', { policy: { maxParallel: 40 }, waves: [{ open: 1 }] }, 9],
  ])('starts as many as %s lets through', (_name, shown: Shown, limit) => {
    expect(brief({ eligible: { reachable: 9, away: 2 }, ...shown })).toBe(`open_wave 0: ${limit}`);
  });

  test.each([
    ['max_parallel', { policy: { maxParallel: 1 } }],
    ['max_unavailable', { policy: { maxUnavailable: 1 }, unavailable: 1 }],
    ['rate', { policy: { rate: { perMinute: 1 } }, startedLastMinute: { count: 1, firstAt: at(-59) } }],
    ['max_parallel_per_site', { policy: { maxParallelPerSite: 1 }, eligible: { reachable: 9, room: 0 } }],
  ])('waits for %s while something is under way', (code, shown: Shown) => {
    expect(brief({ eligible: { reachable: 9 }, waves: [{ open: 1 }], ...shown })).toBe(`wait: ${code}`);
  });

  test('a site that other rollouts keep busy delays the wave: it neither opens nor passes without the devices there', () => {
    const full = { policy: { maxParallelPerSite: 1, waves: [{ count: 1 }] }, eligible: { reachable: 3, room: 0 } };
    expect(brief(full)).toBe('wait: max_parallel_per_site');
    expect(brief({ ...full, waves: [{}] })).toBe('wait: max_parallel_per_site');
  });

  test('failed devices that use up maxUnavailable end the rollout after the time for reporting their rollback', () => {
    const stuck = { policy: { maxUnavailable: 2 }, eligible: { reachable: 3 }, unavailable: 2 };
    expect(planAt(stuck, -299)).toBe('wait: max_unavailable');
    expect(planAt(stuck, -300)).toBe('abort: max_unavailable');
    expect(brief({ ...stuck, unavailable: 1, waves: [{ failed: 2, lastEndedAt: at(-1) }] })).toBe('open_wave 0: 1');
  });
});

function planAt(shown: Shown, lastEndedSeconds: number): string {
  return brief({ ...shown, waves: [{ failed: 2, lastEndedAt: at(lastEndedSeconds) }] });
}
