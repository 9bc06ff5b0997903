import fc from 'fast-check';
import { expect, test } from 'vitest';
import { plan, type RolloutSnapshot, type WaveCounts } from '../../src/rollout/plan.ts';
import { ROLLOUT_TRANSITIONS, RolloutPolicy, type RolloutState, rolloutStatesBefore } from '../../src/rollout/rollout.ts';

const policy = RolloutPolicy.parse({});
const wave = (counts: Partial<WaveCounts>): WaveCounts => ({ offline: 0, open: 0, succeeded: 0, failed: 0, ...counts });
const STATES = Object.keys(ROLLOUT_TRANSITIONS) as RolloutState[];

test('all at once: one wave takes every eligible device, then the rollout waits for them and completes', () => {
  expect(plan({ state: 'planned', policy, eligible: 7, waves: [] })).toEqual([{ do: 'open_wave', wave: 0 }]);
  expect(plan({ state: 'running', policy, eligible: 0, waves: [wave({ open: 3, succeeded: 4 })] })).toEqual([
    { do: 'wait', why: '3 devices are under way' },
  ]);
  expect(plan({ state: 'running', policy, eligible: 0, waves: [wave({ succeeded: 6, failed: 1 })] })).toEqual([{ do: 'complete' }]);
});

test('a rollout with nothing to do completes at once, and devices that are away do not hold one up', () => {
  expect(plan({ state: 'planned', policy, eligible: 0, waves: [] })).toEqual([{ do: 'complete' }]);
  expect(plan({ state: 'running', policy, eligible: 0, waves: [wave({ offline: 5 })] })).toEqual([{ do: 'complete' }]);
});

test('a device that joins late gets a wave of its own', () => {
  expect(plan({ state: 'running', policy, eligible: 1, waves: [wave({ open: 2 })] })).toEqual([{ do: 'open_wave', wave: 1 }]);
});

const snapshots = fc.record<RolloutSnapshot>({
  state: fc.constantFrom(...STATES),
  policy: fc.constant(policy),
  eligible: fc.nat(5),
  waves: fc.array(fc.record({ offline: fc.nat(3), open: fc.nat(3), succeeded: fc.nat(3), failed: fc.nat(3) }), { maxLength: 3 }),
});

test('plan() is pure, and a rollout that ended or waits for a person is left alone', () => {
  fc.assert(
    fc.property(snapshots, (snapshot) => {
      const steps = plan(snapshot);
      expect(plan(structuredClone(snapshot))).toEqual(steps);
      const acts = steps.filter((step) => step.do !== 'wait');
      if (snapshot.state !== 'planned' && snapshot.state !== 'running') expect(acts).toEqual([]);
      expect(acts.length).toBeLessThanOrEqual(1);
    }),
  );
});

test('whatever becomes of its devices, a rollout of all at once ends', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 20 }),
      fc.array(fc.constantFrom('succeeded', 'failed', 'offline' as const), { minLength: 20, maxLength: 20 }),
      (devices, fates) => {
        const snapshot: RolloutSnapshot = { state: 'planned', policy, eligible: devices, waves: [] };
        for (let turn = 0; turn < 100; turn++) {
          const [step] = plan(snapshot);
          if (step?.do === 'complete') {
            expect(snapshot.waves.every((counts) => counts.open === 0)).toBe(true);
            return;
          }
          if (step?.do === 'open_wave') {
            snapshot.state = 'running';
            snapshot.waves[step.wave] = wave({ open: snapshot.eligible });
            snapshot.eligible = 0;
          } else {
            const counts = snapshot.waves.find((candidate) => candidate.open > 0);
            const fate = fates[turn % fates.length] ?? 'succeeded';
            if (counts === undefined) throw new Error('it waits for nobody');
            counts.open -= 1;
            counts[fate as 'succeeded' | 'failed' | 'offline'] += 1;
          }
        }
        throw new Error('it never ended');
      },
    ),
  );
});

test('rolloutStatesBefore is the inverse of the transition table', () => {
  for (const from of STATES)
    for (const to of STATES) expect(rolloutStatesBefore(to).includes(from)).toBe(ROLLOUT_TRANSITIONS[from].includes(to));
});
