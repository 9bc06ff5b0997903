import fc from 'fast-check';
import { expect, test } from 'vitest';
import { afterFailure, type DeploymentState, isOpen, statesBefore, TRANSITIONS } from '../../src/deployment/deployment.ts';

const STATES = Object.keys(TRANSITIONS) as DeploymentState[];

test('every state can be reached from queued, and every open one can end', () => {
  const reach = (from: DeploymentState): Set<DeploymentState> => {
    const seen = new Set<DeploymentState>([from]);
    for (const state of seen) for (const next of TRANSITIONS[state]) seen.add(next);
    return seen;
  };
  expect([...reach('queued')].sort()).toEqual([...STATES].sort());
  for (const state of STATES.filter(isOpen))
    expect([...reach(state)]).toEqual(expect.arrayContaining(['succeeded', 'failed', 'superseded', 'cancelled', 'timed_out']));
});

test('statesBefore is the inverse of the transition table', () => {
  fc.assert(
    fc.property(fc.constantFrom(...STATES), fc.constantFrom(...STATES), (from, to) => {
      expect(statesBefore(to).includes(from)).toBe(TRANSITIONS[from].includes(to));
    }),
  );
});

test('the transition table has no cycle', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 30, maxLength: 30 }), (choices) => {
      let state: DeploymentState = 'queued';
      let steps = 0;
      for (const choice of choices) {
        const next: readonly DeploymentState[] = TRANSITIONS[state];
        if (next.length === 0) break;
        state = next[choice % next.length] ?? state;
        steps += 1;
      }
      expect(steps).toBeLessThan(10);
      expect(TRANSITIONS[state]).toEqual([]);
    }),
  );
});

test('an unhealthy bundle is quarantined at the first attempt; a transient failure is retried, up to five attempts', () => {
  expect(afterFailure('health_check_failed', 1, 0.5)).toEqual({ do: 'quarantine' });
  expect(afterFailure('hook_failed', 1, 0.5)).toEqual({ do: 'quarantine' });
  expect(afterFailure('download_failed', 5, 0.5)).toEqual({ do: 'give_up' });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
      const next = afterFailure('no_space', attempt, random);
      expect(next.do).toBe('retry');
      if (next.do !== 'retry') return;
      expect(next.inSeconds).toBeGreaterThanOrEqual(5 * 2 ** (attempt - 1));
      expect(next.inSeconds).toBeLessThanOrEqual(10 * 2 ** (attempt - 1));
    }),
  );
});
