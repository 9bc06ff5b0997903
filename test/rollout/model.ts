import { type Gate, gateOf, RolloutPolicy, waveCount } from '../../src/policy/policy.ts';
import type { RolloutStep } from '../../src/rollout/decide/plan.ts';
import {
  type ApprovalSnapshot,
  currentWave,
  type MetricReading,
  type RolloutSnapshot,
  type WaveSnapshot,
} from '../../src/rollout/decide/snapshot.ts';
import { isActive, type RolloutState } from '../../src/rollout/rollout.ts';
import { carriedAt, eligibilityOf, evidenceOf, isCarried, names } from './bystanders.ts';
import {
  answers,
  cancelAttempts,
  converge,
  type Device,
  type DeviceSpec,
  deploy,
  folder,
  isUnavailable,
  isUnderWay,
  movable,
  newest,
  openWorld,
  outcome,
  revertAll,
  SECOND,
  sampledAt,
  type World,
} from './world.ts';

/** One rollout of a world, as the database stores it. Executes steps like the reconciler and its statements. */
export type Model = {
  world: World;
  policy: RolloutPolicy;
  /** The policy of rollouts of Git's revision; a rollback changes all devices at once. */
  wanted: RolloutPolicy;
  /** The source was rolled back, and the rollback's hold was not lifted. */
  isRolledBack: boolean;
  /** The last rollout of Git's revision was aborted. */
  wasAborted: boolean;
  state: RolloutState;
  createdAt: number;
  waves: { openedAt: number; passedAt: number | null; skipped: boolean }[];
  approvals: ApprovalSnapshot[];
  blocked: boolean;
  windowsOverridden: boolean;
  /** Why it ended. */
  end: { code: string; revert: boolean } | null;
  /** The attempts that the rollout started, in order. */
  starts: { at: number; device: Device }[];
};

export function openModel(policy: RolloutPolicy, specs: readonly DeviceSpec[], now: number): Model {
  return {
    world: openWorld(policy, specs, now),
    ...{
      policy,
      wanted: policy,
      isRolledBack: false,
      wasAborted: false,
      state: 'planned',
      createdAt: now,
      waves: [],
      approvals: [],
      blocked: false,
      windowsOverridden: false,
      end: null,
      starts: [],
    },
  };
}

export function isEligible({ world, policy, state, createdAt }: Model, device: Device): boolean {
  const bundle = folder(world, device);
  const differs = bundle !== device.desired && bundle !== device.quarantined;
  const hasJoined = policy.lateJoiners !== 'wait' || state === 'completed' || device.followedAt <= createdAt;
  return movable(device) && differs && hasJoined;
}

/** A naming wave also takes devices that earlier waves name. Other waves leave devices to later naming waves. */
export function inWave(model: Model, device: Device, wave: number): boolean {
  const waves = [...(model.policy.waves ?? []).keys()];
  const isNamed = (index: number) => names(model, index, device) === true;
  if (names(model, wave, device) !== undefined) return waves.slice(0, wave + 1).some(isNamed);
  return !waves.some((index) => index > wave && isNamed(index));
}

/** Attempts under way at the site, whatever started them. */
export function underWayAt({ world }: Model, site: Device['site']): number {
  const there = world.devices.filter((device) => device.site === site && device.bound);
  return there.filter((device) => device.attempts.some((attempt) => isUnderWay(device, attempt))).length;
}

export function snapshotOf(model: Model): RolloutSnapshot {
  const { world, policy, state, approvals } = model;
  const counts = model.waves.map((_, wave) => countWave(world, wave));
  const waves = model.waves.map((row, wave): WaveSnapshot => {
    const { offline = 0, open = 0, succeeded = 0, failed = 0, lastEndedAt = null } = counts[wave] ?? {};
    return { ...{ openedAt: new Date(row.openedAt), passedAt: dateOf(row.passedAt) }, offline, open, succeeded, failed, lastEndedAt };
  });
  const takes = state === 'completed' || (isActive(state) && state !== 'paused');
  const last = waveCount(policy) - 1;
  const wave = state === 'completed' ? last : Math.min(currentWave(policy, waves), last);
  const recent = policy.rate === undefined ? [] : model.starts.filter(({ at }) => at > world.now - 60 * SECOND);
  const snapshot = {
    ...{ state, policy, waves, approvals: approvals.map((approval) => ({ ...approval })) },
    ...(takes ? eligibilityOf(model, wave) : { quarantined: new Map<number, number>(), kept: 0 }),
    eligible: takes ? countEligible(model, wave) : { total: 0, reachable: 0, away: 0, room: 0 },
    unavailable: world.devices.filter((device) => outcome(device) === 'open' || isUnavailable(device)).length,
    startedLastMinute: { count: recent.length, firstAt: dateOf(recent[0]?.at ?? null) },
    readings: model.waves[wave] === undefined ? [] : readings(model, wave, gateOf(policy, wave)),
    blockers: takes && model.blocked ? [{ code: 'source_held', detail: 'the source is held' }] : [],
    windowsOverridden: model.windowsOverridden,
    queued: queued(world).length,
    reverting: world.devices.filter(isRollingBack).length,
  };
  return { ...snapshot, evidence: evidenceOf(model, snapshot, wave) };
}

export function isRollingBack(device: Device): boolean {
  return device.attempts.some(
    (attempt) => attempt.inRollout && attempt.kind === 'rollback' && (isUnderWay(device, attempt) || attempt.retryAt !== null),
  );
}

function countWave(world: World, wave: number) {
  const mine = world.devices.filter((device) => newest(device)?.wave === wave);
  const count = (which: string) => mine.filter((device) => outcome(device) === which).length;
  const ends = mine.filter((device) => ['succeeded', 'failed'].includes(outcome(device))).map((device) => newest(device)?.finishedAt ?? 0);
  const lastEndedAt = ends.length === 0 ? null : new Date(Math.max(...ends));
  return { offline: count('offline'), open: count('open'), succeeded: count('succeeded'), failed: count('failed'), lastEndedAt };
}

function countEligible(model: Model, wave: number): RolloutSnapshot['eligible'] {
  const all = model.world.devices.filter((device) => isEligible(model, device));
  const mine = all.filter((device) => inWave(model, device, wave));
  const reachable = mine.filter(answers);
  return { total: all.length, reachable: reachable.length, away: mine.length - reachable.length, room: withRoom(model, reachable).length };
}

/** The devices that the limit per site allows. */
function withRoom(model: Model, devices: readonly Device[]): Device[] {
  const limit = model.policy.maxParallelPerSite ?? Number.POSITIVE_INFINITY;
  const sites = Map.groupBy(devices, ({ site }) => site);
  const chosen = [...sites].flatMap(([site, group]) =>
    site === null ? group : group.slice(0, Math.max(0, limit - underWayAt(model, site))),
  );
  return chosen.sort((a, b) => a.id.localeCompare(b.id));
}

/** Each device has the same value in every sample. */
function readings(model: Model, wave: number, { metrics = [] }: Gate): MetricReading[] {
  const { world } = model;
  const own = world.devices.filter((device) => newest(device)?.wave === wave && outcome(device) === 'succeeded');
  const isLast = wave === waveCount(model.policy) - 1;
  const updated = own.length > 0 || isLast ? own : world.devices.filter((device) => isCarried(model, wave, device));
  const updatedAt = (device: Device) => (own.length > 0 ? (newest(device)?.finishedAt ?? 0) : carriedAt(model, device));
  const since = Math.min(...updated.map(updatedAt));
  const after = updated.filter((device) => sampledAt(world, device) > updatedAt(device)).map(({ cpu }) => cpu[1]);
  const control = world.devices.filter((device) => device.bound && folder(world, device) !== device.desired);
  const before = control.filter((device) => sampledAt(world, device) > since).map(({ cpu }) => cpu[0]);
  return [...new Set(metrics.map(({ metric }) => metric))].map((metric) => ({
    metric,
    wave: after.length === 0 ? null : { devices: after.length, mean: mean(after), max: Math.max(...after) },
    control: before.length === 0 ? null : { devices: before.length, mean: mean(before) },
  }));
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function queued(world: World): Device[] {
  return world.devices.filter(({ current }) => current?.inRollout && current.state === 'queued' && current.kind !== 'rollback');
}

/** @returns the started devices */
export function execute(model: Model, step: RolloutStep): Device[] {
  switch (step.do) {
    case 'open_wave':
      return openWave(model, step);
    case 'pass_wave':
      passWave(model, step.wave, false);
      return [];
    case 'request_approval':
      requestApproval(model, step.wave);
      return [];
    case 'abort':
      abort(model, step);
      return [];
    case 'cancel_queued':
      cancelQueued(model);
      return [];
    case 'finish_revert':
      model.state = 'reverted';
      return [];
    case 'complete':
      complete(model);
      return [];
    case 'wait':
      return [];
    default:
      throw new Error(`unknown step ${JSON.stringify(step satisfies never)}`);
  }
}

function complete(model: Model): void {
  const { world } = model;
  model.state = 'completed';
  Object.assign(world, { established: true, released: true, stable: world.rolledBack ? 'old' : 'new' });
  for (let wave = model.waves.length; wave < waveCount(model.policy); wave++) passWave(model, wave, false);
}

function openWave(model: Model, step: Extract<RolloutStep, { do: 'open_wave' }>): Device[] {
  const { world } = model;
  const candidates = world.devices.filter((device) => isEligible(model, device) && inWave(model, device, step.wave));
  const chosen = withRoom(model, step.takeAway ? candidates : candidates.filter(answers)).slice(0, step.limit ?? undefined);
  model.waves[step.wave] ??= { openedAt: world.now, passedAt: null, skipped: false };
  if (model.state === 'planned' || model.state === 'awaiting_approval') model.state = 'running';
  for (const device of chosen) {
    deploy(world, device, folder(world, device), { inRollout: true, wave: step.wave, kind: 'change', number: 1 });
    model.starts.push({ at: world.now, device });
  }
  return chosen;
}

/** @param skipped an operator skipped the wave, regardless of its gate */
export function passWave({ waves, world }: Model, wave: number, skipped: boolean): void {
  waves[wave] = { openedAt: waves[wave]?.openedAt ?? world.now, passedAt: world.now, skipped };
}

function requestApproval(model: Model, wave: number | null): void {
  model.state = 'awaiting_approval';
  if (model.approvals.some((approval) => approval.wave === wave && approval.decision === null)) return;
  model.approvals.push({ wave, decision: null, expiresAt: expiry(model) });
}

export function expiry({ world, policy }: Model): Date | null {
  const seconds = policy.approval?.expiresAfterSeconds;
  return seconds === undefined ? null : new Date(world.now + seconds * SECOND);
}

export function abort(model: Model, { code, revert }: { code: string; revert: boolean }): void {
  model.state = 'aborted';
  Object.assign(model.world, { paused: false, isAborted: true });
  if (!model.world.rolledBack) model.wasAborted = true;
  model.end = { code, revert };
  cancelQueued(model);
  if (revert && revertAll(model.world) > 0) model.state = 'reverting';
}

function cancelQueued({ world }: Model): void {
  for (const device of world.devices)
    for (const attempt of device.attempts) if (attempt.inRollout && attempt.kind !== 'rollback') attempt.retryAt = null;
  for (const device of queued(world)) cancelAttempts(world, device);
}

/**
 * Starts another rollout of the same source, which supersedes this one. Attempts under way end by themselves; queued attempts are cancelled.
 * @param isBack the new rollout deploys the folders' previous bundles
 */
export function openNext(model: Model, { isBack }: { isBack: boolean }): void {
  const { world } = model;
  if (isActive(model.state) && queued(world).length > 0) cancelQueued(model);
  for (const device of world.devices) for (const attempt of device.attempts) attempt.inRollout = false;
  if (isBack !== world.rolledBack) world.released = false;
  Object.assign(world, { rolledBack: isBack, established: false, isAborted: false, paused: false });
  model.policy = isBack ? RolloutPolicy.parse({}) : model.wanted;
  world.policy = model.policy;
  Object.assign(model, {
    state: 'planned',
    createdAt: world.now,
    waves: [],
    approvals: [],
    windowsOverridden: false,
    end: null,
    starts: [],
  });
  if (!isBack) model.wasAborted = false;
}

/** Adds the device to the source, for the first time or again. */
export function join({ world }: Model, device: Device): void {
  if (device.bound) return;
  Object.assign(device, { bound: true, followedAt: world.now });
  converge(world, device);
}

function dateOf(at: number | null): Date | null {
  return at === null ? null : new Date(at);
}
