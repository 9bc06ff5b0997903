import { z } from 'zod';
import { DeviceId, Labels } from '../wire/agent.ts';
import { matching, type NameRule } from '../wire/names.ts';
import { RolloutWindows } from './windows.ts';

const Seconds = z
  .number()
  .int()
  .min(0)
  .max(30 * 86_400);
const Count = z.number().int().min(1).max(1_000_000);
const Percent = z.number().gt(0).max(100);

/** A number of devices, or a share of those concerned, for example `"5%"`. */
const SHARE_RULE: NameRule = {
  pattern: /^(100|\d{1,2}(\.\d{1,3})?)%$/,
  words: 'be a whole number of devices, or a share in percent such as "10%" or "2.5%"',
};

export const Amount = z.union([z.number().int().min(0).max(1_000_000), z.string().regex(...matching(SHARE_RULE))]);
export type Amount = z.infer<typeof Amount>;

const MetricGate = z
  .strictObject({
    /** A name in the telemetry that agents report, for example `cpu`, `memory`, `error_rate`. */
    metric: z.string().min(1).max(64),
    /** How the devices of the wave are combined. Each device counts by the mean of its samples since its update. */
    over: z.enum(['mean', 'max']).default('mean'),
    min: z.number().optional(),
    max: z.number().optional(),
    /** Limit of the wave's value divided by the value of the devices that are not updated yet. */
    maxRatioToControl: z.number().positive().optional(),
  })
  .refine((gate) => gate.min !== undefined || gate.max !== undefined || gate.maxRatioToControl !== undefined, {
    message: 'must have at least one of min, max, maxRatioToControl',
  });
export type MetricGate = z.infer<typeof MetricGate>;

const Gate = z.strictObject({
  /** Percentage of the ended attempts that must have succeeded. */
  success: z.number().min(0).max(100).optional(),
  /** Devices that must have succeeded before the wave can pass. Fewer suffice only where the revision changes fewer devices of the wave. */
  minSucceeded: Count.optional(),
  metrics: z.array(MetricGate).max(20).optional(),
});
export type Gate = z.infer<typeof Gate>;

const WAVE_SELECTIONS = ['devices', 'selector', 'count', 'upToPercent'] as const;
const Wave = z
  .strictObject({
    name: z.string().trim().min(1).max(100).optional(),
    /** Device ids. */
    devices: z.array(DeviceId).min(1).max(1_000).optional(),
    /** Devices that carry all these labels. */
    selector: Labels.optional(),
    /** Number of devices that the wave adds. */
    count: Count.optional(),
    /** The wave adds devices until the rollout has updated this share of all its devices. */
    upToPercent: Percent.optional(),
    bakeSeconds: Seconds.optional(),
    gate: Gate.optional(),
    /** A person must approve the wave before it opens. */
    approval: z.boolean().optional(),
  })
  .refine((wave) => WAVE_SELECTIONS.filter((key) => wave[key] !== undefined).length === 1, {
    message: `must have exactly one of ${WAVE_SELECTIONS.join(', ')}`,
  });
export type Wave = z.infer<typeof Wave>;

/** Devices started per minute, multiplied by `factor` after every `increaseAfterSuccesses` successes, as in AWS IoT Jobs' exponential rate. */
const Rate = z.strictObject({
  perMinute: z.number().int().min(1).max(100_000),
  factor: z.number().min(1).max(5).default(1),
  increaseAfterSuccesses: Count.default(100),
  maxPerMinute: z.number().int().min(1).max(1_000_000).optional(),
});
export type Rate = z.infer<typeof Rate>;

const ErrorBudget = z.strictObject({
  /** Tolerated failed devices: a number, or a share of the ended attempts. */
  max: Amount,
  /** A share is judged once this many attempts have ended, or all attempts of a wave. */
  minSample: Count.default(5),
});

const Approval = z.strictObject({
  beforeRollout: z.boolean().default(false),
  /** After this time an unanswered request ends the rollout, and an unused approval expires. */
  expiresAfterSeconds: Seconds.min(60).optional(),
  /** The author of the commit cannot approve it. */
  fourEyes: z.boolean().default(false),
});

/**
 * How a revision is rolled out to the devices of a source. `{}`: to all devices at once. Waves open in order. Devices that no wave takes form
 * the last wave. A device that a later wave names by id or label is reserved for that wave.
 */
export const RolloutPolicy = z.strictObject({
  waves: z.array(Wave).max(50).optional(),
  rate: Rate.optional(),
  /** Devices that may be under way or failed at the same time. A share refers to all devices of the rollout and allows at least one. */
  maxUnavailable: Amount.optional(),
  /** Attempts under way at the same time. */
  maxParallel: Count.optional(),
  maxParallelPerSite: Count.optional(),
  /** How long the wave's metrics are monitored after its last device ended. */
  bakeSeconds: Seconds.optional(),
  gate: Gate.optional(),
  errorBudget: ErrorBudget.optional(),
  device: z
    .strictObject({
      /** Limit of an attempt, counted from its start on the device. */
      timeoutSeconds: Seconds.min(10).optional(),
      /** Further attempts after transient failures. A device that rolled back a bundle is not retried until the bundle changes. */
      retries: z.number().int().min(0).max(20).optional(),
      /** How long a busy device may postpone an attempt. */
      busySeconds: Seconds.optional(),
    })
    .optional(),
  /** `revert`, the default: the devices that the rollout changed return to their previous bundle. `stop`: they keep the new bundle. */
  onAbort: z.enum(['revert', 'stop']).optional(),
  /** How long a wave waits for its offline devices. Default: two minutes; the last wave does not wait. */
  offlineGraceSeconds: Seconds.optional(),
  /** Devices that are added to the source during a rollout: they `join` it, the default, or `wait` for its end. */
  lateJoiners: z.enum(['join', 'wait']).optional(),
  windows: RolloutWindows.optional(),
  approval: Approval.optional(),
  /** Names of sources whose rollouts must complete first. */
  after: z.array(z.string().min(1).max(200)).max(20).optional(),
});
export type RolloutPolicy = z.infer<typeof RolloutPolicy>;

/** The policy's waves and the last wave, which takes all other devices. */
export function waveCount(policy: RolloutPolicy): number {
  return (policy.waves?.length ?? 0) + 1;
}

export function waveName(policy: RolloutPolicy, wave: number): string {
  const named = policy.waves?.[wave]?.name;
  if (named !== undefined) return named;
  return wave >= waveCount(policy) - 1 ? 'rest' : `wave ${wave + 1}`;
}

/** Whether the wave names devices by id or label. Otherwise it takes a share, or the rest. */
export function isNaming(policy: RolloutPolicy, wave: number): boolean {
  const { devices, selector } = policy.waves?.[wave] ?? {};
  return devices !== undefined || selector !== undefined;
}

export function isLastWave(policy: RolloutPolicy, wave: number): boolean {
  return wave >= waveCount(policy) - 1;
}

export function bakeSecondsOf(policy: RolloutPolicy, wave: number): number {
  return policy.waves?.[wave]?.bakeSeconds ?? policy.bakeSeconds ?? 0;
}

/** A device counts as offline only after OFFLINE_AFTER_SECONDS: a shorter grace would skip devices whose state is unknown. */
const OFFLINE_GRACE_SECONDS = 120;

export function offlineGraceSecondsOf(policy: RolloutPolicy, wave: number): number {
  return policy.offlineGraceSeconds ?? (wave < waveCount(policy) - 1 ? OFFLINE_GRACE_SECONDS : 0);
}

export function gateOf(policy: RolloutPolicy, wave: number): Gate {
  return policy.waves?.[wave]?.gate ?? policy.gate ?? {};
}

/** The default for policies with waves: a policy with waves must not let a bad commit reach the last wave. */
const DEFAULT_BUDGET: z.infer<typeof ErrorBudget> = { max: '10%', minSample: 5 };

export function budgetOf(policy: RolloutPolicy): z.infer<typeof ErrorBudget> | undefined {
  return policy.errorBudget ?? (waveCount(policy) > 1 ? DEFAULT_BUDGET : undefined);
}

/** Whether the number of devices under way has no limit. */
export function isUnlimited({ rate, maxUnavailable, maxParallel, maxParallelPerSite }: RolloutPolicy): boolean {
  return rate === undefined && maxUnavailable === undefined && maxParallel === undefined && maxParallelPerSite === undefined;
}

/** Whether the policy lets any device be changed at any time, without a check by the rollout. */
export function isUnrestricted(policy: RolloutPolicy): boolean {
  const { windows, approval, after, lateJoiners } = policy;
  const asks = windows !== undefined || approval !== undefined || after !== undefined || lateJoiners === 'wait';
  return waveCount(policy) === 1 && isUnlimited(policy) && !asks;
}

/** Number of devices that `amount` means among `total`. */
export function amountOf(amount: Amount, total: number): number {
  return typeof amount === 'number' ? amount : Math.floor(exact((Number(amount.slice(0, -1)) / 100) * total));
}

/** Number of devices in that share of `total`: at least one if there are any. */
export function shareOf(percent: number, total: number): number {
  return Math.ceil(exact((percent / 100) * total));
}

/** Removes the noise of binary fractions, which rounding would turn into a device: 7 % of 100 is 7.000000000000001. */
export function exact(product: number): number {
  return Number(product.toPrecision(12));
}
