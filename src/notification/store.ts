import type { Db } from '../db/connect.ts';
import { falseIfTaken } from '../db/unique.ts';
import type { Notification } from './notification.ts';

/** Columns of a `Notification`. */
export const columns = (sql: Db) => sql`
  organization_id as "organizationId", id, name, url_sealed as "urlSealed", url_hint as "urlHint", format, events,
  minimum_severity as "minimumSeverity", source_id as "sourceId", site_id as "siteId", labels, enabled, disabled_reason as "disabledReason",
  secret_sealed as "secretSealed", secret_last4 as "secretLast4", previous_secret_sealed as "previousSecretSealed",
  previous_secret_until as "previousSecretUntil", cursor, dropped, due_at as "dueAt", failures, last_error as "lastError",
  last_delivered_at as "lastDeliveredAt", version, created_at as "createdAt", updated_at as "updatedAt"`;

export async function listNotifications(sql: Db, organizationId: string, afterId: string | null, limit: number): Promise<Notification[]> {
  return sql<Notification[]>`
    select ${columns(sql)} from notifications where organization_id = ${organizationId}
      ${afterId === null ? sql`` : sql`and id > ${afterId}`} order by id limit ${limit}`;
}

export async function notificationOf(sql: Db, organizationId: string, id: string): Promise<Notification | undefined> {
  const [row] = await sql<Notification[]>`
    select ${columns(sql)} from notifications where organization_id = ${organizationId} and id = ${id}`;
  return row;
}

/** Locks the row until the transaction ends. */
export async function lockNotification(tx: Db, organizationId: string, id: string): Promise<Notification | undefined> {
  const [row] = await tx<Notification[]>`
    select ${columns(tx)} from notifications where organization_id = ${organizationId} and id = ${id} for update`;
  return row;
}

export type NotificationSettings = Pick<
  Notification,
  | 'organizationId'
  | 'id'
  | 'name'
  | 'urlSealed'
  | 'urlHint'
  | 'format'
  | 'events'
  | 'minimumSeverity'
  | 'sourceId'
  | 'siteId'
  | 'labels'
  | 'enabled'
>;
export type SealedSecret = { secretSealed: string; secretLast4: string };

/** Returns the organization's newest cursor; later events have greater ones. */
const present = (sql: Db, organizationId: string) =>
  sql`(select coalesce(max(cursor), 0) from events where organization_id = ${organizationId})`;

/** @returns false when the organization has a notification of that name */
export async function insertNotification(tx: Db, s: NotificationSettings & SealedSecret): Promise<boolean> {
  const result = await tx`
    insert into notifications (organization_id, id, name, url_sealed, url_hint, format, events, minimum_severity, source_id, site_id, labels, enabled,
      secret_sealed, secret_last4, cursor)
    values (${s.organizationId}, ${s.id}, ${s.name}, ${s.urlSealed}, ${s.urlHint}, ${s.format}, ${[...s.events]}, ${s.minimumSeverity}, ${s.sourceId},
      ${s.siteId}, ${tx.json(s.labels)}, ${s.enabled}, ${s.secretSealed}, ${s.secretLast4}, ${present(tx, s.organizationId)})
    on conflict (organization_id, name) do nothing`;
  return result.count === 1;
}

export async function countNotifications(sql: Db, organizationId: string): Promise<number> {
  const [row] = await sql<[{ count: number }]>`select count(*)::int as count from notifications where organization_id = ${organizationId}`;
  return row.count;
}

/**
 * Writes the settings and resets the failures, since they belong to the old settings. Events from a disabled period are not delivered later.
 * @returns false when another notification of the organization has the name; the transaction must then be rolled back
 */
export async function updateNotification(tx: Db, s: NotificationSettings): Promise<boolean> {
  const updating = tx`
    update notifications set name = ${s.name}, url_sealed = ${s.urlSealed}, url_hint = ${s.urlHint}, format = ${s.format}, events = ${[...s.events]},
      minimum_severity = ${s.minimumSeverity}, source_id = ${s.sourceId}, site_id = ${s.siteId}, labels = ${tx.json(s.labels)}, enabled = ${s.enabled},
      cursor = case when ${s.enabled} and not enabled then ${present(tx, s.organizationId)} else cursor end,
      due_at = case when ${s.enabled} then now() end, disabled_reason = null, failures = 0, last_error = null, version = version + 1, updated_at = now()
    where organization_id = ${s.organizationId} and id = ${s.id}`;
  return updating.then(() => true, falseIfTaken);
}

/** Replaces the secret. The current one becomes the previous one, and the previous one stops signing. @returns until when the replaced one signs */
export async function replaceSecret(
  tx: Db,
  { organizationId, id }: Pick<Notification, 'organizationId' | 'id'>,
  secret: SealedSecret,
  graceHours: number,
): Promise<Date> {
  const [row] = await tx<[{ until: Date }]>`
    update notifications set previous_secret_sealed = secret_sealed, previous_secret_until = now() + make_interval(hours => ${graceHours}),
      secret_sealed = ${secret.secretSealed}, secret_last4 = ${secret.secretLast4}, version = version + 1, updated_at = now()
    where organization_id = ${organizationId} and id = ${id} returning previous_secret_until as until`;
  return row.until;
}

export async function deleteNotification(tx: Db, organizationId: string, id: string): Promise<void> {
  await tx`delete from notifications where organization_id = ${organizationId} and id = ${id}`;
}

/** Makes the notification due now, whatever its pause. */
export async function makeDue(tx: Db, organizationId: string, ids: readonly string[]): Promise<void> {
  await tx`
    update notifications set due_at = now()
    where organization_id = ${organizationId} and id = any(${[...ids]}::uuid[]) and enabled and (due_at is null or due_at > now())`;
}

export type IdleNotification = Pick<Notification, 'organizationId' | 'id' | 'cursor' | 'events' | 'minimumSeverity' | 'version'>;

/** Lists the notifications without pending work, of these organizations or of all. */
export async function idleNotifications(sql: Db, organizationIds: readonly string[] | 'all'): Promise<IdleNotification[]> {
  return sql<IdleNotification[]>`
    select organization_id as "organizationId", id, cursor, events, minimum_severity as "minimumSeverity", version from notifications
    where enabled and due_at is null ${organizationIds === 'all' ? sql`` : sql`and organization_id = any(${[...organizationIds]}::uuid[])`}`;
}

/** Skips events up to `cursor` for these notifications, except for those that changed or became due meanwhile. */
export async function skipTo(sql: Db, cursor: number, idle: readonly IdleNotification[]): Promise<void> {
  if (idle.length === 0) return;
  await sql`
    update notifications n set cursor = ${cursor}
    from unnest(${idle.map(({ organizationId }) => organizationId)}::uuid[], ${idle.map(({ id }) => id)}::uuid[],
                ${idle.map(({ version }) => version)}::int[]) as seen (organization_id, id, version)
    where n.organization_id = seen.organization_id and n.id = seen.id and n.version = seen.version and n.due_at is null and n.cursor < ${cursor}`;
}

/** Sealed texts of the table, for a rotation of the secret key; `notification/secrets.ts` seals them. */
export const SEALED_NOTIFICATIONS = [
  { table: 'notifications', id: 'id::text', column: 'url_sealed', context: `'notification:' || id || ':url'` },
  { table: 'notifications', id: 'id::text', column: 'secret_sealed', context: `'notification:' || id || ':secret'` },
  { table: 'notifications', id: 'id::text', column: 'previous_secret_sealed', context: `'notification:' || id || ':secret'` },
] as const;
