import { budgetOf, gateOf, isLastWave, isNaming, type MetricGate, shareOf, waveCount, waveName } from '../../policy/policy.ts';
import { quarantinedIn, quarantinedUpTo, quota } from './capacity.ts';
import { currentWave, type Evidence, type MetricReading, type OutReason, type RolloutSnapshot } from './snapshot.ts';

/** `detail`: the measured value and the limit. */
export type Verdict = { is: 'passed' } | { is: 'unknown'; code: string; detail: string } | { is: 'failed'; code: string; detail: string };

/**
 * Why the failed devices exceed the error budget, so that the rollout must end; null while it may continue. Quarantined devices count as soon as the
 * other devices of their wave cannot compensate for them. Pure.
 * @param isWaveDone no device of the current wave is left to start or under way: even a sample below the minimum is judged
 */
export function spentBudget(snapshot: RolloutSnapshot, isWaveDone: boolean): string | null {
  const { policy, waves, eligible } = snapshot;
  const budget = budgetOf(policy);
  if (budget === undefined) return null;
  const wave = Math.min(currentWave(policy, waves), waveCount(policy) - 1);
  const quarantined = quarantinedUpTo(snapshot, wave);
  const failed = waves.reduce((sum, opened) => sum + opened.failed, 0);
  const ended = failed + waves.reduce((sum, opened) => sum + opened.succeeded, 0);
  const note =
    quarantined === 0 ? '' : `; ${quarantined} of them ${are(quarantined)} in quarantine for this bundle since an earlier attempt`;
  const spent = (bad: number, of: number, share = '') =>
    `${bad} of ${of} devices failed${share}, the error budget is ${budget.max}${bad > failed ? note : ''}`;
  if (typeof budget.max === 'number') return failed + quarantined > budget.max ? spent(failed + quarantined, ended + quarantined) : null;
  const allowed = Number(budget.max.slice(0, -1));
  const judge = (bad: number, of: number) => {
    const share = (100 * bad) / Math.max(1, of);
    return share > allowed ? spent(bad, of, ` (${round(share)} %)`) : null;
  };
  const isJudged = ended >= budget.minSample || (ended > 0 && isWaveDone);
  const seen = isJudged ? judge(failed, ended) : null;
  if (seen !== null || quarantined === 0) return seen;
  const open = waves.reduce((sum, opened) => sum + opened.open, 0);
  return judge(failed + quarantined, ended + quarantined + open + Math.min(quota(snapshot, wave), eligible.reachable));
}

/**
 * Judges the attempts of a wave by its gate, once they have ended. Quarantined devices count as failed.
 * @param away offline devices of the wave
 */
export function judgeAttempts(snapshot: RolloutSnapshot, wave: number, away: number): Verdict {
  const { policy, evidence } = snapshot;
  const gate = gateOf(policy, wave);
  const { succeeded = 0, failed: tried = 0 } = snapshot.waves[wave] ?? {};
  const quarantined = quarantinedIn(snapshot, wave);
  const failed = tried + quarantined;
  const ended = succeeded + failed;
  const share = ended === 0 ? 100 : (100 * succeeded) / ended;
  const name = waveName(policy, wave);
  if (gate.success !== undefined && share < gate.success) {
    const note = quarantined === 0 ? '' : `; ${quarantined} ${are(quarantined)} in quarantine for this bundle since an earlier attempt`;
    return {
      is: 'failed',
      code: 'gate_failed',
      detail: `${succeeded} of ${ended} devices of ${name} succeeded (${round(share)} %), its gate requires ${gate.success} %${note}`,
    };
  }
  if (isUnproven(snapshot, wave, failed + away)) return { is: 'unknown', code: 'no_success', detail: sentenceOf(snapshot, wave) };
  const needed = neededIn(snapshot, wave, ended + away);
  if (succeeded >= needed) return { is: 'passed' };
  const detail = `${succeeded} ${succeeded === 1 ? 'device' : 'devices'} of ${name} succeeded, its gate requires ${needed}`;
  if (away > 0) return { is: 'unknown', code: 'gate', detail: `${detail}; ${away} ${are(away)} offline` };
  if (failed > 0) return { is: 'failed', code: 'gate_failed', detail };
  const members = evidence === null ? '' : `; the wave has ${evidence.members} in all${outOf(evidence)}`;
  return { is: 'unknown', code: 'gate', detail: `${detail}${members}` };
}

/**
 * Whether the wave lacks a success that it should have. A commit that changes no device of the wave needs none. It does need one if devices failed or
 * were blocked, or if no named device runs the revision's bundle. No wave follows the last one, so that it needs none.
 * @param tried devices of the wave that failed or are offline
 */
function isUnproven(snapshot: RolloutSnapshot, wave: number, tried: number): boolean {
  const { policy, waves, evidence } = snapshot;
  if (isLastWave(policy, wave) || (waves[wave]?.succeeded ?? 0) > 0) return false;
  if (tried > 0) return true;
  if (evidence === null) return false;
  if (evidence.kept > 0 && quota(snapshot, wave) > 0) return true;
  return isNaming(policy, wave) && evidence.same === 0;
}

/** The gate's minimum, or all devices that the revision changes if these are fewer. A wave with too few devices in total never satisfies its gate. */
function neededIn(snapshot: RolloutSnapshot, wave: number, tried: number): number {
  const wanted = gateOf(snapshot.policy, wave).minSucceeded ?? 0;
  const { evidence } = snapshot;
  if (wanted === 0 || evidence === null) return wanted;
  const concerned = tried + Math.min(quota(snapshot, wave), evidence.kept + evidence.elsewhere);
  if (concerned === 0) return 0;
  const { count = evidence.members, upToPercent = 100 } = snapshot.policy.waves?.[wave] ?? {};
  const size = isNaming(snapshot.policy, wave) ? evidence.members : Math.min(count, evidence.members, shareOf(upToPercent, evidence.fleet));
  return size < wanted ? wanted : Math.min(wanted, concerned);
}

/**
 * Devices of the wave on which an earlier rollout succeeded with the same bundle. The wave's metrics and bake time apply to them, as long as other
 * devices still wait for the revision.
 */
export function carriedIn({ policy, evidence, eligible, kept }: RolloutSnapshot, wave: number): number {
  return evidence === null || isLastWave(policy, wave) || eligible.total + kept === 0 ? 0 : evidence.carried;
}

/** Whether `plan` needs the evidence of the wave's devices, which costs one more SQL statement. */
export function needsEvidence(snapshot: Omit<RolloutSnapshot, 'evidence'>, wave: number): boolean {
  const { policy, waves, eligible } = snapshot;
  const opened = waves[wave];
  const { open = 0, succeeded = 0, passedAt = null } = opened ?? {};
  if (open > 0 || passedAt !== null || Math.min(quota({ ...snapshot, evidence: null }, wave), eligible.reachable) > 0) return false;
  return (!isLastWave(policy, wave) && succeeded === 0) || succeeded < (gateOf(policy, wave).minSucceeded ?? 0);
}

/** Predicates of sentences whose subject is a device. */
export const OUT_WORDS: Readonly<Record<OutReason, string>> = {
  unknown: 'is no device of this source',
  no_bundle: 'has no valid folder in this source',
  invalid: 'has an invalid folder',
  quarantined: 'is in quarantine for this bundle',
  stopped: 'is stopped',
  held: 'is held',
  site_held: 'is at a site that is held',
  offline: 'is offline',
  being_evaluated: 'is being evaluated again',
  joined_late: 'joined after the rollout began',
  elsewhere: 'has another attempt under way',
  not_updated: 'does not run this bundle',
};

function sentenceOf({ policy, evidence }: RolloutSnapshot, wave: number): string {
  const name = waveName(policy, wave);
  const why = evidence === null || evidence.outTotal === 0 ? ': it has no devices' : outOf(evidence);
  return `no device of ${name} has succeeded${why}. Fix that, or skip the wave to continue without a success`;
}

function outOf({ out, outTotal }: Evidence): string {
  if (out.length === 0) return '';
  const more = outTotal > out.length ? `, and ${outTotal - out.length} more` : '';
  return `: ${out.map(({ deviceId, why }) => `${deviceId} ${OUT_WORDS[why]}`).join(', ')}${more}`;
}

function are(count: number): string {
  return count === 1 ? 'is' : 'are';
}

/** Judges the telemetry of a wave's devices by its gate. */
export function judgeMetrics(snapshot: RolloutSnapshot, wave: number): Verdict {
  const gates = gateOf(snapshot.policy, wave).metrics ?? [];
  if ((snapshot.waves[wave]?.succeeded ?? 0) + carriedIn(snapshot, wave) === 0) return { is: 'passed' };
  const verdicts = gates.map((gate) => {
    const reading = snapshot.readings.find((candidate) => candidate.metric === gate.metric);
    return judgeMetric(gate, reading, waveName(snapshot.policy, wave));
  });
  return verdicts.find(({ is }) => is === 'failed') ?? verdicts.find(({ is }) => is === 'unknown') ?? { is: 'passed' };
}

function judgeMetric(gate: MetricGate, reading: MetricReading | undefined, name: string): Verdict {
  if (reading?.wave == null)
    return { is: 'unknown', code: 'no_telemetry', detail: `no device of ${name} has reported ${gate.metric} since it was updated` };
  const value = reading.wave[gate.over];
  const seen = `${gate.metric} of ${reading.wave.devices} devices of ${name} is ${round(value)} (${gate.over})`;
  const failed = (allowed: string): Verdict => ({ is: 'failed', code: 'gate_failed', detail: `${seen}, its gate allows ${allowed}` });
  if (gate.max !== undefined && value > gate.max) return failed(`at most ${gate.max}`);
  if (gate.min !== undefined && value < gate.min) return failed(`at least ${gate.min}`);
  if (gate.maxRatioToControl === undefined) return { is: 'passed' };
  // In the last wave no device is left to compare with.
  if (reading.control === null) return { is: 'passed' };
  if (reading.control.mean === null)
    return {
      is: 'unknown',
      code: 'no_telemetry',
      detail: `none of the ${reading.control.devices} devices not updated yet has reported ${gate.metric}`,
    };
  const allowed = gate.maxRatioToControl * reading.control.mean;
  if (value <= allowed) return { is: 'passed' };
  return failed(
    `${gate.maxRatioToControl} times the ${round(reading.control.mean)} of the ${reading.control.devices} devices not updated yet`,
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
