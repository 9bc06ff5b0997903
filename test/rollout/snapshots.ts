import type { z } from 'zod';
import { RolloutPolicy } from '../../src/policy/policy.ts';
import { plan, type RolloutStep } from '../../src/rollout/decide/plan.ts';
import type { ApprovalSnapshot, Evidence, RolloutSnapshot, WaveSnapshot } from '../../src/rollout/decide/snapshot.ts';

export const NOW = new Date('2026-03-02T12:00:00Z');

/** @param seconds after NOW */
export function at(seconds: number): Date {
  return new Date(NOW.getTime() + seconds * 1_000);
}

export type Shown = Partial<Omit<RolloutSnapshot, 'policy' | 'waves' | 'eligible' | 'approvals' | 'quarantined' | 'evidence'>> & {
  policy?: z.input<typeof RolloutPolicy>;
  waves?: Partial<WaveSnapshot>[];
  eligible?: Partial<RolloutSnapshot['eligible']>;
  approvals?: Partial<ApprovalSnapshot>[];
  /** Counts by the first naming wave, -1 for none. */
  quarantined?: Record<number, number>;
  evidence?: Partial<Evidence> | null;
};

/**
 * A running rollout without devices to start, plus the given fields. Waves have been open for a minute. Each wave has a device that runs the revision's
 * bundle, and no blocked device.
 */
export function snapshot(shown: Shown): RolloutSnapshot {
  const { policy = {}, waves = [], eligible = {}, approvals = [], quarantined = {}, evidence = {}, ...rest } = shown;
  const { reachable = 0, away = 0 } = eligible;
  return {
    ...{
      state: 'running',
      policy: RolloutPolicy.parse(policy),
      unavailable: 0,
      startedLastMinute: { count: 0, firstAt: null },
      readings: [],
    },
    ...{ blockers: [], windowsOverridden: false, queued: 0, reverting: 0, kept: 0 },
    quarantined: new Map(Object.entries(quarantined).map(([wave, count]) => [Number(wave), count])),
    evidence:
      evidence === null
        ? null
        : { members: 100, same: 1, carried: 0, carriedAt: null, fleet: 100, elsewhere: 0, kept: 0, out: [], outTotal: 0, ...evidence },
    waves: waves.map((wave) => ({
      ...{ openedAt: at(-60), passedAt: null, offline: 0, open: 0, succeeded: 0, failed: 0, lastEndedAt: null },
      ...wave,
    })),
    eligible: { total: reachable + away, reachable, away, room: reachable, ...eligible },
    approvals: approvals.map((approval) => ({ wave: null, decision: null, expiresAt: null, ...approval })),
    ...rest,
  };
}

export function planned(shown: Shown): RolloutStep {
  return plan(snapshot(shown), NOW);
}

/** A short form of the step: the reason of a wait or an abort, or the action. */
export function brief(shown: Shown): string {
  const step = planned(shown);
  if (step.do === 'wait') return `wait: ${step.why.code}`;
  if (step.do === 'abort') return `abort: ${step.code}`;
  if (step.do === 'open_wave') return `open_wave ${step.wave}: ${step.limit ?? 'all'}`;
  if (step.do === 'pass_wave' || step.do === 'request_approval') return `${step.do} ${step.wave ?? 'rollout'}`;
  return step.do;
}
