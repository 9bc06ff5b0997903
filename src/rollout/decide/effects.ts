import { waveCount, waveName } from '../../policy/policy.ts';
import { ACTIVE_STATES, type RolloutState } from '../rollout.ts';
import { quota } from './capacity.ts';
import { currentWave, type RolloutSnapshot } from './snapshot.ts';

export const ROLLOUT_ACTS = ['pause', 'resume', 'approve', 'reject', 'skip-wave', 'abort', 'retry', 'override-windows'] as const;
export type RolloutAct = (typeof ROLLOUT_ACTS)[number];

/**
 * The effect of an act if it happened now. `starts`: devices that it lets start, at once or as the limits allow; `stops`: devices that then do not start;
 * `reverts`: devices that roll back.
 */
export type Effect = { act: RolloutAct; isAllowed: boolean; starts: number; stops: number; reverts: number; detail: string };

/** Counts of the devices that acts would touch, independent of the waves. */
export type Targets = { queued: number; underWay: number; reverted: number; retried: number };

const BEFORE: Readonly<Record<RolloutAct, readonly RolloutState[]>> = {
  pause: ['planned', 'awaiting_approval', 'running'],
  resume: ['paused'],
  approve: ACTIVE_STATES,
  reject: ACTIVE_STATES,
  'skip-wave': ACTIVE_STATES,
  abort: ACTIVE_STATES,
  retry: ['running', 'paused', 'completed'],
  'override-windows': ACTIVE_STATES,
};

const NONE = { starts: 0, stops: 0, reverts: 0 };

/** Pure. @param snapshot with the counts of the devices that the rollout has not started, whatever its state */
export function effectsOf(snapshot: RolloutSnapshot, targets: Targets): Effect[] {
  return ROLLOUT_ACTS.map((act) => ({ act, isAllowed: isAllowed(act, snapshot, targets), ...NONE, ...effectOf(act, snapshot, targets) }));
}

function isAllowed(act: RolloutAct, snapshot: RolloutSnapshot, { retried }: Targets): boolean {
  if (!BEFORE[act].includes(snapshot.state)) return false;
  if (act === 'approve' || act === 'reject') return snapshot.approvals.some(({ decision }) => decision === null);
  if (act === 'skip-wave') return currentWave(snapshot.policy, snapshot.waves) < waveCount(snapshot.policy);
  return act !== 'retry' || retried > 0;
}

type Numbers = Partial<Pick<Effect, 'starts' | 'stops' | 'reverts'>> & Pick<Effect, 'detail'>;

function effectOf(act: RolloutAct, snapshot: RolloutSnapshot, targets: Targets): Numbers {
  const { eligible, policy, waves } = snapshot;
  const wave = Math.min(currentWave(policy, waves), waveCount(policy) - 1);
  const stops = eligible.total + targets.queued;
  switch (act) {
    case 'pause':
      return { stops: eligible.total, detail: 'No more devices start; attempts that began continue' };
    case 'resume':
      return { starts: eligible.total, detail: 'The rollout continues with its waves, gates and limits' };
    case 'approve': {
      const asked = snapshot.approvals.find(({ decision }) => decision === null)?.wave ?? null;
      const starts = asked === null ? eligible.total : Math.min(eligible.reachable + eligible.away, quota(snapshot, wave));
      return { starts, detail: asked === null ? 'The rollout begins' : `${waveName(policy, asked)} opens` };
    }
    case 'reject':
    case 'abort': {
      const isRevert = (policy.onAbort ?? 'revert') === 'revert';
      return { stops, reverts: isRevert ? targets.reverted : 0, detail: 'The rollout ends; devices that have not begun keep their bundle' };
    }
    case 'skip-wave': {
      const left = Math.min(eligible.reachable + eligible.away, quota(snapshot, wave));
      return {
        starts: Math.max(0, eligible.total - left),
        stops: 0,
        detail: `${waveName(policy, wave)} counts as passed; the next wave opens`,
      };
    }
    case 'retry':
      return { starts: targets.retried, detail: 'Failed devices get another attempt, also with a bundle in quarantine' };
    case 'override-windows':
      return { starts: eligible.total, detail: 'The rollout continues outside of its windows' };
    default:
      return act satisfies never;
  }
}
