import type { RolloutStep } from '../../src/rollout/plan.ts';
import type { MetricGate } from '../../src/rollout/policy.ts';
import { isActive } from '../../src/rollout/rollout.ts';
import { allowedUnavailable, demand, isTaken, left } from './limits.ts';
import { isEligible, isOnItsWayBack, type Model, mean, queued } from './model.ts';
import { answers, type Device, folder, isBroken, newest, outcome, SECOND, sampledAt } from './world.ts';

/** What no rollout may do, counted anew from the devices and not from what the planner was shown. Each throws with the law that was broken. */

const WAY_BACK = 60 * SECOND;
const ENDED = ['completed', 'aborted', 'reverted', 'superseded'];

/** Before a step is executed. */
export function checkStep(model: Model, step: Exclude<RolloutStep, { do: 'wait' }>): void {
  demand(model.state !== 'paused', 'nothing is done while it is paused');
  switch (step.do) {
    case 'open_wave':
      checkOpen(model, step.wave);
      break;
    case 'pass_wave':
      checkPass(model, step.wave);
      break;
    case 'request_approval':
      checkRequest(model, step.wave);
      break;
    case 'abort':
      checkAbort(model, step);
      break;
    case 'complete':
      checkComplete(model);
      break;
    case 'call_off':
      demand(ENDED.includes(model.state) && queued(model.world).length > 0, 'only attempts of what has ended are called off');
      break;
    case 'finish_revert':
      demand(model.state === 'reverting' && !model.world.devices.some(isOnItsWayBack), 'it is reverted once nobody is on the way back');
      break;
    default:
      throw new Error(`unknown step ${JSON.stringify(step satisfies never)}`);
  }
}

function checkOpen(model: Model, wave: number): void {
  const { state, waves, policy, world } = model;
  demand(['planned', 'awaiting_approval', 'running', 'completed'].includes(state), `no wave is opened while it is ${state}`);
  demand(!model.blocked, 'nothing is started while the source is held');
  demand(model.windowsOverridden || isInWindow(model), 'nothing is started outside of the windows');
  if (state === 'completed') return;
  demand(
    waves.slice(0, wave).length === wave && waves.slice(0, wave).every(isPassed),
    `wave ${wave} is opened after those before it were passed`,
  );
  demand(!isPassed(waves[wave]), 'a wave that was passed is not opened again');
  demand(!isBudgetSpent(model, false), 'nothing is started once the error budget is spent');
  if (waves[wave] !== undefined) return;
  const isApproved = (gate: number | null) => {
    const last = model.approvals.findLast((approval) => approval.wave === gate);
    return last?.decision === 'approved' && (last.expiresAt === null || last.expiresAt.getTime() > world.now);
  };
  const isFirst = model.starts.length === 0;
  if (policy.approval?.beforeRollout && isFirst) demand(isApproved(null), 'it starts once it was approved');
  if (policy.waves?.[wave]?.approval) demand(isApproved(wave), `wave ${wave} is opened once it was approved`);
}

function isPassed(row: Model['waves'][number] | undefined): boolean {
  return row !== undefined && row.passedAt !== null;
}

/** Daily windows of UTC, `deny` each hour, or a moment. */
function isInWindow({ policy: { windows }, world: { now } }: Model): boolean {
  if (windows === undefined) return true;
  const minute = Math.floor(now / (60 * SECOND));
  const allowed = (windows.allow ?? []).map(({ cron, durationMinutes }) => {
    const start = Number(cron.split(' ')[1]) * 60;
    return (minute - start + 2 * 1440) % 1440 < durationMinutes;
  });
  if (windows.deny !== undefined && minute % 60 >= 1 && minute % 60 < 21) return false;
  if (windows.notBefore !== undefined && now < Date.parse(windows.notBefore)) return false;
  return allowed.length === 0 || allowed.includes(true);
}

function checkPass(model: Model, wave: number): void {
  const { waves, policy, world } = model;
  const row = waves[wave];
  const { reachable, away } = left(model, wave);
  demand(reachable === 0, `wave ${wave} is passed once all that answer were started`);
  if (row === undefined) {
    demand(away === 0, `wave ${wave} is passed unopened only when it has nobody`);
    return;
  }
  const tried = tries(model, wave);
  demand(tried.open === 0, `wave ${wave} is passed once nothing of it is under way`);
  const isLast = wave === (policy.waves?.length ?? 0);
  const isPatient = world.now >= row.openedAt + (policy.offlineGraceSeconds ?? (isLast ? 0 : 120)) * SECOND;
  demand(isPatient || tried.away === 0, `wave ${wave} is passed once those who are away had their time`);
  demand(judge(model, wave) === 'passed', `wave ${wave} is passed once its gate was`);
  const bakeSeconds = policy.waves?.[wave]?.bakeSeconds ?? policy.bakeSeconds ?? 0;
  demand(world.now >= tried.lastEndedAt + bakeSeconds * SECOND, `wave ${wave} is passed once it was watched`);
  demand(!isBudgetSpent(model, true), 'no wave is passed once the error budget is spent');
}

function tries(model: Model, wave: number) {
  const mine = model.world.devices.filter((device) => newest(device)?.wave === wave);
  const of = (which: string) => mine.filter((device) => outcome(device) === which);
  const ended = [...of('succeeded'), ...of('failed')];
  return {
    succeeded: of('succeeded'),
    ended: ended.length,
    open: of('open').length,
    away: of('offline').length + left(model, wave).away,
    lastEndedAt: Math.max(0, ...ended.map((device) => newest(device)?.finishedAt ?? 0)),
  };
}

/** `unknown`: it depends on devices that are away or have sent nothing yet. */
export function judge(model: Model, wave: number): 'passed' | 'failed' | 'unknown' {
  const gate = model.policy.waves?.[wave]?.gate ?? model.policy.gate ?? {};
  const { succeeded, ended, away } = tries(model, wave);
  if (100 * succeeded.length < (gate.success ?? 0) * ended) return 'failed';
  const isShort = succeeded.length < Math.min(gate.minSucceeded ?? 0, ended + away);
  if (isShort && away === 0) return 'failed';
  const metrics = succeeded.length === 0 ? [] : (gate.metrics ?? []).map((metric) => judgeMetric(model, succeeded, metric));
  if (!isShort && metrics.includes('failed')) return 'failed';
  return isShort || metrics.includes('unknown') ? 'unknown' : 'passed';
}

function judgeMetric({ world }: Model, updated: readonly Device[], gate: MetricGate): 'passed' | 'failed' | 'unknown' {
  const updatedAt = (device: Device) => newest(device)?.finishedAt ?? 0;
  const values = updated.filter((device) => sampledAt(world, device) > updatedAt(device)).map((device) => device.cpu[1]);
  if (values.length === 0) return 'unknown';
  const value = gate.over === 'max' ? Math.max(...values) : mean(values);
  if (value > (gate.max ?? value) || value < (gate.min ?? value)) return 'failed';
  const since = Math.min(...updated.map(updatedAt));
  const others = world.devices.filter(
    (device) => device.bound && device.desired !== folder(world, device) && sampledAt(world, device) > since,
  );
  if (gate.maxRatioToControl === undefined || others.length === 0) return 'passed';
  return value <= gate.maxRatioToControl * mean(others.map((device) => device.cpu[0])) ? 'passed' : 'failed';
}

/** @param isSample what has ended is judged even if it is less than the smallest sample */
function isBudgetSpent({ policy, world }: Model, isSample: boolean): boolean {
  const budget = policy.errorBudget ?? ((policy.waves?.length ?? 0) > 0 ? { max: '10%', minSample: 5 } : undefined);
  if (budget === undefined) return false;
  const failed = world.devices.filter((device) => outcome(device) === 'failed').length;
  const ended = failed + world.devices.filter((device) => outcome(device) === 'succeeded').length;
  if (typeof budget.max === 'number') return failed > budget.max;
  return (isSample || ended >= budget.minSample) && 100 * failed > Number.parseInt(budget.max, 10) * ended;
}

function checkRequest(model: Model, wave: number | null): void {
  const { approvals, policy, waves, world } = model;
  demand(!approvals.some((approval) => approval.wave === wave && approval.decision === null), 'nothing is asked twice');
  const isUsed = wave === null ? world.devices.some(isTaken) : waves[wave] !== undefined;
  demand(!isUsed, 'what was used is not asked for again');
  const isWanted = wave === null ? policy.approval?.beforeRollout : policy.waves?.[wave]?.approval;
  demand(isWanted === true, 'nothing is asked for that the policy does not want');
  const isLeft = world.devices.some((device) => isEligible(model, device));
  demand(isLeft, 'no approval is asked for when there is nothing to do');
}

/** Every end has its reason. */
function checkAbort(model: Model, { code, revert }: { code: string; revert: boolean }): void {
  const { policy, world, waves } = model;
  demand(isActive(model.state), `it is not aborted once it is ${model.state}`);
  const wave = waves.findIndex((row) => !isPassed(row));
  const open = world.devices.filter((device) => outcome(device) === 'open').length;
  const isDone = wave === -1 ? open === 0 : tries(model, wave).open === 0 && left(model, wave).reachable === 0;
  const now = new Date(world.now);
  const lastEndedAt = Math.max(0, ...world.devices.map((device) => newest(device)?.finishedAt ?? 0));
  const broken = world.devices.filter(isBroken).length;
  const reasons: Record<string, () => boolean> = {
    error_budget: () => isBudgetSpent(model, isDone),
    gate_failed: () => wave >= 0 && judge(model, wave) === 'failed' && isDone,
    approval_expired: () => model.approvals.some(({ decision, expiresAt }) => decision === null && expiresAt !== null && expiresAt <= now),
    max_unavailable: () => open === 0 && broken >= allowedUnavailable(model) && world.now >= lastEndedAt + WAY_BACK,
  };
  demand(reasons[code]?.() ?? false, `it is aborted with ${code} only when that is so`);
  if (policy.onAbort === 'stop') demand(!revert, 'nothing goes back when the policy says stop');
  else
    demand(revert || world.devices.every((device) => newest(device) === undefined), 'what was changed goes back when the policy says so');
}

function checkComplete(model: Model): void {
  const { waves, world, policy } = model;
  const isOpen = world.devices.some((device) => outcome(device) === 'open');
  demand(!isOpen, 'it is completed once nothing is under way');
  const isThrough = waves.length === (policy.waves?.length ?? 0) + 1 && waves.every(isPassed);
  const isLeft = world.devices.some((device) => isEligible(model, device));
  demand(isThrough || !isLeft, 'it is completed once every wave was passed or nobody is left');
}

/** After everything has come to rest, and everybody has come back. */
export function checkEnd(model: Model): void {
  const { world, state, end } = model;
  demand(ENDED.includes(state), `it ends, and is not ${state} for ever`);
  if (state !== 'completed') demand(queued(world).length === 0, 'nothing of what has ended is still queued');
  const bound = world.devices.filter((device) => device.bound && !device.hasLeft && newest(device) !== undefined);
  if (end?.revert) {
    const lost = bound.filter((device) => device.desired === 'new' && !wasStopped(device)).map(({ id }) => id);
    demand(lost.length === 0, `${lost.join(', ')} want what was condemned`);
  } else if (end !== null)
    demand(
      bound.every(({ attempts }) => attempts.every(({ inRollout, kind }) => !inRollout || kind !== 'rollback')),
      'nobody goes back',
    );
  if (state !== 'completed' || world.devices.filter(isBroken).length >= allowedUnavailable(model)) return;
  const behind = world.devices.filter((device) => isEligible(model, device) && answers(device)).map(({ id }) => id);
  demand(behind.length === 0, `${behind.join(', ')} never caught up`);
}

/** Somebody called its way back off, or brought it something else since. */
function wasStopped({ attempts }: Device): boolean {
  const last = attempts.at(-1);
  return last === undefined || !last.inRollout || last.state === 'cancelled';
}
