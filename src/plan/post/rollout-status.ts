import { unreachable } from '../../async/unreachable.ts';
import type { CommitStatus } from '../../forge/forge.ts';
import { waveName } from '../../policy/policy.ts';
import { rolloutSize } from '../../rollout/decide/capacity.ts';
import { currentWave, type RolloutSnapshot } from '../../rollout/decide/snapshot.ts';
import type { Rollout } from '../../rollout/rollout.ts';

/** How a rollout shows beside its commit. Pure. Superseded ones are no fault of the commit: hosts have no word for it but success. */
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
      const rest = [failed > 0 ? `${failed} failed` : '', offline > 0 ? `${offline} away` : ''].filter(Boolean).join(', ');
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

/** What the numbers say already. */
const QUIET = new Set(['under_way', 'ended']);

function stopped({ state }: Rollout): string {
  return state === 'paused' ? ', paused' : '';
}

function waveOf({ policy, waves }: RolloutSnapshot): string {
  return waveName(policy, currentWave(policy, waves));
}

/** It changes without being told, as devices report. */
export function isMoving({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'running' || state === 'reverting';
}

/** Nothing follows: it must be told, whatever was told a moment ago. */
export function isFinal({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'completed' || state === 'aborted' || state === 'reverted' || state === 'superseded';
}

/** Shortest pause between two posts, and between two that say the same word, seconds. */
const PAUSE_SECONDS = 2;
const PROGRESS_SECONDS = 5;
/** So many posts of a commit come at the short pause; after each one more, the next waits half as long again. */
const QUICK_POSTS = 8;
const GROWTH = 1.5;
/** GitHub takes 1,000 statuses of a commit and context, other hosts as many or more. What is left above this is for the last words of rollouts. */
const MOST_POSTS = 300;
/** Without end a number is no interval of PostgreSQL. */
const LONGEST_PAUSE_SECONDS = 30 * 86_400;

type Posted = { state: CommitStatus['state'] | null; postedAt: Date | null };

/**
 * Seconds until a status may be posted, counted from the last post: bounded per commit, so that the host still takes the last, deciding one. That one never
 * waits, another state of the commit waits 2 s, and progress waits longer with every post: some 40 in a month. Pure.
 * @param posts of this source about the commit so far, by all its rollouts
 */
export function postPauseSeconds(rollout: Pick<Rollout, 'state'>, status: CommitStatus, last: Posted | undefined, posts: number): number {
  if (isFinal(rollout)) return 0;
  if (posts >= MOST_POSTS) return LONGEST_PAUSE_SECONDS;
  if (last?.postedAt == null) return 0;
  if (last.state !== status.state) return PAUSE_SECONDS;
  return progressPauseSeconds(posts);
}

/** Seconds between two posts that differ in numbers or reasons alone. */
export function progressPauseSeconds(posts: number): number {
  return Math.min(LONGEST_PAUSE_SECONDS, PROGRESS_SECONDS * GROWTH ** Math.max(0, posts - QUICK_POSTS));
}
