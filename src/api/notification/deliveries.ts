import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { decodeNumberCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { listDeliveries, lockDelivery, reopenDelivery } from '../../notification/delivery/deliveries-store.ts';
import { DELIVER_WITHIN_HOURS, type Notification } from '../../notification/notification.ts';
import { makeDue } from '../../notification/store.ts';
import type { ConflictCode } from '../../wire/errors.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { findNotification, lockFound } from './notifications.ts';
import { NotificationDelivery, viewDelivery } from './schemas.ts';

type Deps = { store: Store };

/** The events sent to a notification's URL, and their outcomes. */
export const notificationDeliveryRoutes = (deps: Deps) => mount(listAll(deps), redeliver(deps));

const tags = ['Notifications'];

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/notifications/{id}/deliveries',
      tags,
      role: 'viewer',
      request: { params: z.object({ id: z.uuid() }), query: PageQuery },
      item: NotificationDelivery,
      description: 'Deliveries of the last 30 days, newest event first',
    }),
    async (c) => {
      const notification = await findNotification(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const answer = await readPage(c.req.valid('query'), {
        after: decodeNumberCursor,
        rows: (after, limit) => listDeliveries(sql, notification, after, limit),
        key: (delivery) => delivery.eventCursor,
        view: (delivery) => viewDelivery(delivery, delivery.isNext ? notification.dueAt : null),
      });
      return c.json(answer, 200);
    },
  );

const redeliver = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/notifications/{id}/deliveries/{deliveryId}/redeliver',
      tags,
      middleware: [role('operator')] as const,
      request: { params: z.object({ id: z.uuid(), deliveryId: z.uuid() }) },
      responses: { 202: json(z.object({ queued: z.boolean() }), 'The delivery is sent again now, with the same id'), ...problems },
    }),
    async (c) => {
      const { id, deliveryId } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      const entry = { action: 'notification.redeliver', subject: `notification:${id}`, detail: { deliveryId } };
      await audited(callerOf(c), store, entry, async ({ tx }) => {
        // The lock orders this against a worker that ends its claim: it has ended the claim, or sees the reopened delivery.
        const notification = await lockFound(tx, organizationId, id);
        const delivery = await lockDelivery(tx, notification, deliveryId);
        if (delivery === undefined) throw notFound('delivery', deliveryId);
        checkRedeliverable(notification, delivery);
        await reopenDelivery(tx, organizationId, deliveryId, DELIVER_WITHIN_HOURS);
        await makeDue(tx, organizationId, [id]);
      });
      return c.json({ queued: true }, 202);
    },
  );

/** @throws Problem `notification_disabled`, `delivery_pending`, `event_gone` */
function checkRedeliverable(notification: Notification, { id, state, eventKept }: { id: string; state: string; eventKept: boolean }): void {
  const refuse = (code: ConflictCode, why: string) => conflict(code, `Cannot redeliver "${id}": ${why}`);
  if (!notification.enabled) throw refuse('notification_disabled', `notification "${notification.name}" is disabled; enable it first`);
  if (state === 'pending') throw refuse('delivery_pending', 'it is on its way, its state must be "delivered" or "failed"');
  if (!eventKept) throw refuse('event_gone', 'its event is older than events are kept');
}
