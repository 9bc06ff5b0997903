import { unreachable } from '../../async/unreachable.ts';
import { bakeSecondsOf, isLastWave, offlineGraceSecondsOf, waveCount, waveName } from '../../policy/policy.ts';
import { windowState } from '../../policy/windows.ts';
import type { Waiting } from '../rollout.ts';
import { capacity, quota, takesAway } from './capacity.ts';
import { carriedIn, judgeAttempts, judgeMetrics, spentBudget } from './gates.ts';
import { currentWave, type RolloutSnapshot, takenBy } from './snapshot.ts';

/** Data, executed by the reconciler: one step changes a set. */
export type RolloutStep =
  /** Up to `limit` devices (null: all) that the wave may take get their attempt. With 0 it is only noted as open. */
  | { do: 'open_wave'; wave: number; limit: number | null; takeAway: boolean }
  | { do: 'pass_wave'; wave: number }
  | { do: 'request_approval'; wave: number | null }
  | { do: 'abort'; code: string; detail: string; revert: boolean }
  /** Attempts that no device has begun are taken back. */
  | { do: 'call_off' }
  | { do: 'finish_revert' }
  | { do: 'complete' }
  /** `until`: it is looked at again then at the latest; null: only what happens changes something. */
  | { do: 'wait'; why: Waiting; until: Date | null };

/** During a bake the metrics are looked at this often. */
const METRICS_CHECK_MS = 5_000;
/** The end of an attempt of another rollout does not wake this one: it polls. */
const ELSEWHERE_CHECK_MS = 5_000;
/** A device says first that it failed and then, once its hooks have run again, that it went back: until then it counts as broken. */
const ROLLBACK_REPORT_MS = 5 * 60_000;

/** Decides what a rollout does next. Pure: the same snapshot and time give the same step. */
export function plan(snapshot: RolloutSnapshot, now: Date): RolloutStep {
  switch (snapshot.state) {
    case 'planned':
    case 'awaiting_approval':
    case 'running':
      return advance(snapshot, now);
    case 'paused':
      return waitFor('paused', 'somebody paused it');
    case 'completed':
      return catchUp(snapshot, now);
    case 'reverting':
      return snapshot.reverting > 0 ? waitFor('reverting', `${snapshot.reverting} devices are on their way back`) : { do: 'finish_revert' };
    case 'aborted':
    case 'reverted':
    case 'superseded':
      return snapshot.queued > 0 ? { do: 'call_off' } : waitFor('ended', `it is ${snapshot.state}`);
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
 * A wave that has nobody to start. Devices behind it still need the approval that it asks for, and what another rollout brought to its devices is watched
 * as long as what this one brings.
 */
function passEmpty(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep {
  const step = unproven(snapshot, wave, 0, now);
  if (step !== null) return step;
  if (snapshot.eligible.total + snapshot.kept === 0) return { do: 'pass_wave', wave };
  if (carriedIn(snapshot, wave) > 0) return enter(snapshot, wave, now);
  return unapproved(snapshot, wave, now) ?? { do: 'pass_wave', wave };
}

/** Nobody is left to take and, before the last wave, nobody is kept from it who would get the revision later. */
function hasNothingToDo({ policy, eligible, kept, quarantined }: RolloutSnapshot, wave: number): boolean {
  return eligible.total === 0 && (isLastWave(policy, wave) || kept + quarantined.size === 0);
}

/** Why a wave of which nothing is left to start or under way may not be passed yet. Null: its attempts satisfy its gate. */
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

/** Nothing of it is left to start or under way. Before it is opened: nor of the waves before it, which somebody may have skipped. */
function isWaveDone(snapshot: RolloutSnapshot, wave: number): boolean {
  const { waves, eligible } = snapshot;
  const opened = waves[wave];
  if (opened === undefined) return waves.every(({ open }) => open === 0);
  return opened.open === 0 && Math.min(quota(snapshot, wave), eligible.reachable) === 0;
}

/** Waves that somebody skipped may still have devices under way. */
function complete({ waves }: RolloutSnapshot): RolloutStep {
  const open = waves.reduce((sum, wave) => sum + wave.open, 0);
  return open > 0 ? waitFor('under_way', `${open} devices are under way`) : { do: 'complete' };
}

/** A wave of which nobody can be taken now: it is only noted as open, so that the time for those who are away runs. */
function enter(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep {
  return unapproved(snapshot, wave, now) ?? closed(snapshot, now) ?? { do: 'open_wave', wave, limit: 0, takeAway: false };
}

/** Starts devices, as many as the limits let through. Null: the wave has nobody left to start. */
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

/** Nothing is under way that could make room, only devices that failed and did not say that they went back. */
function awaitRollbacks(snapshot: RolloutSnapshot, why: Waiting, now: Date): RolloutStep {
  const lastEndedAt = Math.max(0, ...snapshot.waves.map((wave) => wave.lastEndedAt?.getTime() ?? 0));
  const until = new Date(lastEndedAt + ROLLBACK_REPORT_MS);
  if (now < until) return { do: 'wait', why, until };
  return abort(snapshot, why.code, `${why.detail}; nothing is under way that could make room`);
}

/** Why no device may be started now: holds, sources that must come first, windows. */
function closed({ policy, blockers, windowsOverridden }: RolloutSnapshot, now: Date): RolloutStep | null {
  const [blocker] = blockers;
  if (blocker !== undefined) return { do: 'wait', why: blocker, until: null };
  if (policy.windows === undefined || windowsOverridden) return null;
  const state = windowState(policy.windows, now);
  return state.open ? null : { do: 'wait', why: { code: 'window_closed', detail: state.why }, until: state.opensAt };
}

function unapproved(snapshot: RolloutSnapshot, wave: number, now: Date): RolloutStep | null {
  const { policy, waves } = snapshot;
  // Once a wave is open its approval has been used.
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

/** All devices that could be started were: waits for them, then for the gate. */
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
      why: { code: 'offline_grace', detail: `${away} devices of ${waveName(policy, wave)} are away` },
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

/** After its end: devices that come, come back or are let go get what the rollout established, within its limits and windows. */
function catchUp(snapshot: RolloutSnapshot, now: Date): RolloutStep {
  const step = take(snapshot, waveCount(snapshot.policy) - 1, now);
  // What was a reason to abort is none any more.
  return step === null || step.do === 'abort' ? waitFor('ended', 'it is completed') : step;
}

function abort({ policy, waves }: RolloutSnapshot, code: string, detail: string): RolloutStep {
  const revert = (policy.onAbort ?? 'revert') === 'revert' && waves.length > 0;
  return { do: 'abort', code, detail, revert };
}

function waitFor(code: string, detail: string): RolloutStep {
  return { do: 'wait', why: { code, detail }, until: null };
}
