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
    /** Of the telemetry that agents report, for example `cpu`, `memory`, `error_rate`. */
    metric: z.string().min(1).max(64),
    /** Over the wave's devices, each by the mean of its samples since it was updated. */
    over: z.enum(['mean', 'max']).default('mean'),
    min: z.number().optional(),
    max: z.number().optional(),
    /** The wave's value divided by that of the devices that are not updated yet. */
    maxRatioToControl: z.number().positive().optional(),
  })
  .refine((gate) => gate.min !== undefined || gate.max !== undefined || gate.maxRatioToControl !== undefined, {
    message: 'must have at least one of min, max, maxRatioToControl',
  });
export type MetricGate = z.infer<typeof MetricGate>;

const Gate = z.strictObject({
  /** Percent of the attempts that ended which must have succeeded. */
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
    /** These devices. */
    devices: z.array(DeviceId).min(1).max(1_000).optional(),
    /** Devices that carry all these labels. */
    selector: Labels.optional(),
    /** This many more devices. */
    count: Count.optional(),
    /** As many as it takes until this share of all devices of the rollout was taken. */
    upToPercent: Percent.optional(),
    bakeSeconds: Seconds.optional(),
    gate: Gate.optional(),
    /** Somebody must approve before it opens. */
    approval: z.boolean().optional(),
  })
  .refine((wave) => WAVE_SELECTIONS.filter((key) => wave[key] !== undefined).length === 1, {
    message: `must have exactly one of ${WAVE_SELECTIONS.join(', ')}`,
  });
export type Wave = z.infer<typeof Wave>;

/** As in AWS IoT Jobs' exponential rate: devices started per minute, times `factor` for every `increaseAfterSuccesses` that succeeded. */
const Rate = z.strictObject({
  perMinute: z.number().int().min(1).max(100_000),
  factor: z.number().min(1).max(5).default(1),
  increaseAfterSuccesses: Count.default(100),
  maxPerMinute: z.number().int().min(1).max(1_000_000).optional(),
});
export type Rate = z.infer<typeof Rate>;

const ErrorBudget = z.strictObject({
  /** Failed devices that are tolerated: a number, or a share of the attempts that ended. */
  max: Amount,
  /** A share is judged once this many have ended, or all of a wave. */
  minSample: Count.default(5),
});

const Approval = z.strictObject({
  beforeRollout: z.boolean().default(false),
  /** An unanswered request ends the rollout after this, an approval that was not used lapses. */
  expiresAfterSeconds: Seconds.min(60).optional(),
  /** The author of the commit cannot approve it. */
  fourEyes: z.boolean().default(false),
});

/**
 * How a revision goes to the devices of a source. `{}`: to all at once. Waves come in their order and what none of them takes forms a last
 * one; a device that a later wave names by id or label is left for that wave.
 */
export const RolloutPolicy = z.strictObject({
  waves: z.array(Wave).max(50).optional(),
  rate: Rate.optional(),
  /** Devices that may be under way or broken at once. A share is of all devices of the rollout, at least one. */
  maxUnavailable: Amount.optional(),
  /** Attempts under way at once. */
  maxParallel: Count.optional(),
  maxParallelPerSite: Count.optional(),
  /** How long a wave is watched after its last device has ended. */
  bakeSeconds: Seconds.optional(),
  gate: Gate.optional(),
  errorBudget: ErrorBudget.optional(),
  device: z
    .strictObject({
      /** For an attempt once the device has begun it. */
      timeoutSeconds: Seconds.min(10).optional(),
      /** Further attempts after failures that may pass; a device that went back from a bundle is not tried again until the bundle changes. */
      retries: z.number().int().min(0).max(20).optional(),
      /** How long a busy device may put an attempt off. */
      busySeconds: Seconds.optional(),
    })
    .optional(),
  /** `revert`, the default: devices that the rollout changed go back. `stop`: they stay where they are. */
  onAbort: z.enum(['revert', 'stop']).optional(),
  /** How long a wave waits for devices of it that are away; then it goes on without them. Default: two minutes, and the last wave does not wait. */
  offlineGraceSeconds: Seconds.optional(),
  /** Devices that come to the source while a rollout runs: `join` it, the default, or `wait` for its end. */
  lateJoiners: z.enum(['join', 'wait']).optional(),
  windows: RolloutWindows.optional(),
  approval: Approval.optional(),
  /** Names of sources whose rollouts come first. */
  after: z.array(z.string().min(1).max(200)).max(20).optional(),
});
export type RolloutPolicy = z.infer<typeof RolloutPolicy>;

/** The waves as they are opened: those of the policy and the last one, which takes what is left. */
export function waveCount(policy: RolloutPolicy): number {
  return (policy.waves?.length ?? 0) + 1;
}

export function waveName(policy: RolloutPolicy, wave: number): string {
  const named = policy.waves?.[wave]?.name;
  if (named !== undefined) return named;
  return wave >= waveCount(policy) - 1 ? 'rest' : `wave ${wave + 1}`;
}

/** It names devices by id or label; else it takes a share, or the rest. */
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

/** As long as it takes to tell a device that is away from one that is only late: OFFLINE_AFTER_SECONDS. */
const OFFLINE_GRACE_SECONDS = 120;

export function offlineGraceSecondsOf(policy: RolloutPolicy, wave: number): number {
  return policy.offlineGraceSeconds ?? (wave < waveCount(policy) - 1 ? OFFLINE_GRACE_SECONDS : 0);
}

export function gateOf(policy: RolloutPolicy, wave: number): Gate {
  return policy.waves?.[wave]?.gate ?? policy.gate ?? {};
}

/** Waves without a budget of their own stop at a tenth: who asks for waves does not want a bad commit to reach the last one. */
const DEFAULT_BUDGET: z.infer<typeof ErrorBudget> = { max: '10%', minSample: 5 };

export function budgetOf(policy: RolloutPolicy): z.infer<typeof ErrorBudget> | undefined {
  return policy.errorBudget ?? (waveCount(policy) > 1 ? DEFAULT_BUDGET : undefined);
}

/** Nothing bounds how many devices are under way at once. */
export function isUnlimited({ rate, maxUnavailable, maxParallel, maxParallelPerSite }: RolloutPolicy): boolean {
  return rate === undefined && maxUnavailable === undefined && maxParallel === undefined && maxParallelPerSite === undefined;
}

/** Nothing in the policy asks to look twice before a device is changed. */
export function isUnrestricted(policy: RolloutPolicy): boolean {
  const { windows, approval, after, lateJoiners } = policy;
  const asks = windows !== undefined || approval !== undefined || after !== undefined || lateJoiners === 'wait';
  return waveCount(policy) === 1 && isUnlimited(policy) && !asks;
}

/** Devices that `amount` stands for among `total`. */
export function amountOf(amount: Amount, total: number): number {
  return typeof amount === 'number' ? amount : Math.floor(exact((Number(amount.slice(0, -1)) / 100) * total));
}

/** Devices that a wave up to that share of `total` may take: at least one where there is one. */
export function shareOf(percent: number, total: number): number {
  return Math.ceil(exact((percent / 100) * total));
}

/** Without the noise of binary fractions, which rounding up or down would turn into a device: 7 % of 100 is 7.000000000000001. */
export function exact(product: number): number {
  return Number(product.toPrecision(12));
}
