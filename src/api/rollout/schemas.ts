import { z } from '@hono/zod-openapi';
import { waveCount, waveName } from '../../policy/policy.ts';
import { PolicySchema } from '../../policy/schema.ts';
import { quarantinedIn } from '../../rollout/decide/capacity.ts';
import { OUT_REASONS, type RolloutSnapshot } from '../../rollout/decide/snapshot.ts';
import { ROLLOUT_STATES, type Rollout } from '../../rollout/rollout.ts';
import type { Approval } from '../../rollout/store/approvals.ts';
import type { DeviceOutcome } from '../../rollout/store/counts.ts';
import type { WaveRow } from '../../rollout/store/store.ts';

const time = z.iso.datetime();
const reason = z.string().trim().min(1).max(500);

export const NewRollout = z
  .strictObject({
    sourceId: z.uuid(),
    policy: PolicySchema.optional().openapi({ description: 'Replaces the policy of the revision or source' }),
    reason: reason.default('started by an operator'),
  })
  .openapi('NewRollout');

export const Abort = z.strictObject({
  revert: z.boolean().optional().openapi({ description: 'Whether the changed devices roll back; default: from its policy' }),
  reason: reason.default('aborted by an operator'),
});

export const Decision = z.strictObject({ comment: z.string().trim().max(500).optional() });
export const Reason = z.strictObject({ reason: reason.default('by an operator') });
export const Retry = z.strictObject({ deviceIds: z.array(z.string().max(63)).min(1).max(10_000).optional() });

export const RollbackSource = z
  .strictObject({
    to: z
      .uuid()
      .optional()
      .openapi({ description: 'Id of a revision; default: the revision of the last completed rollout before the present one' }),
    policy: PolicySchema.default({}).openapi({ description: 'Policy of the rollout; default: all devices at once' }),
    reason: reason.default('rolled back by an operator'),
    branch: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .openapi({ description: 'Name of a new branch; the service pushes the revert commit to it' }),
  })
  .openapi('RollbackSource');

export const COUNTS = {
  offline: z.number().int(),
  open: z.number().int(),
  succeeded: z.number().int(),
  failed: z.number().int().openapi({ description: 'Each device counts once, also if another attempt replaced its failed one' }),
  quarantined: z.number().int().openapi({
    description: 'Rolled back from this bundle in an earlier rollout. They count as failed in gates and in the error budget',
  }),
};

export const RolloutView = z
  .object({
    id: z.string(),
    sourceId: z.string(),
    revisionId: z.string(),
    kind: z.enum(['revision', 'rollback']),
    state: z.enum(ROLLOUT_STATES),
    policy: PolicySchema,
    reason: z.string().nullable(),
    createdBy: z.string(),
    waiting: z.object({ code: z.string(), detail: z.string(), until: time.nullable() }).nullable().openapi({
      description:
        'Why the rollout waits. no_success: no device of the wave has succeeded, and some failed or could not try; gate: the gate lacks successes. Both wait until devices succeed or a person skips the wave',
    }),
    end: z.object({ code: z.string(), detail: z.string() }).nullable().openapi({ description: 'Why the rollout was aborted' }),
    windowsOverriddenBy: z.string().nullable(),
    createdAt: time,
    startedAt: time.nullable(),
    finishedAt: time.nullable(),
  })
  .openapi('Rollout');

const WaveView = z
  .object({
    wave: z.number().int(),
    name: z.string(),
    openedAt: time.nullable(),
    passedAt: time.nullable(),
    skippedBy: z.string().nullable(),
    ...COUNTS,
  })
  .openapi('Wave');

const ApprovalView = z
  .object({
    id: z.string(),
    wave: z.number().int().nullable(),
    requestedAt: time,
    expiresAt: time.nullable(),
    decision: z.enum(['approved', 'rejected', 'expired']).nullable(),
    decidedAt: time.nullable(),
    decidedBy: z.string().nullable(),
    decidedFrom: z.string().nullable().openapi({ description: 'Network address' }),
    comment: z.string().nullable(),
  })
  .openapi('Approval');

export const RolloutDetail = RolloutView.extend({
  counts: z.object(COUNTS),
  remaining: z.number().int().openapi({ description: 'Devices that it has not started yet' }),
  waves: z.array(WaveView),
  out: z
    .array(z.object({ deviceId: z.string(), why: z.enum(OUT_REASONS), detail: z.string() }))
    .openapi({ description: 'Devices of the wave without a success, and why; only while the wave waits for one' }),
  moreOut: z.number().int().openapi({ description: 'Number of such devices that are not shown' }),
  approvals: z.array(ApprovalView),
}).openapi('RolloutDetail');

const OUTCOMES = ['offline', 'open', 'succeeded', 'failed', 'gone', 'quarantined'] as const;
export const Outcome = z.enum(OUTCOMES);
export const RolloutDevice = z
  .object({
    deviceId: z.string(),
    wave: z.number().int().nullable(),
    outcome: Outcome.openapi({
      description:
        'gone: another attempt replaced it; quarantined: no attempt, because the device rolled back from this bundle in an earlier rollout',
    }),
    state: z.string(),
    deploymentId: z.string().nullable(),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    startedAt: time.nullable(),
    finishedAt: time.nullable(),
  })
  .openapi('RolloutDevice');

const iso = (at: Date | null) => at?.toISOString() ?? null;

export function viewRollout(rollout: Rollout): z.output<typeof RolloutView> {
  const { waiting, endCode, endDetail } = rollout;
  const { id, sourceId, revisionId, kind, state, policy, reason: why, createdBy, windowsOverriddenBy } = rollout;
  return {
    ...{ id, sourceId, revisionId, kind, state, policy, reason: why, createdBy, windowsOverriddenBy },
    waiting: waiting === null ? null : { ...waiting, until: iso(rollout.nextLookAt) },
    end: endCode === null ? null : { code: endCode, detail: endDetail ?? '' },
    createdAt: rollout.createdAt.toISOString(),
    startedAt: iso(rollout.startedAt),
    finishedAt: iso(rollout.finishedAt),
  };
}

const NOBODY = { offline: 0, open: 0, succeeded: 0, failed: 0 };

/** Waves that are not open yet are shown, too. */
export function viewWaves(rollout: Rollout, rows: readonly WaveRow[], snapshot: RolloutSnapshot): z.output<typeof WaveView>[] {
  return Array.from({ length: waveCount(rollout.policy) }, (_, wave) => {
    const at = rows.findIndex((candidate) => candidate.wave === wave);
    const { offline, open, succeeded, failed } = snapshot.waves[at] ?? NOBODY;
    return {
      wave,
      name: waveName(rollout.policy, wave),
      openedAt: iso(rows[at]?.openedAt ?? null),
      passedAt: iso(rows[at]?.passedAt ?? null),
      skippedBy: rows[at]?.skippedBy ?? null,
      ...{ offline, open, succeeded, failed, quarantined: quarantinedIn(snapshot, wave) },
    };
  });
}

export function viewApproval(approval: Approval): z.output<typeof ApprovalView> {
  const { id, wave, decision, decidedBy, decidedFrom, comment } = approval;
  return {
    ...{ id, wave, decision, decidedBy, decidedFrom, comment },
    requestedAt: approval.requestedAt.toISOString(),
    expiresAt: iso(approval.expiresAt),
    decidedAt: iso(approval.decidedAt),
  };
}

export function viewRolloutDevice(device: DeviceOutcome): z.output<typeof RolloutDevice> {
  const { deviceId, wave, outcome, state, deploymentId, errorCode, errorDetail } = device;
  return {
    ...{ deviceId, wave, outcome, state, deploymentId },
    error: errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' },
    startedAt: iso(device.startedAt),
    finishedAt: iso(device.finishedAt),
  };
}
