import { unreachable } from '../../async/unreachable.ts';
import type { CommitStatus } from '../../forge/forge.ts';
import { waveName } from '../../policy/policy.ts';
import { rolloutSize } from '../../rollout/decide/capacity.ts';
import { currentWave, type RolloutSnapshot } from '../../rollout/decide/snapshot.ts';
import type { Rollout } from '../../rollout/rollout.ts';

/** The commit status of a rollout. Pure. A superseded rollout is no fault of the commit, and hosts offer only success for that. */
export function rolloutStatus(rollout: Rollout, snapshot: RolloutSnapshot): CommitStatus {
  const sum = (key: 'succeeded' | 'failed' | 'offline') => snapshot.waves.reduce((total, wave) => total + wave[key], 0);
  const [succeeded, failed, offline] = [sum('succeeded'), sum('failed'), sum('offline')];
  const why = rollout.waiting?.detail;
  switch (rollout.state) {
    case 'planned':
    case 'awaiting_approval':
    case 'running':
    case 'paused': {
      const progress = `${succeeded} of ${rolloutSize(snapshot)} devices, ${waveOf(snapshot)}${failed > 0 ? `, ${failed} failed` : ''}`;
      const reason = why === undefined || QUIET.has(rollout.waiting?.code ?? '') ? '' : `: ${why}`;
      if (rollout.startedAt !== null) return { state: 'running', description: `${progress}${stopped(rollout)}${reason}` };
      return { state: 'pending', description: `waiting${stopped(rollout)}${reason}` };
    }
    case 'completed': {
      const rest = [failed > 0 ? `${failed} failed` : '', offline > 0 ? `${offline} offline` : ''].filter(Boolean).join(', ');
      return { state: 'success', description: `completed: ${succeeded} ${succeeded === 1 ? 'device' : 'devices'}${rest && `, ${rest}`}` };
    }
    case 'aborted':
    case 'reverting':
    case 'reverted':
      return { state: 'failure', description: `${rollout.state}: ${rollout.endDetail ?? rollout.endCode ?? 'it was aborted'}` };
    case 'superseded':
      return { state: 'success', description: 'superseded by a newer commit or rollout' };
    default:
      return unreachable(rollout.state);
  }
}

/** Reasons that repeat what the numbers show. */
const QUIET = new Set(['under_way', 'ended']);

function stopped({ state }: Rollout): string {
  return state === 'paused' ? ', paused' : '';
}

function waveOf({ policy, waves }: RolloutSnapshot): string {
  return waveName(policy, currentWave(policy, waves));
}

/** Whether the numbers change with the devices' reports, which trigger no post. */
export function isMoving({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'running' || state === 'reverting';
}

/** Whether this is the last state of the rollout, which must be posted without a pause. */
export function isFinal({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'completed' || state === 'aborted' || state === 'reverted' || state === 'superseded';
}

/** Shortest pause between two posts, and between two posts of the same state, seconds. */
const PAUSE_SECONDS = 2;
const PROGRESS_SECONDS = 5;
/** This many posts of a commit have the short pause. After that, each pause is half as long again as the one before. */
const QUICK_POSTS = 8;
const GROWTH = 1.5;
/** GitHub accepts 1,000 statuses per commit and context, other hosts at least as many. The rest above this limit is for final states of rollouts. */
const MOST_POSTS = 300;
/** Keeps the number within PostgreSQL's range of intervals. */
const LONGEST_PAUSE_SECONDS = 30 * 86_400;

type Posted = { state: CommitStatus['state'] | null; postedAt: Date | null };

/**
 * Seconds between the last post and the next one. The number of posts per commit is bounded, so that the host still accepts the final state. A final
 * state never waits, another new state waits 2 s, and progress waits longer after every post: some 40 posts in a month. Pure.
 * @param posts number of this source's posts on the commit so far, over all its rollouts
 */
export function postPauseSeconds(rollout: Pick<Rollout, 'state'>, status: CommitStatus, last: Posted | undefined, posts: number): number {
  if (isFinal(rollout)) return 0;
  if (posts >= MOST_POSTS) return LONGEST_PAUSE_SECONDS;
  if (last?.postedAt == null) return 0;
  if (last.state !== status.state) return PAUSE_SECONDS;
  return progressPauseSeconds(posts);
}

/** Seconds between two posts that differ only in numbers or reasons. */
export function progressPauseSeconds(posts: number): number {
  return Math.min(LONGEST_PAUSE_SECONDS, PROGRESS_SECONDS * GROWTH ** Math.max(0, posts - QUICK_POSTS));
}
