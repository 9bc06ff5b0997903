import { isLastWave } from '../../src/policy/policy.ts';
import { needsEvidence } from '../../src/rollout/decide/gates.ts';
import type { Evidence, OutReason, RolloutSnapshot } from '../../src/rollout/decide/snapshot.ts';
import { isActive } from '../../src/rollout/rollout.ts';
import { isEligible, type Model } from './model.ts';
import { answers, type Device, folder, isUnreleased, newest } from './world.ts';

/** Devices that a rollout has not started, classified like its SQL statements do. */

/** Whether the wave names the device; undefined: the wave names no devices. */
export function names({ policy }: Model, wave: number, device: Device): boolean | undefined {
  const { devices, selector } = policy.waves?.[wave] ?? {};
  if (devices !== undefined) return devices.includes(device.id);
  return selector === undefined ? undefined : Object.entries(selector).every(([key, value]) => key === 'ring' && device.ring === value);
}

/** The first wave that names the device, or -1. */
export function ownWave(model: Model, device: Device): number {
  return (model.policy.waves ?? []).findIndex((_, wave) => names(model, wave, device));
}

/** The device rolled the rollout's bundle back before the rollout. */
export function isQuarantined({ world }: Model, device: Device): boolean {
  const bundle = folder(world, device);
  const isRefused = device.bound && bundle !== device.desired && bundle === device.quarantined;
  return isRefused && isUnreleased(world, device) && newest(device) === undefined;
}

/** An attempt outside of the rollout deploys the folder's bundle to the device. */
export function isElsewhere({ world }: Model, device: Device): boolean {
  const bundle = folder(world, device);
  return device.bound && device.desired === bundle && device.good !== bundle && device.current !== null && !device.current.inRollout;
}

/** The device was added after the rollout began, and waits for its end. */
export function isLate({ policy, createdAt, state }: Model, device: Device): boolean {
  return policy.lateJoiners === 'wait' && state !== 'completed' && device.followedAt > createdAt;
}

/** The wave names the device, an earlier rollout deployed the bundle to it, and no completed rollout established it. */
export function isCarried(model: Model, wave: number, device: Device): boolean {
  const bundle = folder(model.world, device);
  const isSame = device.bound && bundle === device.desired && bundle === device.good;
  return isSame && isUnreleased(model.world, device) && names(model, wave, device) === true;
}

/** When the device confirmed its folder's bundle. */
export function carriedAt({ world }: Model, device: Device): number {
  const bundle = folder(world, device);
  const ends = device.attempts.filter((attempt) => attempt.state === 'succeeded' && attempt.bundle === bundle);
  return Math.max(0, ...ends.map(({ finishedAt }) => finishedAt ?? 0));
}

/** The revision changes the device, and something other than the policy blocks it. */
export function isHeldBack(model: Model, device: Device): boolean {
  const bundle = folder(model.world, device);
  const differs = device.bound && bundle !== device.desired && bundle !== device.quarantined;
  return differs && !isEligible(model, device) && !isLate(model, device) && isUnreleased(model.world, device);
}

export function eligibilityOf(model: Model, wave: number): Pick<RolloutSnapshot, 'quarantined' | 'kept'> {
  const quarantined = new Map<number, number>();
  for (const device of model.world.devices.filter((one) => isQuarantined(model, one))) {
    const own = ownWave(model, device);
    quarantined.set(own, (quarantined.get(own) ?? 0) + 1);
  }
  const isLast = isLastWave(model.policy, wave);
  const kept = model.world.devices.filter((device) => isHeldBack(model, device) || (!isLast && isElsewhere(model, device)));
  return { quarantined, kept: kept.length };
}

/** The evidence that the loader reads; null when no step depends on it. */
export function evidenceOf(model: Model, snapshot: Omit<RolloutSnapshot, 'evidence'>, wave: number): Evidence | null {
  if (!isActive(model.state) || model.state === 'paused' || !needsEvidence(snapshot, wave)) return null;
  const { world, policy } = model;
  const bound = world.devices.filter((device) => device.bound);
  const isNaming = bound.some((device) => names(model, wave, device) !== undefined);
  const mine = isLastWave(policy, wave)
    ? bound
    : bound.filter((device) => (isNaming ? names(model, wave, device) : ownWave(model, device) === -1));
  const listed = policy.waves?.[wave]?.devices ?? [];
  const unknown = listed.filter((id) => !bound.some((device) => device.id === id)).length;
  const carried = mine.filter((device) => isCarried(model, wave, device)).map((device) => carriedAt(model, device));
  const reasons = mine.map((device) => ({ why: whyOut(model, device), changed: isUnreleased(world, device) }));
  const count = (...wanted: (OutReason | 'same')[]) => reasons.filter(({ why }) => wanted.includes(why)).length;
  return {
    members: mine.length + unknown,
    same: count('same'),
    carried: carried.length,
    carriedAt: carried.some((at) => at > 0) ? new Date(Math.max(...carried)) : null,
    fleet: bound.length,
    elsewhere: count('elsewhere'),
    kept: reasons.filter(({ why, changed }) => changed && (why === 'held' || (why === 'joined_late' && isNaming))).length,
    out: [],
    outTotal: unknown + reasons.filter(({ why, changed }) => why !== 'same' && (changed || isNaming)).length,
  };
}

function whyOut(model: Model, device: Device): OutReason | 'same' {
  const bundle = folder(model.world, device);
  if (isElsewhere(model, device) && answers(device)) return 'elsewhere';
  if (bundle === device.desired && bundle === device.good) return 'same';
  if (bundle === device.quarantined) return 'quarantined';
  if (isLate(model, device)) return 'joined_late';
  if (device.held) return 'held';
  return answers(device) ? 'not_updated' : 'offline';
}
