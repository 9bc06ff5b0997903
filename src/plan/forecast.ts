import { isLastWave, isNaming, type RolloutPolicy, waveCount } from '../policy/policy.ts';
import { quota } from '../rollout/decide/capacity.ts';
import { judgeAttempts, spentBudget } from '../rollout/decide/gates.ts';
import type { Evidence, OutReason, RolloutSnapshot } from '../rollout/decide/snapshot.ts';
import type { Waiting } from '../rollout/rollout.ts';
import { type Assignment, type Candidate, namesOf } from './waves.ts';

/** A device of the source, with the facts that decide about its wave. */
export type Member = {
  device: Candidate;
  isEligible: boolean;
  isQuarantined: boolean;
  /** null: it runs the desired bundle. */
  why: OutReason | null;
  /** Its folder differs from what the last completed rollout delivered. */
  changed: boolean;
};

/** Limit of devices named in a sentence. */
const NAMED = 10;
const KEPT: ReadonlySet<OutReason> = new Set(['stopped', 'held', 'site_held', 'being_evaluated', 'joined_late']);

/**
 * Returns for each wave why the rollout would stop or end there even if every attempt succeeds, by the rollout's own rules. The rollout would not
 * reach the waves after the first such one. Pure.
 */
export function forecast(
  policy: RolloutPolicy,
  members: readonly Member[],
  { waves: assigned, quarantined }: Assignment,
): (Waiting | null)[] {
  const found: (Waiting | null)[] = [];
  const eligible = members.filter(({ isEligible }) => isEligible);
  const isIdle =
    eligible.length === 0 && !members.some(({ isQuarantined, why, changed }) => isQuarantined || isKept({ why, changed }, false));
  for (let wave = 0; wave < waveCount(policy) && !isIdle; wave++) {
    const snapshot = snapshotAt(policy, members, assigned, quarantined, wave);
    const spent = spentBudget(snapshot, true);
    const verdict = judgeAttempts(snapshot, wave, isLastWave(policy, wave) ? 0 : awayIn(snapshot, policy, members, wave));
    const stop = spent !== null ? { code: 'error_budget', detail: spent } : verdict.is === 'passed' ? null : verdict;
    found.push(stop === null ? null : { code: stop.code, detail: stop.detail });
    if (stop !== null) break;
  }
  return found;
}

/** @param isNamed the wave names the device. Other devices that joined late wait for the end of the rollout, and it does not wait for them */
function isKept({ why, changed }: Pick<Member, 'why' | 'changed'>, isNamed: boolean): boolean {
  return why === 'invalid' || (why !== null && changed && KEPT.has(why) && (isNamed || why !== 'joined_late'));
}

/** The snapshot of the rollout after all waves up to this one succeeded. */
function snapshotAt(
  policy: RolloutPolicy,
  members: readonly Member[],
  assigned: ReadonlyMap<string, number>,
  quarantined: readonly number[],
  wave: number,
): RolloutSnapshot {
  const at = new Date(0);
  const taken = (index: number) => [...assigned.values()].filter((mine) => mine === index).length;
  const waves = Array.from({ length: wave + 1 }, (_, index) => ({
    ...{ openedAt: at, passedAt: index < wave ? at : null, offline: 0, open: 0, failed: 0, lastEndedAt: null },
    succeeded: taken(index),
  }));
  const done = waves.reduce((sum, { succeeded }) => sum + succeeded, 0);
  const total = members.filter(({ isEligible }) => isEligible).length - done;
  const inQuarantine = new Map<number, number>();
  const unnamed = quarantined.reduce((sum, count, index) => sum + (isNaming(policy, index) ? 0 : count), 0);
  for (const [index, count] of quarantined.entries()) if (isNaming(policy, index) && count > 0) inQuarantine.set(index, count);
  if (unnamed > 0) inQuarantine.set(-1, unnamed);
  return {
    ...{ state: 'running', policy, waves, eligible: { total, reachable: 0, away: 0, room: 0 }, quarantined: inQuarantine, kept: 0 },
    evidence: evidenceOf(policy, members, wave),
    ...{ unavailable: 0, startedLastMinute: { count: 0, firstAt: null }, readings: [], approvals: [], blockers: [] },
    ...{ windowsOverridden: false, queued: 0, reverting: 0 },
  };
}

function evidenceOf(policy: RolloutPolicy, members: readonly Member[], wave: number): Evidence {
  const mine = membersIn(policy, members, wave);
  const ids = new Set(members.map(({ device }) => device.id));
  const unknown = (policy.waves?.[wave]?.devices ?? [])
    .filter((id) => !ids.has(id))
    .map((deviceId) => ({ deviceId, why: 'unknown' as const }));
  const out = mine
    .flatMap(({ device, why, changed }) => (why !== null && (changed || isNaming(policy, wave)) ? [{ deviceId: device.id, why }] : []))
    .concat(unknown)
    .sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1));
  return {
    members: mine.length + unknown.length,
    same: mine.filter(({ why }) => why === null).length,
    // The bake time only delays a rollout.
    ...{ carried: 0, carriedAt: null, fleet: members.length, elsewhere: 0 },
    kept: mine.filter((member) => isKept(member, isNaming(policy, wave))).length,
    out: out.slice(0, NAMED),
    outTotal: out.length,
  };
}

function membersIn(policy: RolloutPolicy, members: readonly Member[], wave: number): readonly Member[] {
  if (isLastWave(policy, wave)) return members;
  const named = (policy.waves ?? []).map(namesOf);
  const names = named[wave];
  return members.filter(({ device }) => (names === undefined ? !named.some((other) => other?.has(device) === true) : names.has(device)));
}

/** Counts offline devices that the wave would take if they were online. */
function awayIn(snapshot: RolloutSnapshot, policy: RolloutPolicy, members: readonly Member[], wave: number): number {
  const away = membersIn(policy, members, wave).filter(({ isEligible, device }) => isEligible && !device.reachable).length;
  return Math.min(away, quota(snapshot, wave));
}
