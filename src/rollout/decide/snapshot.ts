import type { RolloutPolicy } from '../../policy/policy.ts';
import { waveCount } from '../../policy/policy.ts';
import type { RolloutState, Waiting } from '../rollout.ts';

/** A wave that was opened, its devices counted by what became of their newest attempt. */
export type WaveSnapshot = {
  openedAt: Date;
  /** Its gate was passed, or somebody skipped it. */
  passedAt: Date | null;
  /** Attempts that are queued on a device that is away: they hold nothing up. */
  offline: number;
  /** Under way, or about to be tried again. */
  open: number;
  succeeded: number;
  failed: number;
  lastEndedAt: Date | null;
};

/** Telemetry of a wave's updated devices since they were, and of those of the source that are not updated yet over the same time. */
export type MetricReading = {
  metric: string;
  /** null: none of them has reported it yet. */
  wave: { devices: number; mean: number; max: number } | null;
  /** null: there are none. `mean` null: none of them has reported it yet. */
  control: { devices: number; mean: number | null } | null;
};

export type ApprovalSnapshot = {
  /** null: the rollout as a whole. */
  wave: number | null;
  decision: 'approved' | 'rejected' | 'expired' | null;
  expiresAt: Date | null;
};

/** Why a device of a wave gives no success. */
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

/** The devices of one wave, taken or not. */
export type Evidence = {
  /** All: those that the wave names, or that a wave of its kind may take. */
  members: number;
  /** They confirmed the bundle that the revision gives them. */
  same: number;
  /**
   * Those of them whose success stands in for one of this rollout: the wave names them, an attempt of another rollout brought them the bundle, and no
   * completed rollout established it.
   */
  carried: number;
  /** When the last of those confirmed it. null: nobody knows, or there are none. */
  carriedAt: Date | null;
  /** All devices of the source, which shares refer to. */
  fleet: number;
  /** Another attempt than one of this rollout brings them that bundle. */
  elsewhere: number;
  /** The revision changes them, and something keeps them: a hold, a stop, an invalid folder. Devices that are away or in quarantine count apart. */
  kept: number;
  /** The first of those that do not run what the revision gives them, and how many there are. */
  out: { deviceId: string; why: OutReason }[];
  outTotal: number;
};

/** Everything that `plan` looks at. */
export type RolloutSnapshot = {
  state: RolloutState;
  policy: RolloutPolicy;
  /** Opened so far, in order. */
  waves: WaveSnapshot[];
  /** Devices that run something else than the revision wants and may be moved (followed, not held, bundle not quarantined there). */
  eligible: {
    /** All, whichever wave is theirs. */
    total: number;
    /** Those that the current wave may take and that answer. */
    reachable: number;
    /** Those that the current wave may take once they come back. */
    away: number;
    /** As many of `reachable` as the limit per site leaves room for. */
    room: number;
  };
  /**
   * Devices that went back from the very bundle that this rollout brings, before it: by the first wave that names them, -1 for those that none names.
   * They count as failed in the wave that would take them.
   */
  quarantined: ReadonlyMap<number, number>;
  /** Devices that the revision changes and that it cannot take now: held, stopped, about to be evaluated, or under way with something else. */
  kept: number;
  /** What the current wave's devices prove without an attempt of this rollout. null: nothing depends on it. */
  evidence: Evidence | null;
  /** Devices of this rollout that are under way or were left broken. */
  unavailable: number;
  /** Attempts started during the last minute, and the first of them. */
  startedLastMinute: { count: number; firstAt: Date | null };
  /** Only for the metrics that the current wave's gate names. */
  readings: MetricReading[];
  /** Newest last. */
  approvals: ApprovalSnapshot[];
  /** Holds and other sources that must come first. */
  blockers: Waiting[];
  windowsOverridden: boolean;
  /** Attempts of this rollout that no device has begun. */
  queued: number;
  /** Ways back of a rollout that is reverting: still under way on devices that answer. */
  reverting: number;
};

/** The wave that devices are taken into now; as many as the policy has once all are passed. */
export function currentWave(policy: RolloutPolicy, waves: readonly Pick<WaveSnapshot, 'passedAt'>[]): number {
  const last = waves.at(-1);
  if (last === undefined) return 0;
  return Math.min(last.passedAt === null ? waves.length - 1 : waves.length, waveCount(policy));
}

/** Devices that were taken and are still part of it. */
export function takenBy(wave: WaveSnapshot | undefined): number {
  return wave === undefined ? 0 : wave.offline + wave.open + wave.succeeded + wave.failed;
}
