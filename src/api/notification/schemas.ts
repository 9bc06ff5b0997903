import { z } from '@hono/zod-openapi';
import type { ListedDelivery } from '../../notification/delivery/deliveries-store.ts';
import { FORMATS, type Notification } from '../../notification/notification.ts';
import { Labels } from '../../wire/agent.ts';
import { SEVERITIES } from '../../wire/event/kind.ts';
import { withoutLineEnd } from '../../wire/text/secret-text.ts';

const fields = {
  name: z.string().trim().min(1).max(200).openapi({ example: 'on-call' }),
  format: z.enum(FORMATS).openapi({
    description:
      'cloudevents: CloudEvents 1.0, structured JSON; json: the event as GET /events shows it; slack: a sentence for a chat (Slack, Mattermost)',
  }),
  events: z
    .array(z.string().min(1).max(100))
    .min(1)
    .max(50)
    .openapi({ description: 'Types of events: by name, by group (rollout.*), or all (*)', example: ['rollout.*', 'revision.rejected'] }),
  minimumSeverity: z.enum(SEVERITIES),
  sourceId: z.uuid().nullable().openapi({ description: 'Only events of this source, its rollouts and its devices' }),
  siteId: z.uuid().nullable().openapi({ description: 'Only devices of this site' }),
  /** Only devices that have all of them. */
  labels: Labels,
  enabled: z.boolean(),
};
const url = z.string().overwrite(withoutLineEnd).min(1).max(2048).openapi({
  description: 'Address to post to; shown only in part, because it may contain a credential',
  example: 'https://receiver.example/hooks/bellwether',
});

export const NewNotification = z
  .strictObject({
    ...fields,
    url,
    format: fields.format.default('cloudevents'),
    minimumSeverity: fields.minimumSeverity.default('info'),
    sourceId: fields.sourceId.default(null),
    siteId: fields.siteId.default(null),
    labels: fields.labels.default({}),
    enabled: fields.enabled.default(true),
  })
  .openapi('NewNotification');

export const NotificationChange = z.strictObject(z.object({ ...fields, url }).partial().shape).openapi('NotificationChange');

const time = z.iso.datetime();

export const NotificationView = z
  .object({
    id: z.string(),
    ...fields,
    url: z.string().openapi({ description: 'Its origin and last characters' }),
    secretLast4: z.string().openapi({ description: 'The last characters of the signing secret' }),
    previousSecretUntil: time.nullable().openapi({ description: 'The previous secret also signs until then' }),
    status: z.enum(['ok', 'failing', 'disabled']),
    disabledReason: z.string().nullable(),
    failures: z.number().int().openapi({ description: 'Failed attempts since the last success' }),
    lastError: z.string().nullable(),
    nextTryAt: time.nullable(),
    lastDeliveredAt: time.nullable(),
    cursor: z.number().int().openapi({ description: 'Events up to it are delivered, in delivery, or did not match' }),
    dropped: z.number().int().openapi({ description: 'Matching events that were never tried, because they were too old or too many' }),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Notification');

const Secret = z.string().openapi({ description: 'whsec_… as Standard Webhooks defines it; shown only once' });

export const CreatedNotification = NotificationView.extend({ secret: Secret }).openapi('CreatedNotification');
export const ReplacedSecret = z.object({ secret: Secret, previousSecretUntil: time }).openapi('ReplacedNotificationSecret');

export const NotificationTest = z
  .object({
    ok: z.boolean(),
    status: z.number().int().nullable().openapi({ description: 'Status of the answer; null if there was none' }),
    error: z.string().nullable(),
    response: z.string().openapi({ description: "The beginning of the answer's body" }),
    durationMs: z.number(),
  })
  .openapi('NotificationTest');

export const NotificationDelivery = z
  .object({
    id: z.string().openapi({ description: 'The webhook-id, the same in every attempt' }),
    eventCursor: z.number().int(),
    eventType: z.string(),
    subject: z.string(),
    state: z.enum(['pending', 'delivered', 'failed']),
    attempts: z.number().int(),
    nextTryAt: time.nullable().openapi({ description: 'Time of the next try of the oldest delivery; the others wait for it' }),
    expiresAt: time.openapi({ description: 'The delivery is dropped after this time' }),
    tries: z
      .array(
        z.object({
          at: time,
          durationMs: z.number().int(),
          status: z.number().int().nullable(),
          error: z.string().nullable(),
          response: z.string(),
        }),
      )
      .openapi({ description: 'The last attempts, oldest first' }),
    createdAt: time,
    finishedAt: time.nullable(),
  })
  .openapi('NotificationDelivery');

export function viewNotification(notification: Notification): z.output<typeof NotificationView> {
  const { enabled, failures, dueAt, previousSecretUntil } = notification;
  return {
    id: notification.id,
    name: notification.name,
    url: notification.urlHint,
    format: notification.format,
    events: [...notification.events],
    minimumSeverity: notification.minimumSeverity,
    sourceId: notification.sourceId,
    siteId: notification.siteId,
    labels: notification.labels,
    enabled,
    secretLast4: notification.secretLast4,
    previousSecretUntil: previousSecretUntil?.toISOString() ?? null,
    status: !enabled ? 'disabled' : failures > 0 ? 'failing' : 'ok',
    disabledReason: notification.disabledReason,
    failures,
    lastError: notification.lastError,
    nextTryAt: failures > 0 ? (dueAt?.toISOString() ?? null) : null,
    lastDeliveredAt: notification.lastDeliveredAt?.toISOString() ?? null,
    cursor: notification.cursor,
    dropped: notification.dropped,
    createdAt: notification.createdAt.toISOString(),
    updatedAt: notification.updatedAt.toISOString(),
  };
}

export function viewDelivery(delivery: ListedDelivery, nextTryAt: Date | null): z.output<typeof NotificationDelivery> {
  const { notificationId: _of, isNext: _next, expiresAt, createdAt, finishedAt, tries, ...plain } = delivery;
  return {
    ...plain,
    nextTryAt: nextTryAt?.toISOString() ?? null,
    expiresAt: expiresAt.toISOString(),
    tries: tries.map((one) => ({ ...one, at: new Date(one.at).toISOString() })),
    createdAt: createdAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  };
}
