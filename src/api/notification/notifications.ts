import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import { mintSigningToken } from '../../crypto/signature.ts';
import type { Db } from '../../db/connect.ts';
import { conflict, notFound } from '../../errors.ts';
import { body, checkIfMatch, decodeIdCursor, etagOf, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { attempt } from '../../notification/delivery/attempt.ts';
import { giveUpPending } from '../../notification/delivery/deliveries-store.ts';
import { checkEvents } from '../../notification/filter.ts';
import { eventOf, MAX_PER_ORGANIZATION, type Notification, SECRET_GRACE_HOURS, testEvent } from '../../notification/notification.ts';
import { sealSecret, sealUrl } from '../../notification/secrets.ts';
import {
  countNotifications,
  deleteNotification,
  insertNotification,
  isNotificationNameTaken,
  listNotifications,
  lockNotification,
  type NotificationSettings,
  notificationOf,
  replaceSecret,
  updateNotification,
} from '../../notification/store.ts';
import { checkTargets } from '../../organization/targets.ts';
import { callerOf, createApi, type Env, role } from '../env.ts';
import type { Services } from '../services.ts';
import {
  CreatedNotification,
  NewNotification,
  NotificationChange,
  NotificationTest,
  NotificationView,
  ReplacedSecret,
  viewNotification,
} from './schemas.ts';

const Id = z.object({ id: z.uuid() });
const tags = ['Notifications'];

/** Webhooks that tell others what happened. */
export function notificationRoutes(services: Services) {
  const { store, box } = services;
  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/notifications',
        tags,
        middleware: [role('viewer')] as const,
        request: { query: PageQuery },
        responses: { 200: json(page(NotificationView), 'Notifications, oldest first'), ...problems },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const rows = await listNotifications(store.sql, c.get('actor').organizationId, decodeIdCursor(cursor), limit + 1);
        return c.json(
          toPage(rows, limit, (notification) => notification.id, viewNotification),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/notifications',
        tags,
        middleware: [role('operator')] as const,
        request: { body: body(NewNotification) },
        responses: { 201: json(CreatedNotification, 'Created, with its secret; what happens from now on is sent'), ...problems },
      }),
      async (c) => {
        const { url, ...wanted } = c.req.valid('json');
        const { organizationId } = c.get('actor');
        const id = newId();
        const secret = mintSigningToken();
        checkEvents(wanted);
        const settings = { organizationId, id, ...wanted, ...sealUrl(services, id, url) };
        const created = await audited(callerOf(c), store, { action: 'notification.create', ...told(settings) }, async ({ tx, emit }) => {
          await checkTargets(tx, organizationId, wanted);
          await checkRoom(tx, organizationId);
          if (!(await insertNotification(tx, { ...settings, ...sealSecret(box, id, secret) }))) throw nameTaken(wanted.name);
          emit(eventOf(settings, 'notification.created', {}));
          return notificationOf(tx, organizationId, id);
        });
        if (created === undefined) throw notFound('notification', id);
        const headers = { etag: etagOf(created.version), location: `notifications/${id}` };
        return c.json({ ...viewNotification(created), secret }, 201, headers);
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/notifications/{id}',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: Id },
        responses: { 200: json(NotificationView, 'The notification'), ...problems },
      }),
      async (c) => {
        const notification = await findNotification(store.sql, c.get('actor').organizationId, c.req.valid('param').id);
        return c.json(viewNotification(notification), 200, { etag: etagOf(notification.version) });
      },
    )
    .openapi(
      createRoute({
        method: 'patch',
        path: '/notifications/{id}',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id, body: body(NotificationChange) },
        responses: { 200: json(NotificationView, 'Changed'), ...problems },
      }),
      async (c) => {
        const { organizationId } = c.get('actor');
        const { id } = c.req.valid('param');
        const change = c.req.valid('json');
        const fields = Object.keys(change);
        const what = { action: 'notification.change', subject: `notification:${id}`, detail: { fields } };
        const changed = await audited(callerOf(c), store, what, async ({ tx, emit }) => {
          const before = await lockMatching(c, tx, organizationId, id);
          const after = settingsAfter(services, before, change);
          await checkTargets(tx, organizationId, { siteId: change.siteId ?? null, sourceId: change.sourceId ?? null });
          if (await isNotificationNameTaken(tx, after)) throw nameTaken(after.name);
          await updateNotification(tx, after);
          if (!after.enabled) await giveUpPending(tx, after);
          emit(eventOf(after, 'notification.changed', { fields }));
          return notificationOf(tx, organizationId, id);
        });
        if (changed === undefined) throw notFound('notification', id);
        return c.json(viewNotification(changed), 200, { etag: etagOf(changed.version) });
      },
    )
    .openapi(
      createRoute({
        method: 'delete',
        path: '/notifications/{id}',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 204: { description: 'Deleted, with its deliveries' }, ...problems },
      }),
      async (c) => {
        const { organizationId } = c.get('actor');
        const { id } = c.req.valid('param');
        await audited(callerOf(c), store, { action: 'notification.delete', subject: `notification:${id}` }, async ({ tx, emit }) => {
          const notification = await lockMatching(c, tx, organizationId, id);
          await deleteNotification(tx, organizationId, id);
          emit(eventOf(notification, 'notification.deleted', {}));
        });
        return c.body(null, 204);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/notifications/{id}/secret',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 201: json(ReplacedSecret, 'A new secret; the old one signs beside it for a day'), ...problems },
      }),
      async (c) => {
        const { organizationId } = c.get('actor');
        const { id } = c.req.valid('param');
        const secret = mintSigningToken();
        const until = await audited(
          callerOf(c),
          store,
          { action: 'notification.replace_secret', subject: `notification:${id}` },
          async ({ tx, emit }) => {
            const notification = await lockMatching(c, tx, organizationId, id);
            emit(eventOf(notification, 'notification.changed', { fields: ['secret'] }));
            return replaceSecret(tx, notification, sealSecret(box, id, secret), SECRET_GRACE_HOURS);
          },
        );
        return c.json({ secret, previousSecretUntil: until.toISOString() }, 201);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/notifications/{id}/test',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 200: json(NotificationTest, 'What the receiver answered to an event of type notification.test'), ...problems },
      }),
      async (c) => {
        const notification = await findNotification(store.sql, c.get('actor').organizationId, c.req.valid('param').id);
        const post = { sql: store.sql, box, sender: services.sender, publicUrl: services.publicUrl() };
        const sent = await attempt(post, notification, testEvent(notification, new Date()), newId());
        const { status, error, response, durationMs } = sent;
        return c.json({ ok: error === null, status, error, response, durationMs }, 200);
      },
    );
}

/** @throws Problem `not_found` */
export async function findNotification(sql: Db, organizationId: string, id: string): Promise<Notification> {
  const notification = await notificationOf(sql, organizationId, id);
  if (notification === undefined) throw notFound('notification', id);
  return notification;
}

/** Locks the row until the transaction ends. @throws Problem `not_found` */
export async function lockFound(tx: Db, organizationId: string, id: string): Promise<Notification> {
  const notification = await lockNotification(tx, organizationId, id);
  if (notification === undefined) throw notFound('notification', id);
  return notification;
}

/** @throws Problem `not_found`, `version_mismatch` */
async function lockMatching(c: Context<Env>, tx: Db, organizationId: string, id: string): Promise<Notification> {
  const notification = await lockFound(tx, organizationId, id);
  checkIfMatch(c, notification.version);
  return notification;
}

/** Settings after a change: what it does not name stays. */
function settingsAfter(services: Services, before: Notification, change: z.output<typeof NotificationChange>): NotificationSettings {
  const { url, ...plain } = change;
  const after = { ...before, ...plain, ...(url === undefined ? {} : sealUrl(services, before.id, url)) };
  if (change.events !== undefined || change.minimumSeverity !== undefined) checkEvents(after);
  return after;
}

async function checkRoom(tx: Db, organizationId: string): Promise<void> {
  if ((await countNotifications(tx, organizationId)) < MAX_PER_ORGANIZATION) return;
  throw conflict('too_many', `Cannot create another notification: the organization has ${MAX_PER_ORGANIZATION}, which is the most`);
}

function nameTaken(name: string) {
  return conflict('name_taken', `Cannot call a notification "${name}": there is one of that name`);
}

/** For the audit log: no URL, which may be a credential. */
function told({ id, name, urlHint, format, events, minimumSeverity }: NotificationSettings) {
  return { subject: `notification:${id}`, detail: { name, url: urlHint, format, events, minimumSeverity } };
}
