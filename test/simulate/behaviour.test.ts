import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Behaviour, behaviourOf, chance, fateOf, isDrifting, presenceOf, refuses } from '../../src/simulate/behaviour.ts';

const CLEAN = { fails: false, drifts: false };
const SUSPECT = { fails: true, drifts: true };
const ids = Array.from({ length: 2_000 }, (_, index) => `sim-${String(index + 1).padStart(4, '0')}`);

const share = fc.double({ min: 0, max: 1, noNaN: true });
const behaviours: fc.Arbitrary<Behaviour> = fc
  .record({
    failRate: share,
    refuseRate: share,
    latencyMs: fc.nat(10_000),
    slowRate: share,
    slowMs: fc.nat(10_000),
    offlineRate: share,
    offlineSeconds: fc.double({ min: 0.1, max: 600, noNaN: true }),
    driftRate: share,
    failWhenShare: share,
    seed: fc.nat(),
  })
  .map((given) => behaviourOf({ ...given, telemetrySeconds: 1, failWhen: /./, driftWhen: /./ }));
const deviceId = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/);
const number = fc.integer({ min: 1, max: 1_000_000 });

/** Share of the ids for which it holds. */
const shareWith = (holds: (id: string) => boolean) => ids.filter(holds).length / ids.length;

describe('what a device does', () => {
  test('follows from its id, the seed and the number of the attempt alone', () => {
    fc.assert(
      fc.property(behaviours, deviceId, number, (behaviour, id, attempt) => {
        const again = { ...behaviour };
        expect(fateOf(again, id, attempt, SUSPECT)).toEqual(fateOf(behaviour, id, attempt, SUSPECT));
        expect(refuses(again, id, attempt)).toBe(refuses(behaviour, id, attempt));
        expect(presenceOf(again, id, attempt)).toEqual(presenceOf(behaviour, id, attempt));
      }),
    );
  });

  test('never happens with a rate of 0 and always with a rate of 1', () => {
    fc.assert(
      fc.property(behaviours, deviceId, number, (behaviour, id, attempt) => {
        const never = {
          ...behaviour,
          failRate: 0,
          refuseRate: 0,
          slowRate: 0,
          latencyMs: 0,
          offlineRate: 0,
          driftRate: 0,
          failWhenShare: 0,
        };
        expect(fateOf(never, id, attempt, SUSPECT)).toEqual({ applyMs: 0, failure: null });
        expect(refuses(never, id, attempt)).toBe(false);
        expect(presenceOf(never, id, attempt)).toBeNull();
        expect(isDrifting(never, id, { content: SUSPECT, isUpdated: true })).toBe(false);
        const always = { ...never, failRate: 1, refuseRate: 1, slowRate: 1, offlineRate: 1, driftRate: 1, failWhenShare: 1 };
        expect(fateOf(always, id, attempt, CLEAN)).toEqual({ applyMs: always.slowMs, failure: expect.any(String) });
        expect(refuses(always, id, attempt)).toBe(true);
        expect(presenceOf(always, id, attempt)).not.toBeNull();
        expect(isDrifting(always, id, { content: SUSPECT, isUpdated: false })).toBe(true);
      }),
    );
  });

  test('happens with a greater rate wherever it does with a smaller one', () => {
    fc.assert(
      fc.property(behaviours, share, deviceId, number, (behaviour, more, id, attempt) => {
        const greater = (rate: number) => Math.max(rate, more);
        const worse = {
          ...behaviour,
          failRate: greater(behaviour.failRate),
          refuseRate: greater(behaviour.refuseRate),
          offlineRate: greater(behaviour.offlineRate),
          failWhenShare: greater(behaviour.failWhenShare),
        };
        if (fateOf(behaviour, id, attempt, SUSPECT).failure !== null) expect(fateOf(worse, id, attempt, SUSPECT).failure).not.toBeNull();
        if (refuses(behaviour, id, attempt)) expect(refuses(worse, id, attempt)).toBe(true);
        if (presenceOf(behaviour, id, attempt) !== null) expect(presenceOf(worse, id, attempt)).not.toBeNull();
      }),
    );
  });

  test('lasts as long as asked for, give or take half', () => {
    fc.assert(
      fc.property(behaviours, deviceId, number, (behaviour, id, attempt) => {
        const { latencyMs, slowMs } = behaviour;
        const { applyMs } = fateOf({ ...behaviour, slowRate: 0 }, id, attempt, CLEAN);
        expect(applyMs).toBeGreaterThanOrEqual(latencyMs * 0.5);
        expect(applyMs).toBeLessThanOrEqual(latencyMs * 1.5);
        expect(fateOf({ ...behaviour, slowRate: 1 }, id, attempt, CLEAN).applyMs).toBe(applyMs + slowMs);
        const stay = presenceOf({ ...behaviour, offlineRate: 1 }, id, attempt);
        for (const lastsMs of [stay?.onlineMs, stay?.offlineMs]) {
          expect(lastsMs).toBeGreaterThanOrEqual(behaviour.offlineSeconds * 500);
          expect(lastsMs).toBeLessThanOrEqual(behaviour.offlineSeconds * 1500);
        }
      }),
    );
  });
});

describe('rates', () => {
  test.each([0.03, 0.3, 0.8])('of %d come true over 2,000 devices, give or take 0.04', (rate) => {
    const behaviour = behaviourOf({
      ...{ failRate: rate, refuseRate: rate, slowRate: rate, offlineRate: rate, failWhen: /./, failWhenShare: rate },
      ...{ telemetrySeconds: 1, driftRate: rate, seed: 7 },
    });
    const shares = {
      fail: shareWith((id) => fateOf(behaviour, id, 1, CLEAN).failure !== null),
      refuse: shareWith((id) => refuses(behaviour, id, 1)),
      slow: shareWith((id) => fateOf(behaviour, id, 1, CLEAN).applyMs > 0),
      offline: shareWith((id) => presenceOf(behaviour, id, 1) !== null),
      failWhen: shareWith((id) => fateOf({ ...behaviour, failRate: 0 }, id, 1, SUSPECT).failure !== null),
      drift: shareWith((id) => isDrifting(behaviour, id, { content: CLEAN, isUpdated: true })),
    };
    for (const [what, seen] of Object.entries(shares)) expect(Math.abs(seen - rate), what).toBeLessThan(0.04);
  });

  test('of attempts hit other devices each time and with each seed, shares of devices always the same ones', () => {
    const behaviour = behaviourOf({ failRate: 0.5, offlineRate: 0.5, failWhen: /./, failWhenShare: 0.5, seed: 1 });
    const other = { ...behaviour, seed: 2 };
    const failing = (by: Behaviour, attempt: number) => ids.filter((id) => fateOf(by, id, attempt, CLEAN).failure !== null);
    expect(failing(behaviour, 1)).not.toEqual(failing(behaviour, 2));
    expect(failing(behaviour, 1)).not.toEqual(failing(other, 1));
    const suspect = (by: Behaviour, attempt: number) =>
      ids.filter((id) => fateOf({ ...by, failRate: 0 }, id, attempt, SUSPECT).failure !== null);
    expect(suspect(behaviour, 1)).toEqual(suspect(other, 2));
    const leaving = (by: Behaviour, time: number) => ids.filter((id) => presenceOf(by, id, time) !== null);
    expect(leaving(behaviour, 1)).toEqual(leaving(other, 2));
  });

  test('are drawn apart from each other: of devices that refuse, as many are slow as of the others', () => {
    const behaviour = behaviourOf({ refuseRate: 0.5, slowRate: 0.5, seed: 3 });
    const refusing = ids.filter((id) => refuses(behaviour, id, 1));
    const slow = refusing.filter((id) => fateOf(behaviour, id, 1, CLEAN).applyMs > 0);
    expect(Math.abs(slow.length / refusing.length - 0.5)).toBeLessThan(0.05);
  });
});

test('a metric drifts after an update and not after a way back; with a pattern, while the bundle matches and however it came', () => {
  const updated = behaviourOf({ driftRate: 1, telemetrySeconds: 1 });
  expect(isDrifting(updated, 'sim-0001', { content: CLEAN, isUpdated: true })).toBe(true);
  expect(isDrifting(updated, 'sim-0001', { content: SUSPECT, isUpdated: false })).toBe(false);
  const matching = behaviourOf({ driftWhen: /slow/, telemetrySeconds: 1 });
  expect(isDrifting(matching, 'sim-0001', { content: CLEAN, isUpdated: true })).toBe(false);
  expect(isDrifting(matching, 'sim-0001', { content: SUSPECT, isUpdated: false })).toBe(true);
});

test('settings without an effect are refused', () => {
  expect(() => behaviourOf({ driftRate: 0.1 })).toThrow(expect.objectContaining({ code: 'invalid_behaviour' }));
  expect(() => behaviourOf({ driftWhen: /x/ })).toThrow('no device reports');
  expect(() => behaviourOf({ failWhenShare: 0.3 })).toThrow('without a pattern');
});

test('a whole behaviour is taken as it is', () => {
  fc.assert(fc.property(behaviours, (behaviour) => void expect(behaviourOf(behaviour)).toEqual(behaviour)));
  expect(behaviourOf(behaviourOf({}))).toEqual(behaviourOf({}));
});

test('what is left open is good behaviour, also when it is said to be undefined', () => {
  const open: Partial<Behaviour> = { failRate: undefined, failWhen: undefined, seed: undefined };
  expect(behaviourOf(open)).toEqual(behaviourOf({}));
  expect(fateOf(behaviourOf({}), 'sim-0001', 1, SUSPECT)).toMatchObject({ applyMs: 0 });
});

test('a chance is from 0 to below 1, and other words give another one', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 4 }), (words) => {
      expect(chance(...words)).toBeGreaterThanOrEqual(0);
      expect(chance(...words)).toBeLessThan(1);
      expect(chance(...words, 'more')).not.toBe(chance(...words));
    }),
  );
});
