import {
  amountOf,
  exact,
  isLastWave,
  isNaming,
  isUnlimited,
  type Rate,
  type RolloutPolicy,
  shareOf,
  waveCount,
} from '../../policy/policy.ts';
import type { Waiting } from '../rollout.ts';
import { type RolloutSnapshot, takenBy } from './snapshot.ts';

/** How many more devices may be started now. With 0: why, and when a clock alone makes it more. */
export type Capacity = { devices: number; why: Waiting; until: Date | null };

const RATE_WINDOW_MS = 60_000;
/** What is under way of other rollouts at a site ends without this one being told: it looks again after this. */
const SITE_CHECK_MS = 5_000;

/** The tightest of the policy's limits. Pure. */
export function capacity(snapshot: RolloutSnapshot, now: Date): Capacity {
  const { policy, eligible } = snapshot;
  const open = snapshot.waves.reduce((sum, wave) => sum + wave.open, 0);
  const limits: Capacity[] = [{ devices: Number.POSITIVE_INFINITY, why: { code: 'limit', detail: '' }, until: null }];
  if (policy.maxParallel !== undefined) {
    const why = { code: 'max_parallel', detail: `${open} devices are under way, maxParallel is ${policy.maxParallel}` };
    limits.push({ devices: policy.maxParallel - open, why, until: null });
  }
  if (policy.maxParallelPerSite !== undefined) {
    const why = {
      code: 'max_parallel_per_site',
      detail: `${policy.maxParallelPerSite} devices are under way at every site with devices to start, as many as maxParallelPerSite allows`,
    };
    limits.push({ devices: eligible.room, why, until: open > 0 ? null : new Date(now.getTime() + SITE_CHECK_MS) });
  }
  if (policy.maxUnavailable !== undefined) {
    const allowed = Math.max(1, amountOf(policy.maxUnavailable, rolloutSize(snapshot)));
    const why = {
      code: 'max_unavailable',
      detail: `${snapshot.unavailable} devices are under way or broken, maxUnavailable is ${policy.maxUnavailable}`,
    };
    limits.push({ devices: allowed - snapshot.unavailable, why, until: null });
  }
  if (policy.rate !== undefined) limits.push(rateLimit(policy.rate, snapshot));
  const tightest = limits.reduce((least, limit) => (limit.devices < least.devices ? limit : least));
  return { ...tightest, devices: Math.max(0, tightest.devices) };
}

/** Never more starts than the present rate within any minute. */
function rateLimit(rate: Rate, { waves, startedLastMinute }: RolloutSnapshot): Capacity {
  const succeeded = waves.reduce((sum, wave) => sum + wave.succeeded, 0);
  const perMinute = ratePerMinute(rate, succeeded);
  const { count, firstAt } = startedLastMinute;
  return {
    devices: perMinute - count,
    why: { code: 'rate', detail: `${count} devices were started within a minute, the rate is ${perMinute}` },
    until: firstAt === null ? null : new Date(firstAt.getTime() + RATE_WINDOW_MS),
  };
}

/** Starts per minute after so many successes. */
export function ratePerMinute(rate: Rate, succeeded: number): number {
  const increases = Math.floor(succeeded / rate.increaseAfterSuccesses);
  return Math.floor(
    exact(Math.min(rate.maxPerMinute ?? Number.MAX_SAFE_INTEGER, rate.perMinute * rate.factor ** Math.min(increases, 1_000))),
  );
}

/** Devices that a share in the policy refers to: those that were taken, those that can be, and those in quarantine. */
export function rolloutSize({ waves, eligible, quarantined }: RolloutSnapshot): number {
  return eligible.total + waves.reduce((sum, wave) => sum + takenBy(wave), 0) + sumOf(quarantined.values());
}

/** Places that the wave has in all, whoever takes them, where `before` were taken by earlier waves. */
function placesOf(snapshot: RolloutSnapshot, wave: number, before: number): number {
  const { count, upToPercent } = snapshot.policy.waves?.[wave] ?? {};
  if (count !== undefined) return count;
  if (upToPercent !== undefined) return Math.max(0, shareOf(upToPercent, rolloutSize(snapshot)) - before);
  return Number.POSITIVE_INFINITY;
}

/** The places of each wave, and how many of them devices in quarantine fill: they come first, so that a restart burns no further devices. */
function placing(snapshot: RolloutSnapshot): { places: number; quarantined: number }[] {
  const { policy, waves, quarantined } = snapshot;
  let unnamed = quarantined.get(-1) ?? 0;
  let before = 0;
  return Array.from({ length: waveCount(policy) }, (_, wave) => {
    const taken = takenBy(waves[wave]);
    const places = placesOf(snapshot, wave, before);
    const here = isNaming(policy, wave) ? (quarantined.get(wave) ?? 0) : Math.min(unnamed, Math.max(0, places - taken));
    if (!isNaming(policy, wave)) unnamed -= here;
    before += taken + here;
    return { places, quarantined: here };
  });
}

/** Devices in quarantine that count as failed in the wave. */
export function quarantinedIn(snapshot: RolloutSnapshot, wave: number): number {
  return placing(snapshot)[wave]?.quarantined ?? 0;
}

/** The same for the waves up to this one. */
export function quarantinedUpTo(snapshot: RolloutSnapshot, wave: number): number {
  return sumOf(placing(snapshot).flatMap(({ quarantined }, index) => (index <= wave ? [quarantined] : [])));
}

/** How many more devices the wave wants in all. */
export function quota(snapshot: RolloutSnapshot, wave: number): number {
  const { places = 0, quarantined = 0 } = placing(snapshot)[wave] ?? {};
  return Math.max(0, places - quarantined - takenBy(snapshot.waves[wave]));
}

function sumOf(values: Iterable<number>): number {
  return [...values].reduce((sum, value) => sum + value, 0);
}

/** Where nothing more is looked at, devices that are away get their attempt, too: they begin it when they come back. */
export function takesAway(policy: RolloutPolicy, wave: number): boolean {
  return isLastWave(policy, wave) && isUnlimited(policy);
}
