import { budgetOf, gateOf, type MetricGate, waveName } from './policy.ts';
import type { MetricReading, RolloutSnapshot } from './snapshot.ts';

/** `detail`: what was seen and what was allowed. */
export type Verdict = { is: 'passed' } | { is: 'unknown'; detail: string } | { is: 'failed'; code: string; detail: string };

/**
 * Whether so many devices failed that the rollout must end. Null while it may go on. Pure.
 * @param isWaveDone nothing of the present wave is left to start or under way: it is judged on what there is
 */
export function spentBudget(snapshot: RolloutSnapshot, isWaveDone: boolean): string | null {
  const budget = budgetOf(snapshot.policy);
  if (budget === undefined) return null;
  const failed = snapshot.waves.reduce((sum, opened) => sum + opened.failed, 0);
  const ended = failed + snapshot.waves.reduce((sum, opened) => sum + opened.succeeded, 0);
  if (typeof budget.max === 'number')
    return failed > budget.max ? `${failed} of ${ended} devices failed, the error budget is ${budget.max}` : null;
  const isJudged = ended >= budget.minSample || (ended > 0 && isWaveDone);
  const share = (100 * failed) / Math.max(1, ended);
  if (!isJudged || share <= Number(budget.max.slice(0, -1))) return null;
  return `${failed} of ${ended} devices failed (${round(share)} %), the error budget is ${budget.max}`;
}

/** How the attempts of a wave that has ended satisfy its gate. */
export function judgeAttempts(snapshot: RolloutSnapshot, wave: number, away: number): Verdict {
  const gate = gateOf(snapshot.policy, wave);
  const { succeeded = 0, failed = 0 } = snapshot.waves[wave] ?? {};
  const ended = succeeded + failed;
  const share = ended === 0 ? 100 : (100 * succeeded) / ended;
  const name = waveName(snapshot.policy, wave);
  if (gate.success !== undefined && share < gate.success) {
    return {
      is: 'failed',
      code: 'gate_failed',
      detail: `${succeeded} of ${ended} devices of ${name} succeeded (${round(share)} %), its gate wants ${gate.success} %`,
    };
  }
  const needed = Math.min(gate.minSucceeded ?? 0, ended + away);
  if (succeeded >= needed) return { is: 'passed' };
  const detail = `${succeeded} devices of ${name} succeeded, its gate wants ${needed}`;
  return away > 0 ? { is: 'unknown', detail: `${detail}; ${away} are away` } : { is: 'failed', code: 'gate_failed', detail };
}

/** How the telemetry of a wave's devices satisfies its gate. */
export function judgeMetrics(snapshot: RolloutSnapshot, wave: number): Verdict {
  const gates = gateOf(snapshot.policy, wave).metrics ?? [];
  if ((snapshot.waves[wave]?.succeeded ?? 0) === 0) return { is: 'passed' };
  const verdicts = gates.map((gate) => {
    const reading = snapshot.readings.find((candidate) => candidate.metric === gate.metric);
    return judgeMetric(gate, reading, waveName(snapshot.policy, wave));
  });
  return verdicts.find(({ is }) => is === 'failed') ?? verdicts.find(({ is }) => is === 'unknown') ?? { is: 'passed' };
}

function judgeMetric(gate: MetricGate, reading: MetricReading | undefined, name: string): Verdict {
  if (reading?.wave == null) return { is: 'unknown', detail: `no device of ${name} has reported ${gate.metric} since it was updated` };
  const value = reading.wave[gate.over];
  const seen = `${gate.metric} of ${reading.wave.devices} devices of ${name} is ${round(value)} (${gate.over})`;
  const failed = (allowed: string): Verdict => ({ is: 'failed', code: 'gate_failed', detail: `${seen}, its gate allows ${allowed}` });
  if (gate.max !== undefined && value > gate.max) return failed(`at most ${gate.max}`);
  if (gate.min !== undefined && value < gate.min) return failed(`at least ${gate.min}`);
  if (gate.maxRatioToControl === undefined) return { is: 'passed' };
  // The last wave has nobody left to compare with.
  if (reading.control === null) return { is: 'passed' };
  if (reading.control.mean === null)
    return { is: 'unknown', detail: `none of the ${reading.control.devices} devices not updated yet has reported ${gate.metric}` };
  const allowed = gate.maxRatioToControl * reading.control.mean;
  if (value <= allowed) return { is: 'passed' };
  return failed(
    `${gate.maxRatioToControl} times the ${round(reading.control.mean)} of the ${reading.control.devices} devices not updated yet`,
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
