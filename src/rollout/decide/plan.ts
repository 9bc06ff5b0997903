import { unreachable } from '../../async/unreachable.ts';
import { bakeSecondsOf, isLastWave, offlineGraceSecondsOf, waveCount, waveName } from '../../policy/policy.ts';
import { windowState } from '../../policy/windows.ts';
import type { Waiting } from '../rollout.ts';
import { capacity, quota, takesAway } from './capacity.ts';
import { carriedIn, judgeAttempts, judgeMetrics, spentBudget } from './gates.ts';
import { currentWave, type RolloutSnapshot, takenBy } from './snapshot.ts';

/** Data that the reconciler executes: one step changes a set of rows. */
export type RolloutStep =
  /** Opens attempts for up to `limit` devices of the wave (null: all). With 0 only the opening of the wave is recorded. */
  | { do: 'open_wave'; wave: number; limit: number | null; takeAway: boolean }
  | { do: 'pass_wave'; wave: number }
  | { do: 'request_approval'; wave: number | null }
  | { do: 'abort'; code: string; detail: string; revert: boolean }
  /** Cancels the attempts that no device has begun. */
  | { do: 'cancel_queued' }
  | { do: 'finish_revert' }
  | { do: 'complete' }
  /** `until`: the next check happens then at the latest; null: only an event triggers the next check. */
  | { do: 'wait'; why: Waiting; until: Date | null };

/** Interval between checks of the metrics during a bake. */
const METRICS_CHECK_MS = 5_000;
/** The end of another rollout's attempt does not wake this rollout: it polls. */
const ELSEWHERE_CHECK_MS = 5_000;
/** A device reports the failure first, and the rollback after its hooks ran again. Until then it counts as unavailable. */
const ROLLBACK_REPORT_MS = 5 * 60_000;

/** Decides what a rollout does next. Pure: the same snapshot and time give the same step. */
export function plan(snapshot: RolloutSnapshot, now: Date): RolloutStep {
  switch (snapshot.state) {
    case 'planned':
    case 'awaiting_approval':
    case 'running':
      return advance(snapshot, now);
    case 'paused':
      return waitFor('paused', 'an operator paused it');
    case 'completed':
      return catchUp(snapshot, now);
    case 'reverting':
      return snapshot.reverting > 0 ? waitFor('reverting', `${snapshot.reverting} devices are being reverted`) : { do: 'finish_revert' };
    case 'aborted':
    case 'reverted':
    case 'superseded':
      return snapshot.queued > 0 ? { do: 'cancel_queued' } : waitFor('ended', `it is ${snapshot.state}`);
    default:
      return unreachable(snapshot.state);
  }
}

function advance(snapshot: RolloutSnapshot, now: Date): RolloutStep {
  const { policy, waves, eligible } = snapshot;
  const wave = currentWave(policy, waves);
  const opened = waves[wave];
  const spent = spentBudget(snapshot, isWaveDone(snapshot, wave));
  if (spent !== null) return abort(snapshot, 'error_budget', spent);
  if (wave >= waveCount(policy)) return complete(snapshot);
  if (opened === undefined) {
    if (hasNothingToDo(snapshot, wave)) return complete(snapshot);
    if (eligible.reachable + eligible.away === 0 || quota(snapshot, wave) === 0) return passEmpty(snapshot, wave, now);
  }
  return take(snapshot, wave, now) ?? (opened === undefined ? enter(snapshot, wave, now) : close(snapshot, wave, now));
}

/**
 * Handles a wave without a device to start. Devices of later waves still need the approval that this wave requires. A bundle that another rollout deployed
 * to its devices gets the same bake time as one of this rollout.
 */
function passEmpty(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep {
  const step = unproven(snapshot, wave, 0, now);
  if (step !== null) return step;
  if (snapshot.eligible.total + snapshot.kept === 0) return { do: 'pass_wave', wave };
  if (carriedIn(snapshot, wave) > 0) return enter(snapshot, wave, now);
  return unapproved(snapshot, wave, now) ?? { do: 'pass_wave', wave };
}

/** Whether no device is left to start and, before the last wave, no blocked device waits for the revision. */
function hasNothingToDo({ policy, eligible, kept, quarantined }: RolloutSnapshot, wave: number): boolean {
  return eligible.total === 0 && (isLastWave(policy, wave) || kept + quarantined.size === 0);
}

/** The step that keeps a wave from passing, once none of its devices is left to start or under way. Null: its attempts satisfy its gate. */
function unproven(snapshot: RolloutSnapshot, wave: number, away: number, now: Date): RolloutStep | null {
  const { policy, evidence } = snapshot;
  const verdict = judgeAttempts(snapshot, wave, away);
  if (verdict.is === 'failed') return abort(snapshot, verdict.code, verdict.detail);
  if (evidence !== null && evidence.elsewhere > 0 && !isLastWave(policy, wave)) {
    const detail = `${evidence.elsewhere} devices of ${waveName(policy, wave)} have another attempt under way`;
    return { do: 'wait', why: { code: 'under_way', detail }, until: new Date(now.getTime() + ELSEWHERE_CHECK_MS) };
  }
  return verdict.is === 'unknown' ? waitFor(verdict.code, verdict.detail) : null;
}

/** Whether no device of the wave is left to start or under way. An unopened wave also waits for earlier waves, which may have been skipped. */
function isWaveDone(snapshot: RolloutSnapshot, wave: number): boolean {
  const { waves, eligible } = snapshot;
  const opened = waves[wave];
  if (opened === undefined) return waves.every(({ open }) => open === 0);
  return opened.open === 0 && Math.min(quota(snapshot, wave), eligible.reachable) === 0;
}

/** Skipped waves may still have devices under way. */
function complete({ waves }: RolloutSnapshot): RolloutStep {
  const open = waves.reduce((sum, wave) => sum + wave.open, 0);
  return open > 0 ? waitFor('under_way', `${open} devices are under way`) : { do: 'complete' };
}

/** Records the opening of a wave whose devices cannot start now, so that the grace period of its offline devices begins. */
function enter(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep {
  return unapproved(snapshot, wave, now) ?? closed(snapshot, now) ?? { do: 'open_wave', wave, limit: 0, takeAway: false };
}

/** Starts as many devices as the limits allow. Null: the wave has no device left to start. */
function take(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep | null {
  const { policy, eligible } = snapshot;
  const takeAway = takesAway(policy, wave);
  const wanted = Math.min(quota(snapshot, wave), takeAway ? eligible.reachable + eligible.away : eligible.reachable);
  if (wanted === 0) return null;
  const shut = (snapshot.state === 'completed' ? null : unapproved(snapshot, wave, now)) ?? closed(snapshot, now);
  if (shut !== null) return shut;
  const { devices, why, until } = capacity(snapshot, now);
  if (devices > 0) {
    const limit = Math.min(wanted, devices);
    return { do: 'open_wave', wave, limit: takeAway ? null : limit, takeAway };
  }
  if (until !== null || snapshot.waves.some(({ open }) => open > 0)) return { do: 'wait', why, until };
  return awaitRollbacks(snapshot, why, now);
}

/** Waits for the rollbacks of failed devices, which alone can free capacity, and aborts when they are late. */
function awaitRollbacks(snapshot: RolloutSnapshot, why: Waiting, now: Date): RolloutStep {
  const lastEndedAt = Math.max(0, ...snapshot.waves.map((wave) => wave.lastEndedAt?.getTime() ?? 0));
  const until = new Date(lastEndedAt + ROLLBACK_REPORT_MS);
  if (now < until) return { do: 'wait', why, until };
  return abort(snapshot, why.code, `${why.detail}; no device is under way that could free capacity`);
}

/** Why no device may be started now: holds, rollouts of other sources, windows. */
function closed({ policy, blockers, windowsOverridden }: RolloutSnapshot, now: Date): RolloutStep | null {
  const [blocker] = blockers;
  if (blocker !== undefined) return { do: 'wait', why: blocker, until: null };
  if (policy.windows === undefined || windowsOverridden) return null;
  const state = windowState(policy.windows, now);
  return state.open ? null : { do: 'wait', why: { code: 'window_closed', detail: state.why }, until: state.opensAt };
}

function unapproved(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep | null {
  const { policy, waves } = snapshot;
  // An open wave has used its approval.
  if (waves[wave] !== undefined) return null;
  const isUntouched = waves.every((opened) => takenBy(opened) === 0);
  const gates = [
    ...(policy.approval?.beforeRollout === true && isUntouched ? [null] : []),
    ...(policy.waves?.[wave]?.approval === true ? [wave] : []),
  ];
  for (const gate of gates) {
    const step = awaitApproval(snapshot, gate, now);
    if (step !== null) return step;
  }
  return null;
}

function awaitApproval(snapshot: RolloutSnapshot, gate: number | null, now: Date): RolloutStep | null {
  const subject = gate === null ? 'the rollout' : waveName(snapshot.policy, gate);
  const last = snapshot.approvals.findLast((approval) => approval.wave === gate);
  const isExpired = last?.expiresAt != null && last.expiresAt <= now;
  if (last?.decision === 'approved' && !isExpired) return null;
  if (last === undefined || last.decision === 'approved') return { do: 'request_approval', wave: gate };
  if (last.decision === 'rejected') return abort(snapshot, 'rejected', `${subject} was rejected`);
  if (last.decision === 'expired' || isExpired) return abort(snapshot, 'approval_expired', `nobody approved ${subject} in time`);
  return { do: 'wait', why: { code: 'awaiting_approval', detail: `${subject} awaits approval` }, until: last.expiresAt };
}

/** Waits for the started devices, then for the gate, once no further device can be started. */
function close(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep {
  const { policy, waves, eligible } = snapshot;
  const opened = waves[wave];
  if (opened === undefined) return { do: 'pass_wave', wave };
  if (opened.open > 0) return waitFor('under_way', `${opened.open} devices of ${waveName(policy, wave)} are under way`);
  const away = opened.offline + Math.min(eligible.away, quota(snapshot, wave));
  const graceEnds = new Date(opened.openedAt.getTime() + offlineGraceSecondsOf(policy, wave) * 1000);
  if (away > 0 && now < graceEnds)
    return {
      do: 'wait',
      why: { code: 'offline_grace', detail: `${away} devices of ${waveName(policy, wave)} are offline` },
      until: graceEnds,
    };
  return unproven(snapshot, wave, away, now) ?? bake(snapshot, wave, now);
}

function bake(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep {
  const { policy, waves, evidence } = snapshot;
  const metrics = judgeMetrics(snapshot, wave);
  if (metrics.is === 'failed') return abort(snapshot, metrics.code, metrics.detail);
  const carriedAt = carriedIn(snapshot, wave) > 0 ? (evidence?.carriedAt ?? null) : null;
  const endedAt = Math.max(waves[wave]?.lastEndedAt?.getTime() ?? 0, carriedAt?.getTime() ?? 0);
  const bakeEnds = endedAt === 0 ? now : new Date(endedAt + bakeSecondsOf(policy, wave) * 1000);
  const nextCheck = new Date(now.getTime() + METRICS_CHECK_MS);
  if (now < bakeEnds) {
    const until = snapshot.readings.length > 0 && nextCheck < bakeEnds ? nextCheck : bakeEnds;
    return { do: 'wait', why: { code: 'baking', detail: `${waveName(policy, wave)} is watched until ${bakeEnds.toISOString()}` }, until };
  }
  if (metrics.is === 'unknown') return { do: 'wait', why: { code: metrics.code, detail: metrics.detail }, until: nextCheck };
  return { do: 'pass_wave', wave };
}

/** Deploys the completed rollout's bundle to devices that were added, came online or were released since, within its limits and windows. */
function catchUp(snapshot: RolloutSnapshot, now: Date): RolloutStep {
  const step = take(snapshot, waveCount(snapshot.policy) - 1, now);
  // A completed rollout cannot abort.
  return step === null || step.do === 'abort' ? waitFor('ended', 'it is completed') : step;
}

function abort({ policy, waves }: RolloutSnapshot, code: string, detail: string): RolloutStep {
  const revert = (policy.onAbort ?? 'revert') === 'revert' && waves.length > 0;
  return { do: 'abort', code, detail, revert };
}

function waitFor(code: string, detail: string): RolloutStep {
  return { do: 'wait', why: { code, detail }, until: null };
}
