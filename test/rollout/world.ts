import type { DeploymentKind, DeploymentState } from '../../src/deployment/deployment.ts';
import { afterFailure, isOpen } from '../../src/deployment/deployment.ts';
import type { RolloutPolicy } from '../../src/policy/policy.ts';

/** Devices and their attempts in memory. Simulates PostgreSQL, the controller's chores and the agents between two checks of the planner. */

/** `old`: established. `new`: the rollout's bundle. `newer`: supersedes it. `other`: what a device ran before it was added. */
export type Bundle = 'old' | 'new' | 'newer' | 'other';

/** The outcome of one attempt. `vanish` and `crash`: the device is offline until the timeout, then reports success or a rollback. */
export type Fate = 'succeed' | 'roll_back' | 'break' | 'pass' | 'vanish' | 'crash';

export type DeviceSpec = {
  ring: 'canary' | 'wide';
  site: 'north' | 'south' | null;
  online: boolean;
  /** Reached through a vendor's API: only a delivery shows whether it is offline. */
  pushed: boolean;
  /** Bound to the source from the beginning. */
  bound: boolean;
  /** The revision changes its folder. */
  changed: boolean;
  /** The outcome of each attempt in order; the last one repeats. */
  fates: Fate[];
  beginSeconds: number;
  runSeconds: number;
  /** Its telemetry before and after the update. */
  cpu: [before: number, after: number];
};

export type Attempt = {
  /** The attempt belongs to the rollout. Otherwise it deploys the established bundle, or an operator's. */
  inRollout: boolean;
  wave: number;
  kind: DeploymentKind;
  bundle: Bundle;
  state: DeploymentState;
  number: number;
  /** Milliseconds in the model's time, like all times below. */
  createdAt: number;
  startedAt: number;
  finishedAt: number | null;
  retryAt: number | null;
};

export type Device = DeviceSpec & {
  id: string;
  following: boolean;
  /** The device was removed from the source at some time. */
  hasLeft: boolean;
  held: boolean;
  followedAt: number;
  onlineSince: number;
  /** Time of its last telemetry before it went offline. */
  sampledBefore: number;
  desired: Bundle;
  good: Bundle;
  quarantined: Bundle | null;
  current: Attempt | null;
  /** Newest last. */
  attempts: Attempt[];
};

export type World = {
  now: number;
  policy: RolloutPolicy;
  devices: Device[];
  /** The rollout was completed: devices get its bundle without another check. */
  established: boolean;
  /** The bundle of the last completed rollout for changed folders, which reverts and late joiners get. */
  stable: Bundle;
  /** The last completed rollout released the changed folders' bundles. */
  released: boolean;
  superseded: boolean;
  /** The source was rolled back: its folders hold their previous bundles. */
  rolledBack: boolean;
  /** The rollout was aborted. */
  isAborted: boolean;
  paused: boolean;
};

export const SECOND = 1_000;
const SAMPLE_EVERY = 20 * SECOND;
const ROLLBACK_REPORT = 2 * SECOND;

export function openWorld(policy: RolloutPolicy, specs: readonly DeviceSpec[], now: number): World {
  const devices = specs.map((spec, index): Device => {
    const ran = spec.bound ? 'old' : 'other';
    return {
      ...spec,
      id: `d${String(index).padStart(2, '0')}`,
      ...{ following: true, hasLeft: false, held: false, followedAt: now - 1, onlineSince: now, sampledBefore: Number.NEGATIVE_INFINITY },
      ...{ desired: ran, good: ran, quarantined: null, current: null, attempts: [] },
    };
  });
  return {
    ...{ now, policy, devices, established: false, stable: 'old', released: false },
    ...{ superseded: false, rolledBack: false, isAborted: false, paused: false },
  };
}

/** The bundle of the device's folder. */
export function folder(world: World, device: Device): Bundle {
  if (!device.changed || world.rolledBack) return 'old';
  return world.superseded ? 'newer' : 'new';
}

export function stable(world: World, device: Device): Bundle {
  return device.changed ? world.stable : 'old';
}

/** No completed rollout released the bundle of the device's folder. */
export function isUnreleased(world: World, device: Device): boolean {
  return device.changed && !world.released;
}

export function answers(device: Device): boolean {
  return device.online || device.pushed;
}

export function movable(device: Device): boolean {
  return device.bound && device.following && !device.held;
}

/** Its newest attempt of the rollout. */
export function newest(device: Device): Attempt | undefined {
  return device.attempts.findLast(({ inRollout, kind }) => inRollout && kind !== 'rollback');
}

const FAILED: readonly DeploymentState[] = ['failed', 'rolled_back', 'timed_out'];

/** The device's outcome as the rollout counts it. A failed device stays failed when a later attempt is superseded. */
export function outcome(device: Device): 'gone' | 'succeeded' | 'offline' | 'failed' | 'open' | 'none' {
  const attempt = newest(device);
  if (attempt === undefined) return 'none';
  if (attempt.state === 'superseded' || attempt.state === 'cancelled') {
    const tries = device.attempts.filter(({ inRollout, kind }) => inRollout && kind !== 'rollback');
    return device.quarantined === attempt.bundle || tries.some(({ state }) => FAILED.includes(state)) ? 'failed' : 'gone';
  }
  if (attempt.state === 'succeeded') return 'succeeded';
  if (attempt.state === 'queued' && !answers(device)) return 'offline';
  return isOpen(attempt.state) || attempt.retryAt !== null ? 'open' : 'failed';
}

/** The device failed and has not reported a rollback. */
export function isUnavailable(device: Device): boolean {
  const state = newest(device)?.state;
  return outcome(device) === 'failed' && (state === 'failed' || state === 'timed_out');
}

export function sampledAt(world: World, device: Device): number {
  const last = Math.floor(world.now / SAMPLE_EVERY) * SAMPLE_EVERY;
  return answers(device) && last >= device.onlineSince ? last : device.sampledBefore;
}

export function deploy(world: World, device: Device, bundle: Bundle, part: Pick<Attempt, 'inRollout' | 'wave' | 'kind' | 'number'>): void {
  close(world, device, 'superseded');
  const attempt: Attempt = { ...part, bundle, state: 'queued', createdAt: world.now, startedAt: 0, finishedAt: null, retryAt: null };
  device.attempts.push(attempt);
  // Operators' and rollouts' attempts end any quarantine, other attempts only that of their own bundle.
  const isForced = part.kind !== 'change' || part.inRollout;
  const quarantined = isForced || device.quarantined === bundle ? null : device.quarantined;
  Object.assign(device, { desired: bundle, current: attempt, quarantined });
}

/** @returns whether an attempt was open */
function close(world: World, device: Device, as: 'superseded' | 'cancelled'): boolean {
  const open = device.attempts.filter(({ state }) => isOpen(state));
  for (const attempt of device.attempts) attempt.retryAt = null;
  for (const attempt of open) end(world, attempt, as);
  return open.length > 0;
}

export function cancelAttempts(world: World, device: Device): void {
  if (close(world, device, 'cancelled')) Object.assign(device, { desired: device.good, current: null });
}

/** Whether rollouts wait for the attempt: they do not wait for queued attempts of offline devices. */
export function isUnderWay(device: Device, attempt: Attempt): boolean {
  return isOpen(attempt.state) && (attempt.state !== 'queued' || answers(device));
}

/** Deploys the established bundle to one device, unless that or the rollout's bundle is its desired one. */
export function converge(world: World, device: Device): void {
  const bundle = stable(world, device);
  if (world.established || !movable(device)) return;
  if (bundle === device.desired || folder(world, device) === device.desired || bundle === device.quarantined) return;
  deploy(world, device, bundle, { inRollout: false, wave: 0, kind: 'change', number: 1 });
}

/** Reverts devices whose desired bundle is the rollout's to the established bundle. @returns how many */
export function revertAll(world: World): number {
  const back = world.devices.filter(
    (device) =>
      newest(device) !== undefined && device.bound && device.desired === folder(world, device) && device.desired !== stable(world, device),
  );
  for (const device of back) deploy(world, device, stable(world, device), { inRollout: true, wave: 0, kind: 'rollback', number: 1 });
  return back.length;
}

export function setOnline(world: World, device: Device, online: boolean): void {
  if (online === device.online) return;
  if (!online) device.sampledBefore = sampledAt(world, device);
  Object.assign(device, { online, onlineSince: world.now });
  const last = device.attempts.at(-1);
  if (!online || last?.state !== 'timed_out' || device.current !== null) return;
  if (!succeeds(fateOf(device, last))) end(world, last, 'rolled_back');
  else if (isStillWanted(world, device, last)) {
    end(world, last, 'succeeded');
    Object.assign(device, { desired: last.bundle, good: last.bundle, quarantined: null });
  }
}

/** Whether a late success counts. Otherwise the device was ordered to roll back. */
function isStillWanted(world: World, device: Device, { bundle }: Attempt): boolean {
  return device.desired === bundle || (movable(device) && folder(world, device) === bundle && !world.isAborted);
}

/** Time of the next event; infinity if there is none. */
export function nextEventAt(world: World): number {
  return Math.min(...world.devices.flatMap((device) => device.attempts.map((attempt) => dueAt(world, device, attempt))));
}

/** Processes due events. */
export function passTime(world: World): void {
  for (const device of world.devices)
    for (const attempt of device.attempts) if (dueAt(world, device, attempt) <= world.now) happen(world, device, attempt);
}

const NEVER = Number.POSITIVE_INFINITY;

function dueAt(world: World, device: Device, attempt: Attempt): number {
  const { state, createdAt, startedAt, finishedAt, retryAt } = attempt;
  const since = (at: number) => (device.pushed ? at : Math.max(at, device.onlineSince));
  if (state === 'queued') return answers(device) ? since(createdAt) + device.beginSeconds * SECOND : NEVER;
  if (state === 'applying') {
    const reportedAt = answers(device) ? since(startedAt + device.runSeconds * SECOND) : NEVER;
    return Math.min(reportedAt, startedAt + timeoutOf(world, attempt));
  }
  if (state === 'failed' && rollsBack(fateOf(device, attempt)) && answers(device)) return since((finishedAt ?? 0) + ROLLBACK_REPORT);
  return retryAt === null || world.paused ? NEVER : retryAt;
}

function happen(world: World, device: Device, attempt: Attempt): void {
  if (attempt.state === 'queued') Object.assign(attempt, { state: 'applying', startedAt: world.now });
  else if (attempt.state === 'applying') endStep(world, device, attempt);
  else if (attempt.state === 'failed' && rollsBack(fateOf(device, attempt)) && answers(device))
    end(world, attempt, 'rolled_back', attempt.retryAt);
  else retry(world, device, attempt);
}

function endStep(world: World, device: Device, attempt: Attempt): void {
  const fate = fateOf(device, attempt);
  const wasAway = device.onlineSince > attempt.startedAt;
  if (world.now >= attempt.startedAt + timeoutOf(world, attempt)) fail(world, device, attempt, 'timed_out', 'timed_out');
  else if ((fate === 'vanish' || fate === 'crash') && !wasAway) setOnline(world, device, false);
  else if (succeeds(fate)) {
    end(world, attempt, 'succeeded');
    Object.assign(device, { good: attempt.bundle, current: null });
  } else fail(world, device, attempt, 'failed', fate === 'pass' ? 'download_failed' : 'health_failed');
}

function fail(world: World, device: Device, attempt: Attempt, state: 'failed' | 'timed_out', code: string): void {
  const { retries } = limitsOf(world, attempt);
  const next = afterFailure(code, attempt.number, 0, retries === undefined ? null : retries + 1);
  end(world, attempt, state, next.do === 'retry' ? world.now + next.inSeconds * SECOND : null);
  // A failed rollback stays desired: the reverted bundle must not return.
  const desired = attempt.kind === 'rollback' ? device.desired : device.good;
  Object.assign(device, { desired, current: null, quarantined: attempt.bundle });
}

function retry(world: World, device: Device, attempt: Attempt): void {
  attempt.retryAt = null;
  const isWanted = movable(device) && (attempt.bundle === folder(world, device) || attempt.bundle === stable(world, device));
  if (device.current !== null || (attempt.kind !== 'rollback' && !isWanted)) return;
  const kind = attempt.kind === 'rollback' ? 'rollback' : 'retry';
  deploy(world, device, attempt.bundle, { ...attempt, kind, number: attempt.number + 1 });
}

function end(world: World, attempt: Attempt, state: DeploymentState, retryAt: number | null = null): void {
  Object.assign(attempt, { state, finishedAt: world.now, retryAt });
}

/** Pushed devices never go offline, and the established bundle always works. */
function fateOf(device: Device, attempt: Attempt): Fate {
  const fate = (attempt.bundle === 'old' ? undefined : device.fates[Math.min(attempt.number, device.fates.length) - 1]) ?? 'succeed';
  return device.pushed && (fate === 'vanish' || fate === 'crash') ? 'roll_back' : fate;
}

function succeeds(fate: Fate): boolean {
  return fate === 'succeed' || fate === 'vanish';
}

function rollsBack(fate: Fate): boolean {
  return !succeeds(fate) && fate !== 'break';
}

function timeoutOf(world: World, attempt: Attempt): number {
  return (limitsOf(world, attempt).timeoutSeconds ?? 900) * SECOND;
}

/** The policy's limits do not apply to rollbacks. */
function limitsOf({ policy }: World, { kind }: Attempt): NonNullable<RolloutPolicy['device']> {
  return kind === 'rollback' ? {} : (policy.device ?? {});
}
