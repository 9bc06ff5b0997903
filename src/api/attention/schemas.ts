import { z } from '@hono/zod-openapi';
import { ATTENTION_KINDS, type AttentionItem, type CauseGroup } from '../../attention/attention.ts';
import type { FailedDevice } from '../../attention/store/failures.ts';
import { shownText } from '../../attention/titles.ts';
import { mayActAs, type Role } from '../../organization/organization.ts';

const time = z.iso.datetime();

const Place = z
  .object({ revisionId: z.string(), commit: z.string(), file: z.string(), line: z.number().int().nullable() })
  .openapi('CommitPlace');

export const CauseView = z
  .object({
    cause: z.string().openapi({ description: 'The same for failures that differ only in numbers, ids, addresses and times' }),
    code: z.string(),
    detail: z
      .string()
      .openapi({ description: 'The common part of their details; <n>, <id>, <address>, <time> and <device> stand for what differs' }),
    count: z.number().int().openapi({ description: 'Number of devices' }),
    firstDevice: z.string().openapi({ description: 'The device that failed first' }),
    deploymentId: z.string().nullable(),
    since: time,
    lastAt: time,
    sample: z
      .object({ at: time, level: z.string(), message: z.string() })
      .nullable()
      .openapi({ description: "A line of the first device's log about the attempt, without secrets" }),
    place: Place.nullable().openapi({ description: 'Where the commit caused it, if that is known' }),
  })
  .openapi('FailureCause');

const Links = z.object({
  rolloutId: z.string().optional(),
  revisionId: z.string().optional(),
  sourceId: z.string().optional(),
  integration: z.string().optional(),
  deviceId: z.string().optional(),
  notificationId: z.string().optional(),
});

const ACTIONS = [
  'resume',
  'abort',
  'approve',
  'reject',
  'skip-wave',
  'retry',
  'override-windows',
  'sync',
  'release',
  'enable',
  'resolve',
  'allow-reenrolment',
] as const;

export const AttentionItemView = z
  .object({
    kind: z.enum(ATTENTION_KINDS),
    subject: z.object({
      type: z.enum(['rollout', 'source', 'integration', 'notification', 'device', 'devices', 'service']),
      id: z.string(),
      name: z.string(),
    }),
    title: z.string().openapi({ description: 'A sentence' }),
    count: z.number().int().openapi({ description: 'Devices, conflicts or errors that it is about' }),
    isMinimum: z.boolean().openapi({ description: 'There may be more than `count`: not all were counted' }),
    firstDevice: z.string().nullable(),
    since: time.nullable(),
    nextTryAt: time.nullable().openapi({ description: 'When the service tries again by itself' }),
    cause: z.string().nullable(),
    causes: z.array(CauseView).openapi({ description: 'The causes of most failures; all of them: /attention/causes' }),
    moreCauses: z.number().int(),
    numbers: z
      .object({ succeeded: z.number().int(), failed: z.number().int(), budget: z.string().nullable() })
      .nullable()
      .openapi({ description: 'Numbers of a rollout; `budget` is its error budget, a number of devices or a share' }),
    place: Place.nullable(),
    links: Links,
    actions: z.array(z.enum(ACTIONS)).openapi({ description: 'The acts that the token permits' }),
  })
  .openapi('AttentionItem');

export const AttentionView = z
  .object({
    items: z.array(AttentionItemView),
    more: z.number().int().openapi({ description: 'Number of items that are not shown' }),
    cursor: z.number().int().openapi({ description: 'The items are true at this event; later ones may change them' }),
  })
  .openapi('Attention');

export const CausesView = z
  .object({
    causes: z.array(CauseView),
    devices: z.number().int().openapi({ description: 'Failed devices of all causes' }),
  })
  .openapi('FailureCauses');

export const FailedDeviceView = z
  .object({
    deviceId: z.string(),
    deploymentId: z.string(),
    rolloutId: z.string().nullable(),
    state: z.string(),
    error: z.object({ code: z.string(), detail: z.string() }),
    at: time,
  })
  .openapi('FailedDevice');

const iso = (at: Date | null) => at?.toISOString() ?? null;

export function viewItem(item: AttentionItem, role: Role): z.output<typeof AttentionItemView> {
  return {
    ...item,
    since: iso(item.since),
    nextTryAt: iso(item.nextTryAt),
    causes: item.causes.map(viewCause),
    actions: item.actions.filter((each) => mayActAs(role, each.role)).map(({ action }) => action),
  };
}

export function viewCause(group: CauseGroup): z.output<typeof CauseView> {
  const { sample } = group;
  return {
    ...group,
    since: group.since.toISOString(),
    lastAt: group.lastAt.toISOString(),
    sample: sample === null ? null : { ...sample, at: sample.at.toISOString() },
  };
}

export function viewFailedDevice({ code, detail, at, ...device }: FailedDevice): z.output<typeof FailedDeviceView> {
  return { ...device, error: { code, detail: shownText(detail) }, at: at.toISOString() };
}
