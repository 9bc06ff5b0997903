import type { RolloutPolicy } from '../../policy/policy.ts';
import { waveCount } from '../../policy/policy.ts';
import type { RolloutState, Waiting } from '../rollout.ts';

/** An open wave and its devices, counted by the outcome of their newest attempt. */
export type WaveSnapshot = {
  openedAt: Date;
  /** When its gate passed, or an operator skipped it. */
  passedAt: Date | null;
  /** Queued attempts of offline devices, and open ones of devices that are offline at their platform: the rollout does not wait for them. */
  offline: number;
  /** Attempts that are under way or wait for a retry. */
  open: number;
  succeeded: number;
  failed: number;
  lastEndedAt: Date | null;
};

/** Telemetry of a wave's updated devices since their update, and of the source's devices that are not updated yet, over the same time. */
export type MetricReading = {
  metric: string;
  /** null: no device has reported the metric yet. */
  wave: { devices: number; mean: number; max: number } | null;
  /** null: there are no such devices. `mean` null: none of them has reported the metric yet. */
  control: { devices: number; mean: number | null } | null;
};

export type ApprovalSnapshot = {
  /** null: the rollout as a whole. */
  wave: number | null;
  decision: 'approved' | 'rejected' | 'expired' | null;
  expiresAt: Date | null;
};

/** Why a device of a wave has no success. */
export const OUT_REASONS = [
  'unknown',
  'no_bundle',
  'invalid',
  'quarantined',
  'stopped',
  'held',
  'site_held',
  'offline',
  'being_evaluated',
  'joined_late',
  'elsewhere',
  'not_updated',
] as const;
export type OutReason = (typeof OUT_REASONS)[number];

/** The devices of one wave, started or not. */
export type Evidence = {
  /** All devices that the wave names, or that a wave of its kind may take. */
  members: number;
  /** Devices that confirmed the revision's bundle. */
  same: number;
  /**
   * Devices among `same` whose success counts for this rollout: the wave names them, an attempt of another rollout deployed the bundle, and no completed
   * rollout established it.
   */
  carried: number;
  /** When the last device among `carried` confirmed the bundle. null: unknown, or there are none. */
  carriedAt: Date | null;
  /** All devices of the source, which shares refer to. */
  fleet: number;
  /** Devices to which an attempt outside of this rollout is deploying that bundle. */
  elsewhere: number;
  /** Devices that the revision changes and that a hold, a stop or an invalid folder blocks. Offline and quarantined devices are not included. */
  kept: number;
  /** The first devices that do not run the revision's bundle; `outTotal` counts all of them. */
  out: { deviceId: string; why: OutReason }[];
  outTotal: number;
};

/** All input of `plan`, except the time. */
export type RolloutSnapshot = {
  state: RolloutState;
  policy: RolloutPolicy;
  /** Waves that were opened, in order. */
  waves: WaveSnapshot[];
  /** Devices that do not run the revision's bundle and may be changed (following, not held, bundle not quarantined on the device). */
  eligible: {
    /** In all waves. */
    total: number;
    /** Online devices that the current wave may take. */
    reachable: number;
    /** Offline devices that the current wave may take once they are online. */
    away: number;
    /** Devices among `reachable` that the limit per site allows. */
    room: number;
  };
  /**
   * Devices that rolled back this rollout's bundle before the rollout began. The key is the first wave that names the device, or -1 if none does. The
   * devices count as failed in the wave that would take them.
   */
  quarantined: ReadonlyMap<number, number>;
  /** Devices that the revision changes but that are blocked now: held, stopped, about to be evaluated, or under way with another attempt. */
  kept: number;
  /** The state of the current wave's devices, independent of this rollout's attempts. null: the next step does not depend on it. */
  evidence: Evidence | null;
  /** Devices of this rollout that are under way, or failed without a reported rollback. */
  unavailable: number;
  /** Attempts started during the last minute, and the time of the first one. */
  startedLastMinute: { count: number; firstAt: Date | null };
  /** Only for the metrics that the current wave's gate names. */
  readings: MetricReading[];
  /** Newest last. */
  approvals: ApprovalSnapshot[];
  /** Holds, and other sources whose rollouts must complete first. */
  blockers: Waiting[];
  windowsOverridden: boolean;
  /** Attempts of this rollout that no device has begun. */
  queued: number;
  /** Rollbacks of a reverting rollout that are under way on online devices. */
  reverting: number;
};

/** Index of the wave that takes devices now; the number of waves once all have passed. */
export function currentWave(policy: RolloutPolicy, waves: readonly Pick<WaveSnapshot, 'passedAt'>[]): number {
  const last = waves.at(-1);
  if (last === undefined) return 0;
  return Math.min(last.passedAt === null ? waves.length - 1 : waves.length, waveCount(policy));
}

/** Devices that the wave started and that still count in it. */
export function takenBy(wave: WaveSnapshot | undefined): number {
  return wave === undefined ? 0 : wave.offline + wave.open + wave.succeeded + wave.failed;
}
