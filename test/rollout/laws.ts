import type { MetricGate } from '../../src/policy/policy.ts';
import type { RolloutStep } from '../../src/rollout/decide/plan.ts';
import { isActive } from '../../src/rollout/rollout.ts';
import { carriedAt, isCarried, isElsewhere, isHeldBack, isLate, names, ownWave } from './bystanders.ts';
import { allowedUnavailable, demand, inQuarantine, isTaken, left, placesLeft } from './limits.ts';
import { isEligible, isRollingBack, type Model, mean, queued } from './model.ts';
import { answers, type Device, folder, isUnavailable, isUnreleased, newest, outcome, SECOND, sampledAt, stable } from './world.ts';

/** Laws that no rollout may violate, counted from the devices and not from the planner's input. Each check throws with the violated law. */

const ROLLBACK_REPORT = 60 * SECOND;
const ENDED = ['completed', 'aborted', 'reverted', 'superseded'];

/** Before a step is executed. */
export function checkStep(model: Model, step: Exclude<RolloutStep, { do: 'wait' }>): void {
  demand(model.state !== 'paused', 'a paused rollout executes no step');
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
    case 'cancel_queued':
      demand(ENDED.includes(model.state) && queued(model.world).length > 0, 'only attempts of ended rollouts are cancelled');
      break;
    case 'finish_revert':
      demand(model.state === 'reverting' && !model.world.devices.some(isRollingBack), 'a revert ends after all its rollbacks');
      break;
    default:
      throw new Error(`unknown step ${JSON.stringify(step satisfies never)}`);
  }
}

function checkOpen(model: Model, wave: number): void {
  const { state, waves, policy } = model;
  demand(['planned', 'awaiting_approval', 'running', 'completed'].includes(state), `no wave opens while the rollout is ${state}`);
  demand(!model.blocked, 'no device starts while the source is held');
  demand(model.windowsOverridden || isInWindow(model), 'no device starts outside of the windows');
  if (state === 'completed') return;
  demand(waves.slice(0, wave).length === wave && waves.slice(0, wave).every(isPassed), `wave ${wave} opens after all earlier waves passed`);
  demand(!isPassed(waves[wave]), 'a passed wave does not open again');
  demand(!isBudgetSpent(model, false), 'no device starts once the error budget is spent');
  if (waves[wave] !== undefined) return;
  const isFirst = model.starts.length === 0;
  if (policy.approval?.beforeRollout && isFirst) demand(isApproved(model, null), 'the rollout starts after its approval');
  if (policy.waves?.[wave]?.approval) demand(isApproved(model, wave), `wave ${wave} opens after its approval`);
}

function isApproved({ approvals, world }: Model, gate: number | null): boolean {
  const last = approvals.findLast((approval) => approval.wave === gate);
  return last?.decision === 'approved' && (last.expiresAt === null || last.expiresAt.getTime() > world.now);
}

/** Whether a device still waits for the rollout's bundle, now or after a hold. */
function isDeviceLeft(model: Model): boolean {
  return model.world.devices.some((device) => isEligible(model, device) || isHeldBack(model, device) || isElsewhere(model, device));
}

function isPassed(row: Model['waves'][number] | undefined): boolean {
  return row !== undefined && row.passedAt !== null;
}

/** Handles daily windows in UTC, an hourly `deny`, and `notBefore`. */
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
  demand(reachable === 0, `wave ${wave} passes after all its online devices started`);
  const isLast = wave === (policy.waves?.length ?? 0);
  demand(isLast || isProven(model, wave), `wave ${wave} passes after a success, or when all its devices run the bundle`);
  // Attempts of a skipped wave are judged when they end.
  const isSample = row !== undefined || !world.devices.some((device) => outcome(device) === 'open');
  demand(!isBudgetSpent(model, isSample), 'no wave passes once the error budget is spent');
  if (row === undefined) {
    demand(away === 0, `wave ${wave} passes unopened only without devices`);
    demand(judge(model, wave) === 'passed', `wave ${wave} passes unopened only if its gate requires no success`);
    if (!isDeviceLeft(model)) return;
    demand(
      isLast || carried(model, wave).length === 0,
      `wave ${wave} passes unopened only if no success of an earlier rollout counts for it`,
    );
    if (policy.waves?.[wave]?.approval) demand(isApproved(model, wave), `wave ${wave} passes unopened only after its approval`);
    return;
  }
  const tried = tries(model, wave);
  demand(tried.open === 0, `wave ${wave} passes when none of its attempts is under way`);
  const isGraceOver = world.now >= row.openedAt + (policy.offlineGraceSeconds ?? (isLast ? 0 : 120)) * SECOND;
  demand(isGraceOver || tried.away === 0, `wave ${wave} passes after the grace period of its offline devices`);
  demand(judge(model, wave) === 'passed', `wave ${wave} passes when its gate passes`);
  const bakeSeconds = policy.waves?.[wave]?.bakeSeconds ?? policy.bakeSeconds ?? 0;
  const stoodIn = tried.succeeded.length > 0 ? [] : carried(model, wave).map((device) => carriedAt(model, device));
  demand(world.now >= Math.max(tried.lastEndedAt, ...stoodIn) + bakeSeconds * SECOND, `wave ${wave} passes after its bake time`);
}

/** Devices of the wave on which an earlier rollout succeeded with the same bundle. They count as long as other devices wait for it. */
function carried(model: Model, wave: number): Device[] {
  if (wave === (model.policy.waves?.length ?? 0) || !isDeviceLeft(model)) return [];
  return model.world.devices.filter((device) => isCarried(model, wave, device));
}

/**
 * Whether the wave has a success or needs none. It needs none if no device of it failed, in this rollout or before, is offline, held, or under way with
 * another attempt. If the wave names devices, at least one of them must run the rollout's bundle.
 */
export function isProven(model: Model, wave: number): boolean {
  const { world, policy } = model;
  const tried = tries(model, wave);
  if (tried.succeeded.length > 0) return true;
  if (tried.ended + tried.away + inQuarantine(model, wave) > 0) return false;
  const { devices, selector } = policy.waves?.[wave] ?? {};
  const isNaming = devices !== undefined || selector !== undefined;
  const mine = world.devices.filter((device) => device.bound && (isNaming ? names(model, wave, device) : ownWave(model, device) === -1));
  if (mine.some((device) => isElsewhere(model, device) && answers(device))) return false;
  const lags = (device: Device) => folder(world, device) !== device.desired && isUnreleased(world, device);
  const isOut = (device: Device) => !isEligible(model, device) && (isNaming || !isLate(model, device));
  const isKept = mine.some((device) => lags(device) && device.quarantined !== folder(world, device) && isOut(device));
  if (isKept && placesLeft(model, wave) > 0) return false;
  return !isNaming || mine.some((device) => device.good === folder(world, device) && device.desired === device.good);
}

function tries(model: Model, wave: number) {
  const mine = model.world.devices.filter((device) => newest(device)?.wave === wave);
  const of = (which: string) => mine.filter((device) => outcome(device) === which);
  const ended = [...of('succeeded'), ...of('failed')];
  return {
    succeeded: of('succeeded'),
    failed: of('failed').length,
    ended: ended.length,
    open: of('open').length,
    away: of('offline').length + left(model, wave).away,
    lastEndedAt: Math.max(0, ...ended.map((device) => newest(device)?.finishedAt ?? 0)),
  };
}

/** `unknown`: the verdict depends on devices that are offline or have sent no telemetry yet. */
export function judge(model: Model, wave: number): 'passed' | 'failed' | 'unknown' {
  const gate = model.policy.waves?.[wave]?.gate ?? model.policy.gate ?? {};
  const { succeeded, failed, away, ...tried } = tries(model, wave);
  const quarantined = inQuarantine(model, wave);
  const ended = tried.ended + quarantined;
  if (100 * succeeded.length < (gate.success ?? 0) * ended) return 'failed';
  if (wave < (model.policy.waves?.length ?? 0) && !isProven(model, wave)) return 'unknown';
  const isShort = succeeded.length < needed(model, wave, gate.minSucceeded ?? 0, ended + away);
  if (isShort && away === 0 && failed + quarantined > 0) return 'failed';
  const updated = succeeded.length === 0 ? carried(model, wave) : succeeded;
  const metrics = updated.length === 0 ? [] : (gate.metrics ?? []).map((metric) => judgeMetric(model, updated, metric));
  if (!isShort && metrics.includes('failed')) return 'failed';
  return isShort || metrics.includes('unknown') ? 'unknown' : 'passed';
}

/** The gate's minimum, or all devices that the rollout changes if these are fewer. A wave with too few devices in total needs the minimum. */
function needed(model: Model, wave: number, wanted: number, tried: number): number {
  const { world, policy } = model;
  const { devices, selector, count, upToPercent = 100 } = policy.waves?.[wave] ?? {};
  const isLast = wave === (policy.waves?.length ?? 0);
  const isNaming = devices !== undefined || selector !== undefined;
  const isMine = (device: Device) => isLast || (isNaming ? names(model, wave, device) === true : ownWave(model, device) === -1);
  const mine = world.devices.filter((device) => device.bound && isMine(device));
  const unknown = (devices ?? []).filter((id) => !world.devices.some((device) => device.bound && device.id === id)).length;
  const isWaiting = (device: Device) => {
    const bundle = folder(world, device);
    if (isElsewhere(model, device)) return answers(device);
    const isOut = device.good !== bundle || device.desired !== bundle;
    const isKept = isLate(model, device) ? isNaming : device.held;
    return isOut && isUnreleased(world, device) && device.quarantined !== bundle && isKept;
  };
  const concerned = tried + Math.min(placesLeft(model, wave), mine.filter(isWaiting).length);
  if (concerned === 0) return 0;
  const share = Math.ceil((upToPercent * world.devices.filter((device) => device.bound).length) / 100);
  const most = isNaming ? Number.POSITIVE_INFINITY : Math.min(count ?? share, share);
  return Math.min(mine.length + unknown, most) < wanted ? wanted : Math.min(wanted, concerned);
}

function judgeMetric(model: Model, updated: readonly Device[], gate: MetricGate): 'passed' | 'failed' | 'unknown' {
  const { world } = model;
  const updatedAt = (device: Device) => newest(device)?.finishedAt ?? carriedAt(model, device);
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

/** @param isSample judges ended attempts even below the minimum sample */
function isBudgetSpent(model: Model, isSample: boolean): boolean {
  const { policy, world, waves } = model;
  const budget = policy.errorBudget ?? ((policy.waves?.length ?? 0) > 0 ? { max: '10%', minSample: 5 } : undefined);
  if (budget === undefined) return false;
  const count = (which: string) => world.devices.filter((device) => outcome(device) === which).length;
  const failed = count('failed');
  const ended = failed + count('succeeded');
  const wave = Math.min(waves.filter(isPassed).length, policy.waves?.length ?? 0);
  const quarantined = [...Array(wave + 1).keys()].reduce((sum, index) => sum + inQuarantine(model, index), 0);
  if (typeof budget.max === 'number') return failed + quarantined > budget.max;
  const share = Number.parseInt(budget.max, 10);
  if ((isSample || ended >= budget.minSample) && 100 * failed > share * ended) return true;
  // Quarantined devices count once the other devices of the wave cannot compensate for them.
  return quarantined > 0 && 100 * (failed + quarantined) > share * (ended + quarantined + count('open') + left(model, wave).reachable);
}

function checkRequest(model: Model, wave: number | null): void {
  const { approvals, policy, waves, world } = model;
  demand(!approvals.some((approval) => approval.wave === wave && approval.decision === null), 'no approval is requested twice');
  const isUsed = wave === null ? world.devices.some(isTaken) : waves[wave] !== undefined;
  demand(!isUsed, 'a used approval is not requested again');
  const isWanted = wave === null ? policy.approval?.beforeRollout : policy.waves?.[wave]?.approval;
  demand(isWanted === true, 'an approval is requested only if the policy requires it');
  demand(isDeviceLeft(model), 'no approval is requested when no device is left');
}

/** Every abort has its reason. */
function checkAbort(model: Model, { code, revert }: { code: string; revert: boolean }): void {
  const { policy, world, waves } = model;
  demand(isActive(model.state), `a rollout in state ${model.state} does not abort`);
  const wave = waves.findIndex((row) => !isPassed(row));
  const open = world.devices.filter((device) => outcome(device) === 'open').length;
  const isDone = wave === -1 ? open === 0 : tries(model, wave).open === 0 && left(model, wave).reachable === 0;
  const now = new Date(world.now);
  const lastEndedAt = Math.max(0, ...world.devices.map((device) => newest(device)?.finishedAt ?? 0));
  const broken = world.devices.filter(isUnavailable).length;
  const reasons: Record<string, () => boolean> = {
    error_budget: () => isBudgetSpent(model, isDone),
    gate_failed: () => judge(model, wave >= 0 ? wave : waves.length) === 'failed' && isDone,
    approval_expired: () => model.approvals.some(({ decision, expiresAt }) => decision === null && expiresAt !== null && expiresAt <= now),
    max_unavailable: () => open === 0 && broken >= allowedUnavailable(model) && world.now >= lastEndedAt + ROLLBACK_REPORT,
  };
  demand(reasons[code]?.() ?? false, `an abort with ${code} has that reason`);
  if (policy.onAbort === 'stop') demand(!revert, 'an abort with stop reverts no device');
  else demand(revert || world.devices.every((device) => newest(device) === undefined), 'an abort with revert reverts changed devices');
}

function checkComplete(model: Model): void {
  const { waves, world, policy } = model;
  const isOpen = world.devices.some((device) => outcome(device) === 'open');
  demand(!isOpen, 'a rollout completes when no attempt is under way');
  const isThrough = waves.length === (policy.waves?.length ?? 0) + 1 && waves.every(isPassed);
  const isAtLast = waves.filter(isPassed).length >= (policy.waves?.length ?? 0);
  const lags = (device: Device) =>
    device.bound && isUnreleased(world, device) && device.good !== folder(world, device) && !isLate(model, device);
  const isLeft = world.devices.some((device) => isEligible(model, device) || (!isAtLast && lags(device) && !isDropped(device)));
  demand(isThrough || !isLeft, 'a rollout completes after every wave passed, or when no device waits for it');
}

/** The device failed in the rollout, or its attempt was superseded: only an operator deploys to it again. */
function isDropped(device: Device): boolean {
  return newest(device) !== undefined;
}

/** Checks the end state, after all events and with all devices online. */
export function checkEnd(model: Model): void {
  const { world, state, end } = model;
  demand(ENDED.includes(state), `a rollout does not stay ${state} for ever`);
  if (state !== 'completed') demand(queued(world).length === 0, 'an ended rollout has no queued attempt');
  const bound = world.devices.filter((device) => device.bound && !device.hasLeft && newest(device) !== undefined);
  if (end?.revert) {
    const lost = bound.filter((device) => isLost(world, device) && !wasStopped(device)).map(({ id }) => id);
    demand(lost.length === 0, `${lost.join(', ')} still have the aborted bundle as desired`);
  } else if (end !== null)
    demand(
      bound.every(({ attempts }) => attempts.every(({ inRollout, kind }) => !inRollout || kind !== 'rollback')),
      'no device is reverted',
    );
  if (state !== 'completed' || world.devices.filter(isUnavailable).length >= allowedUnavailable(model)) return;
  const behind = world.devices.filter((device) => isEligible(model, device) && answers(device)).map(({ id }) => id);
  demand(behind.length === 0, `${behind.join(', ')} never caught up`);
}

/** The device's desired bundle is the aborted one. */
function isLost(world: Model['world'], device: Device): boolean {
  return device.desired === 'new' && !world.rolledBack && stable(world, device) !== 'new';
}

/** The device's rollback was cancelled, or another attempt followed it. */
function wasStopped({ attempts }: Device): boolean {
  const last = attempts.at(-1);
  return last === undefined || !last.inRollout || last.state === 'cancelled';
}
