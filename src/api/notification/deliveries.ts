import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { conflict, notFound } from '../../errors.ts';
import { decodeNumberCursor, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { listDeliveries, lockDelivery, reopenDelivery } from '../../notification/delivery/deliveries-store.ts';
import { DELIVER_WITHIN_HOURS } from '../../notification/notification.ts';
import { makeDue } from '../../notification/store.ts';
import type { ConflictCode } from '../../wire/errors.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';
import { findNotification, lockFound } from './notifications.ts';
import { NotificationDelivery, viewDelivery } from './schemas.ts';

const tags = ['Notifications'];

/** What was sent to a notification's URL, and what came of it. */
export function notificationDeliveryRoutes({ store }: Services) {
  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/notifications/{id}/deliveries',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: z.object({ id: z.uuid() }), query: PageQuery },
        responses: { 200: json(page(NotificationDelivery), 'Deliveries of the last 30 days, newest event first'), ...problems },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const notification = await findNotification(store.sql, c.get('actor').organizationId, c.req.valid('param').id);
        const rows = await listDeliveries(store.sql, notification, decodeNumberCursor(cursor), limit + 1);
        return c.json(
          toPage(
            rows,
            limit,
            (delivery) => delivery.eventCursor,
            (delivery) => viewDelivery(delivery, delivery.isNext ? notification.dueAt : null),
          ),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/notifications/{id}/deliveries/{deliveryId}/redeliver',
        tags,
        middleware: [role('operator')] as const,
        request: { params: z.object({ id: z.uuid(), deliveryId: z.uuid() }) },
        responses: { 202: json(z.object({ queued: z.boolean() }), 'It is sent again now, under the same id'), ...problems },
      }),
      async (c) => {
        const { id, deliveryId } = c.req.valid('param');
        const { organizationId } = c.get('actor');
        const what = { action: 'notification.redeliver', subject: `notification:${id}`, detail: { deliveryId } };
        await audited(callerOf(c), store, what, async ({ tx }) => {
          // A worker that is about to end its claim has ended it, or sees what is reopened.
          const notification = await lockFound(tx, organizationId, id);
          const delivery = await lockDelivery(tx, notification, deliveryId);
          if (delivery === undefined) throw notFound('delivery', deliveryId);
          const refuse = (code: ConflictCode, why: string) => conflict(code, `Cannot redeliver "${deliveryId}": ${why}`);
          if (!notification.enabled)
            throw refuse('notification_disabled', `notification "${notification.name}" is disabled; enable it first`);
          if (delivery.state === 'pending') throw refuse('delivery_pending', 'it is on its way, its state must be "delivered" or "failed"');
          if (!delivery.eventKept) throw refuse('event_gone', 'its event is older than events are kept');
          await reopenDelivery(tx, organizationId, deliveryId, DELIVER_WITHIN_HOURS);
          await makeDue(tx, organizationId, [id]);
        });
        return c.json({ queued: true }, 202);
      },
    );
}
