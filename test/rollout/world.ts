import type { DeploymentKind, DeploymentState } from '../../src/deployment/deployment.ts';
import { afterFailure, isOpen } from '../../src/deployment/deployment.ts';
import type { RolloutPolicy } from '../../src/policy/policy.ts';

/** Devices and their attempts, in memory: what PostgreSQL, the controller's chores and the agents do between two looks of the planner. */

/** `old` is established, `new` is what the rollout brings, `newer` what supersedes it; `other` is what a device brought along. */
export type Bundle = 'old' | 'new' | 'newer' | 'other';

/** What becomes of one try. `vanish` and `crash`: the device is away until its time is over, then tells that it went well or that it went back. */
export type Fate = 'succeed' | 'roll_back' | 'break' | 'pass' | 'vanish' | 'crash';

export type DeviceSpec = {
  ring: 'canary' | 'wide';
  site: 'north' | 'south' | null;
  online: boolean;
  /** By a vendor's API: that it is away shows only by trying. */
  pushed: boolean;
  /** Bound to the source from the beginning. */
  bound: boolean;
  /** Its folder is changed by the revision. */
  changed: boolean;
  /** Of its tries, one after the other; then the last again. */
  fates: Fate[];
  beginSeconds: number;
  runSeconds: number;
  /** Its telemetry, before and after. */
  cpu: [before: number, after: number];
};

export type Attempt = {
  /** Of the rollout; else the device gets what is established, or what an operator gives it. */
  inRollout: boolean;
  wave: number;
  kind: DeploymentKind;
  bundle: Bundle;
  state: DeploymentState;
  number: number;
  /** Milliseconds of the model, as all times below. */
  createdAt: number;
  startedAt: number;
  finishedAt: number | null;
  retryAt: number | null;
};

export type Device = DeviceSpec & {
  id: string;
  following: boolean;
  /** It was taken out of the source at some time. */
  hasLeft: boolean;
  held: boolean;
  followedAt: number;
  onlineSince: number;
  /** Its last telemetry before it went away. */
  sampledBefore: number;
  desired: Bundle;
  good: Bundle;
  condemned: Bundle | null;
  current: Attempt | null;
  /** Newest last. */
  attempts: Attempt[];
};

export type World = {
  now: number;
  policy: RolloutPolicy;
  devices: Device[];
  /** The rollout was completed: devices get what it brought without another look at it. */
  established: boolean;
  /** What the last completed rollout brought to devices of changed folders: reverts and late joiners get it. */
  stable: Bundle;
  /** Changed folders hold what the last completed rollout brought, and were not changed since. */
  settled: boolean;
  superseded: boolean;
  /** The source was rolled back: its folders hold what they held before. */
  rolledBack: boolean;
  /** The rollout was aborted. */
  condemned: boolean;
  paused: boolean;
};

export const SECOND = 1_000;
const SAMPLE_EVERY = 20 * SECOND;
const WAY_BACK = 2 * SECOND;

export function openWorld(policy: RolloutPolicy, specs: readonly DeviceSpec[], now: number): World {
  const devices = specs.map((spec, index): Device => {
    const ran = spec.bound ? 'old' : 'other';
    return {
      ...spec,
      id: `d${String(index).padStart(2, '0')}`,
      ...{ following: true, hasLeft: false, held: false, followedAt: now - 1, onlineSince: now, sampledBefore: Number.NEGATIVE_INFINITY },
      ...{ desired: ran, good: ran, condemned: null, current: null, attempts: [] },
    };
  });
  return {
    ...{ now, policy, devices, established: false, stable: 'old', settled: false },
    ...{ superseded: false, rolledBack: false, condemned: false, paused: false },
  };
}

/** What its folder holds. */
export function folder(world: World, device: Device): Bundle {
  if (!device.changed || world.rolledBack) return 'old';
  return world.superseded ? 'newer' : 'new';
}

export function stable(world: World, device: Device): Bundle {
  return device.changed ? world.stable : 'old';
}

/** The last completed rollout did not bring what its folder holds. */
export function isUnsettled(world: World, device: Device): boolean {
  return device.changed && !world.settled;
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

/** As the counts of the rollout call it. What failed once stays failed when something else takes the place of a later try. */
export function outcome(device: Device): 'gone' | 'succeeded' | 'offline' | 'failed' | 'open' | 'none' {
  const attempt = newest(device);
  if (attempt === undefined) return 'none';
  if (attempt.state === 'superseded' || attempt.state === 'cancelled') {
    const tries = device.attempts.filter(({ inRollout, kind }) => inRollout && kind !== 'rollback');
    return device.condemned === attempt.bundle || tries.some(({ state }) => FAILED.includes(state)) ? 'failed' : 'gone';
  }
  if (attempt.state === 'succeeded') return 'succeeded';
  if (attempt.state === 'queued' && !answers(device)) return 'offline';
  return isOpen(attempt.state) || attempt.retryAt !== null ? 'open' : 'failed';
}

/** It may have changed something and nobody knows better. */
export function isBroken(device: Device): boolean {
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
  // An operator's word and a rollout's turn end any quarantine, other attempts only that of their own bundle.
  const isForced = part.kind !== 'change' || part.inRollout;
  const condemned = isForced || device.condemned === bundle ? null : device.condemned;
  Object.assign(device, { desired: bundle, current: attempt, condemned });
}

/** @returns whether something was under way */
function close(world: World, device: Device, as: 'superseded' | 'cancelled'): boolean {
  const open = device.attempts.filter(({ state }) => isOpen(state));
  for (const attempt of device.attempts) attempt.retryAt = null;
  for (const attempt of open) end(world, attempt, as);
  return open.length > 0;
}

export function cancelAttempts(world: World, device: Device): void {
  if (close(world, device, 'cancelled')) Object.assign(device, { desired: device.good, current: null });
}

/** Attempts that hold something up: one that waits for a device that is away does not. */
export function isUnderWay(device: Device, attempt: Attempt): boolean {
  return isOpen(attempt.state) && (attempt.state !== 'queued' || answers(device));
}

/** What happens to one device by the way: it gets what is established, if it runs something else than that and what comes. */
export function converge(world: World, device: Device): void {
  const bundle = stable(world, device);
  if (world.established || !movable(device)) return;
  if (bundle === device.desired || folder(world, device) === device.desired || bundle === device.condemned) return;
  deploy(world, device, bundle, { inRollout: false, wave: 0, kind: 'change', number: 1 });
}

/** Devices that are told to run what the rollout brought go back to what was established before. @returns how many */
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
  if (!goesWell(fateOf(device, last))) end(world, last, 'rolled_back');
  else if (isStillWanted(world, device, last)) {
    end(world, last, 'succeeded');
    Object.assign(device, { desired: last.bundle, good: last.bundle, condemned: null });
  }
}

/** Else the device has been told to go back. */
function isStillWanted(world: World, device: Device, { bundle }: Attempt): boolean {
  return device.desired === bundle || (movable(device) && folder(world, device) === bundle && !world.condemned);
}

/** When something happens by itself next: infinity when nothing does. */
export function nextEventAt(world: World): number {
  return Math.min(...world.devices.flatMap((device) => device.attempts.map((attempt) => dueAt(world, device, attempt))));
}

/** Lets happen what is due. */
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
    const told = answers(device) ? since(startedAt + device.runSeconds * SECOND) : NEVER;
    return Math.min(told, startedAt + timeoutOf(world, attempt));
  }
  if (state === 'failed' && goesBack(fateOf(device, attempt)) && answers(device)) return since((finishedAt ?? 0) + WAY_BACK);
  return retryAt === null || world.paused ? NEVER : retryAt;
}

function happen(world: World, device: Device, attempt: Attempt): void {
  if (attempt.state === 'queued') Object.assign(attempt, { state: 'applying', startedAt: world.now });
  else if (attempt.state === 'applying') endStep(world, device, attempt);
  else if (attempt.state === 'failed' && goesBack(fateOf(device, attempt)) && answers(device))
    end(world, attempt, 'rolled_back', attempt.retryAt);
  else retry(world, device, attempt);
}

function endStep(world: World, device: Device, attempt: Attempt): void {
  const fate = fateOf(device, attempt);
  const wasAway = device.onlineSince > attempt.startedAt;
  if (world.now >= attempt.startedAt + timeoutOf(world, attempt)) fail(world, device, attempt, 'timed_out', 'timed_out');
  else if ((fate === 'vanish' || fate === 'crash') && !wasAway) setOnline(world, device, false);
  else if (goesWell(fate)) {
    end(world, attempt, 'succeeded');
    Object.assign(device, { good: attempt.bundle, current: null });
  } else fail(world, device, attempt, 'failed', fate === 'pass' ? 'download_failed' : 'health_failed');
}

function fail(world: World, device: Device, attempt: Attempt, state: 'failed' | 'timed_out', code: string): void {
  const { retries } = limitsOf(world, attempt);
  const next = afterFailure(code, attempt.number, 0, retries === undefined ? null : retries + 1);
  end(world, attempt, state, next.do === 'retry' ? world.now + next.inSeconds * SECOND : null);
  // What a rollout takes back is never wanted again.
  const desired = attempt.kind === 'rollback' ? device.desired : device.good;
  Object.assign(device, { desired, current: null, condemned: attempt.bundle });
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

/** Devices that cannot be away do not vanish; what is established always works. */
function fateOf(device: Device, attempt: Attempt): Fate {
  const fate = (attempt.bundle === 'old' ? undefined : device.fates[Math.min(attempt.number, device.fates.length) - 1]) ?? 'succeed';
  return device.pushed && (fate === 'vanish' || fate === 'crash') ? 'roll_back' : fate;
}

function goesWell(fate: Fate): boolean {
  return fate === 'succeed' || fate === 'vanish';
}

function goesBack(fate: Fate): boolean {
  return !goesWell(fate) && fate !== 'break';
}

function timeoutOf(world: World, attempt: Attempt): number {
  return (limitsOf(world, attempt).timeoutSeconds ?? 900) * SECOND;
}

/** Ways back have more patience than the policy. */
function limitsOf({ policy }: World, { kind }: Attempt): NonNullable<RolloutPolicy['device']> {
  return kind === 'rollback' ? {} : (policy.device ?? {});
}
