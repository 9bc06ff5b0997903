import { z } from '@hono/zod-openapi';
import { MERGE_REQUEST_VERDICTS, type MergeRequest, POSTINGS } from '../../plan/merge-request.ts';
import { DEVICE_BLOCKERS } from '../../plan/plan.ts';
import { PolicySchema } from '../../policy/schema.ts';
import { WARNING_CODES } from '../../rollout/decide/wave-check.ts';
import { ConfigErrorView } from '../source/schemas.ts';

const time = z.iso.datetime();

const PlanSummaryView = z
  .object({
    devices: z.number().int().openapi({ description: 'Devices that follow the source, or are bound to it' }),
    changed: z.number().int(),
    blocked: z.number().int().openapi({ description: 'Devices that cannot change for any reason but being offline' }),
    invalid: z.number().int(),
    unchanged: z.number().int(),
    folders: z.number().int().openapi({ description: 'Device folders whose result changes' }),
  })
  .openapi('PlanSummary');

const BlockerView = z.object({ code: z.string(), detail: z.string(), until: time.nullable() });

/** A difference that several devices share. */
export const DiffView = z.object({
  devices: z.number().int().openapi({ description: 'Devices with this difference' }),
  applyChanged: z.boolean(),
  truncated: z.boolean(),
  files: z.array(
    z.object({
      path: z.string(),
      change: z.enum(['added', 'removed', 'changed']),
      patch: z.string().nullable(),
      note: z.string().nullable(),
    }),
  ),
});

export const PlanSchema = z
  .object({
    sourceId: z.string(),
    ref: z.string(),
    commit: z.string(),
    base: z.string().nullable().openapi({ description: "The source's prepared head, the base of the comparison" }),
    verdict: z.enum(['valid', 'partial', 'invalid']),
    errors: z.array(ConfigErrorView).openapi({ description: 'New errors of the commit; earlier errors are not repeated' }),
    moreErrors: z.number().int(),
    rolloutPolicy: PolicySchema,
    summary: PlanSummaryView,
    devices: z.array(
      z.object({
        id: z.string(),
        path: z.string(),
        change: z.enum(['changed', 'added', 'removed', 'unchanged']),
        verdict: z.enum(['valid', 'invalid', 'missing']),
        errors: z.array(ConfigErrorView),
        diff: z.number().int().nullable().openapi({ description: 'Index in `diffs`; null: none, or not shown' }),
        wave: z.number().int().nullable(),
        waveName: z.string().nullable(),
        blockers: z.array(z.enum(DEVICE_BLOCKERS)),
      }),
    ),
    moreDevices: z.number().int(),
    waves: z.array(
      z.object({
        wave: z.number().int(),
        name: z.string(),
        devices: z.number().int().openapi({ description: 'Devices that would get an attempt' }),
        quarantined: z
          .number()
          .int()
          .default(0)
          .openapi({ description: 'Devices that rolled back from this bundle: they count as failed in the gate and in the error budget' }),
        approval: z.boolean(),
        bakeSeconds: z.number(),
        stop: z
          .object({ code: z.string(), detail: z.string() })
          .nullable()
          .default(null)
          .openapi({ description: 'Why the rollout would stop or end at this wave although every attempt succeeds' }),
      }),
    ),
    warnings: z
      .array(
        z.object({
          code: z.enum(WARNING_CODES),
          file: z.string(),
          line: z.number().int().nullable(),
          pointer: z.string(),
          detail: z.string(),
        }),
      )
      .default([])
      .openapi({ description: 'Likely mistakes in the waves of the policy: a wave without devices, a gate that can never pass' }),
    blockers: z.array(BlockerView).openapi({ description: 'Blockers of the whole rollout' }),
    diffs: z.array(DiffView).openapi({ description: 'Each difference once, those of most devices first; secrets are not shown' }),
    moreDiffs: z.number().int(),
  })
  .openapi('Plan');
export const MergeRequestView = z
  .object({
    id: z.string(),
    number: z.number().int(),
    state: z.enum(['open', 'closed']),
    title: z.string().nullable(),
    url: z.string().nullable(),
    commit: z.string().nullable().openapi({ description: 'Commit of the last plan' }),
    base: z.string().nullable(),
    verdict: z.enum(MERGE_REQUEST_VERDICTS).nullable().openapi({ description: 'error: the plan could not be computed' }),
    headline: z.string().nullable(),
    summary: PlanSummaryView.nullable(),
    posting: z.enum(POSTINGS).openapi({ description: 'none: nothing is posted to the Git host, or not yet' }),
    commentUrl: z.string().nullable(),
    failures: z.number().int(),
    lastError: z.object({ code: z.string(), detail: z.string() }).nullable(),
    nextTryAt: time.nullable(),
    plannedAt: time.nullable(),
    postedAt: time.nullable(),
    noticedAt: time,
    closedAt: time.nullable(),
  })
  .openapi('MergeRequest');

export function viewMergeRequest(request: MergeRequest): z.output<typeof MergeRequestView> {
  const iso = (at: Date | null) => at?.toISOString() ?? null;
  const { id, number, state, title, url, headCommit, baseCommit, verdict, headline, summary, posting, commentUrl, failures } = request;
  return {
    ...{ id, number, state, title, url, commit: headCommit, base: baseCommit, verdict, headline, summary, posting, commentUrl, failures },
    lastError: request.errorCode === null ? null : { code: request.errorCode, detail: request.errorDetail ?? '' },
    nextTryAt: failures > 0 ? iso(request.dueAt) : null,
    plannedAt: iso(request.plannedAt),
    postedAt: iso(request.postedAt),
    noticedAt: request.noticedAt.toISOString(),
    closedAt: iso(request.closedAt),
  };
}
