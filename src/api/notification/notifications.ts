import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { mintSigningToken } from '../../crypto/signature.ts';
import type { Db } from '../../db/connect.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, checkIfMatch, decodeIdCursor, etagOf, json, PageQuery, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { attempt } from '../../notification/delivery/attempt.ts';
import { giveUpPending } from '../../notification/delivery/deliveries-store.ts';
import type { Sender } from '../../notification/delivery/send.ts';
import { checkEvents } from '../../notification/filter.ts';
import { eventOf, MAX_PER_ORGANIZATION, type Notification, SECRET_GRACE_HOURS, testEvent } from '../../notification/notification.ts';
import { sealSecret, sealUrl } from '../../notification/secrets.ts';
import {
  countNotifications,
  deleteNotification,
  insertNotification,
  listNotifications,
  lockNotification,
  type NotificationSettings,
  notificationOf,
  replaceSecret,
  updateNotification,
} from '../../notification/store.ts';
import { checkTargets } from '../../organization/targets.ts';
import { callerOf, type Env, mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import {
  CreatedNotification,
  NewNotification,
  NotificationChange,
  NotificationTest,
  NotificationView,
  ReplacedSecret,
  viewNotification,
} from './schemas.ts';

type Reader = { store: Store };
type Writer = Reader & { box: SecretBox; config: Config; sender: Sender };
type Deps = Writer & { publicUrl(): string };

/** Webhooks that report events to other systems. */
export const notificationRoutes = (deps: Deps) =>
  mount(listAll(deps), create(deps), show(deps), change(deps), remove(deps), renewSecret(deps), test(deps));

const Id = z.object({ id: z.uuid() });
const tags = ['Notifications'];

const listAll = ({ store: { sql } }: Reader) =>
  operation(
    listRoute({
      path: '/notifications',
      tags,
      role: 'viewer',
      request: { query: PageQuery },
      item: NotificationView,
      description: 'Notifications, oldest first',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const answer = await readPage(c.req.valid('query'), {
        after: decodeIdCursor,
        rows: (after, limit) => listNotifications(sql, organizationId, after, limit),
        key: (notification) => notification.id,
        view: viewNotification,
      });
      return c.json(answer, 200);
    },
  );

const create = ({ store, box, config, sender }: Writer) =>
  operation(
    createRoute({
      method: 'post',
      path: '/notifications',
      tags,
      middleware: [role('operator')] as const,
      request: { body: body(NewNotification) },
      responses: { 201: json(CreatedNotification, 'Created, with its secret; it receives events from now on'), ...problems },
    }),
    async (c) => {
      const { url, ...wanted } = c.req.valid('json');
      const { organizationId } = c.get('actor');
      checkEvents(wanted);
      const [id, secret] = [newId(), mintSigningToken()];
      const settings = { organizationId, id, ...wanted, ...sealUrl({ box, config, sender }, id, url) };
      const entry = { action: 'notification.create', subject: `notification:${id}`, detail: auditDetail(settings) };
      const created = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
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
  );

const show = ({ store }: Reader) =>
  operation(
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
  );

const change = ({ store, box, config, sender }: Writer) =>
  operation(
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
      const wanted = c.req.valid('json');
      const fields = Object.keys(wanted);
      const entry = { action: 'notification.change', subject: `notification:${id}`, detail: { fields } };
      const changed = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const before = await lockMatching(c, tx, organizationId, id);
        const after = settingsAfter({ box, config, sender }, before, wanted);
        await checkTargets(tx, organizationId, { siteId: wanted.siteId ?? null, sourceId: wanted.sourceId ?? null });
        if (!(await updateNotification(tx, after))) throw nameTaken(after.name);
        if (!after.enabled) await giveUpPending(tx, after);
        emit(eventOf(after, 'notification.changed', { fields }));
        return notificationOf(tx, organizationId, id);
      });
      if (changed === undefined) throw notFound('notification', id);
      return c.json(viewNotification(changed), 200, { etag: etagOf(changed.version) });
    },
  );

const remove = ({ store }: Reader) =>
  operation(
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
      const entry = { action: 'notification.delete', subject: `notification:${id}` };
      await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const notification = await lockMatching(c, tx, organizationId, id);
        await deleteNotification(tx, organizationId, id);
        emit(eventOf(notification, 'notification.deleted', {}));
      });
      return c.body(null, 204);
    },
  );

const renewSecret = ({ store, box }: Writer) =>
  operation(
    createRoute({
      method: 'post',
      path: '/notifications/{id}/secret',
      tags,
      middleware: [role('operator')] as const,
      request: { params: Id },
      responses: { 201: json(ReplacedSecret, 'A new secret; the old one also signs for another day'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      const secret = mintSigningToken();
      const entry = { action: 'notification.replace_secret', subject: `notification:${id}` };
      const until = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const notification = await lockMatching(c, tx, organizationId, id);
        emit(eventOf(notification, 'notification.changed', { fields: ['secret'] }));
        return replaceSecret(tx, notification, sealSecret(box, id, secret), SECRET_GRACE_HOURS);
      });
      return c.json({ secret, previousSecretUntil: until.toISOString() }, 201);
    },
  );

const test = ({ store: { sql }, box, sender, publicUrl }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/notifications/{id}/test',
      tags,
      middleware: [role('operator')] as const,
      request: { params: Id },
      responses: { 200: json(NotificationTest, 'The receiver’s answer to an event of type notification.test'), ...problems },
    }),
    async (c) => {
      const notification = await findNotification(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const post = { sql, box, sender, publicUrl: publicUrl() };
      const { status, error, response, durationMs } = await attempt(post, notification, testEvent(notification, new Date()), newId());
      return c.json({ ok: error === null, status, error, response, durationMs }, 200);
    },
  );

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

/** Settings after a change: fields that it does not name stay. */
function settingsAfter(
  deps: Parameters<typeof sealUrl>[0],
  before: Notification,
  change: z.output<typeof NotificationChange>,
): NotificationSettings {
  const { url, ...plain } = change;
  const after = { ...before, ...plain, ...(url === undefined ? {} : sealUrl(deps, before.id, url)) };
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

/** Without the URL, which may be a credential. */
function auditDetail({ name, urlHint, format, events, minimumSeverity }: NotificationSettings) {
  return { name, url: urlHint, format, events, minimumSeverity };
}
