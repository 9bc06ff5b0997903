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

/** How many more devices may be started now. With 0: `why`, and in `until` the time at which the limit alone rises. */
export type Capacity = { devices: number; why: Waiting; until: Date | null };

const RATE_WINDOW_MS = 60_000;
/** Attempts of other rollouts at a site end without waking this rollout: it checks again after this time. */
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
      detail: `${snapshot.unavailable} devices are under way or failed, maxUnavailable is ${policy.maxUnavailable}`,
    };
    limits.push({ devices: allowed - snapshot.unavailable, why, until: null });
  }
  if (policy.rate !== undefined) limits.push(rateLimit(policy.rate, snapshot));
  const tightest = limits.reduce((least, limit) => (limit.devices < least.devices ? limit : least));
  return { ...tightest, devices: Math.max(0, tightest.devices) };
}

/** Within any minute no more devices start than the current rate allows. */
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

/** Starts per minute after `succeeded` successes. */
export function ratePerMinute(rate: Rate, succeeded: number): number {
  const increases = Math.floor(succeeded / rate.increaseAfterSuccesses);
  return Math.floor(
    exact(Math.min(rate.maxPerMinute ?? Number.MAX_SAFE_INTEGER, rate.perMinute * rate.factor ** Math.min(increases, 1_000))),
  );
}

/** The devices that a share in the policy refers to: started, eligible and quarantined devices. */
export function rolloutSize({ waves, eligible, quarantined }: RolloutSnapshot): number {
  return eligible.total + waves.reduce((sum, wave) => sum + takenBy(wave), 0) + sumOf(quarantined.values());
}

/** All places of the wave, taken or free, if earlier waves took `before` devices. */
function placesOf(snapshot: RolloutSnapshot, wave: number, before: number): number {
  const { count, upToPercent } = snapshot.policy.waves?.[wave] ?? {};
  if (count !== undefined) return count;
  if (upToPercent !== undefined) return Math.max(0, shareOf(upToPercent, rolloutSize(snapshot)) - before);
  return Number.POSITIVE_INFINITY;
}

/** The places of each wave, and how many quarantined devices fill them. These come first, so that a restart risks no further devices. */
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

/** Quarantined devices that count as failed in the wave. */
export function quarantinedIn(snapshot: RolloutSnapshot, wave: number): number {
  return placing(snapshot)[wave]?.quarantined ?? 0;
}

/** Quarantined devices that count as failed in this wave and all earlier ones. */
export function quarantinedUpTo(snapshot: RolloutSnapshot, wave: number): number {
  return sumOf(placing(snapshot).flatMap(({ quarantined }, index) => (index <= wave ? [quarantined] : [])));
}

/** How many more devices the wave may take. */
export function quota(snapshot: RolloutSnapshot, wave: number): number {
  const { places = 0, quarantined = 0 } = placing(snapshot)[wave] ?? {};
  return Math.max(0, places - quarantined - takenBy(snapshot.waves[wave]));
}

function sumOf(values: Iterable<number>): number {
  return [...values].reduce((sum, value) => sum + value, 0);
}

/** Nothing is checked after the last wave of an unlimited rollout: offline devices get their attempt, too, and begin it once they are online. */
export function takesAway(policy: RolloutPolicy, wave: number): boolean {
  return isLastWave(policy, wave) && isUnlimited(policy);
}
