import type { RolloutPolicy, RolloutState } from './rollout.ts';

/** Devices of one wave by what became of their attempt. */
export type WaveCounts = {
  /** Attempts that are queued on a device that is away: they do not hold the rollout up. */
  offline: number;
  open: number;
  succeeded: number;
  failed: number;
};

export type RolloutSnapshot = {
  state: RolloutState;
  policy: RolloutPolicy;
  /** Devices that the revision changes and that no wave has taken yet (followed, not held, bundle differs, bundle not condemned). */
  eligible: number;
  /** Waves opened so far, in order. */
  waves: WaveCounts[];
};

/** Data, executed by the reconciler: one step changes a set. */
export type RolloutStep = { do: 'open_wave'; wave: number } | { do: 'wait'; why: string } | { do: 'complete' };

/** Decides what a rollout does next. Pure: the same snapshot gives the same steps. */
export function plan(snapshot: RolloutSnapshot): RolloutStep[] {
  switch (snapshot.state) {
    case 'planned':
    case 'running':
      return advance(snapshot);
    case 'awaiting_approval':
      return [{ do: 'wait', why: 'awaiting approval' }];
    case 'paused':
      return [{ do: 'wait', why: 'paused' }];
    case 'completed':
    case 'aborted':
    case 'reverting':
    case 'reverted':
    case 'superseded':
      return [];
    default:
      return unreachable(snapshot.state);
  }
}

function advance(snapshot: RolloutSnapshot): RolloutStep[] {
  switch (snapshot.policy.strategy) {
    case 'all_at_once':
      return allAtOnce(snapshot);
    default:
      return unreachable(snapshot.policy.strategy);
  }
}

function allAtOnce({ eligible, waves }: RolloutSnapshot): RolloutStep[] {
  if (eligible > 0) return [{ do: 'open_wave', wave: waves.length }];
  const open = waves.reduce((sum, wave) => sum + wave.open, 0);
  return open > 0 ? [{ do: 'wait', why: `${open} devices are under way` }] : [{ do: 'complete' }];
}

function unreachable(value: never): never {
  throw new Error(`unknown rollout state or strategy ${String(value)}`);
}
