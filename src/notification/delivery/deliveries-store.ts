import type { Db } from '../../db/connect.ts';
import type { Event } from '../../event/event.ts';
import { newId } from '../../ids.ts';
import type { Delivery, Notification } from '../notification.ts';
import type { WantedEvent } from '../wanted-store.ts';

type Owner = Pick<Notification, 'organizationId' | 'id'>;

/** One request for a delivery, with its result. */
export type Attempt = {
  at: Date;
  durationMs: number;
  /** Status of the response; null if there was none. */
  status: number | null;
  /** Why the attempt failed; null: it succeeded. */
  error: string | null;
  /** The beginning of the response's body, without secrets. */
  response: string;
};

const columns = (sql: Db) => sql`
  d.id, d.notification_id as "notificationId", d.event_cursor as "eventCursor", d.event_type as "eventType", d.subject, d.state, d.attempts,
  d.expires_at as "expiresAt", d.created_at as "createdAt", d.finished_at as "finishedAt"`;

export async function insertDeliveries(tx: Db, { organizationId, id }: Owner, events: readonly WantedEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx`
    insert into notification_deliveries (organization_id, id, notification_id, event_cursor, event_type, subject, expires_at)
    select ${organizationId}, new.id, ${id}, new.cursor, new.type, new.subject, new.expires_at
    from unnest(${events.map(() => newId())}::uuid[], ${events.map((e) => e.cursor)}::bigint[], ${events.map((e) => e.type)}::text[],
                ${events.map((e) => e.subject)}::text[], ${events.map((e) => e.expiresAt.toISOString())}::timestamptz[]) as new (id, cursor, type, subject, expires_at)
    on conflict (organization_id, notification_id, event_cursor) do nothing`;
}

export type PendingDelivery = Delivery & { event: Event };

/** Returns the next deliveries in the order of their events. Before that, it marks as failed those that expired or whose event was deleted. */
export async function pendingDeliveries(sql: Db, { organizationId, id }: Owner, limit: number): Promise<PendingDelivery[]> {
  await sql`
    update notification_deliveries d set state = 'failed', finished_at = now()
    where organization_id = ${organizationId} and notification_id = ${id} and state = 'pending' and (expires_at < now() or not exists (
      select 1 from events e where e.organization_id = d.organization_id and e.cursor = d.event_cursor))`;
  const rows = await sql<(Delivery & Pick<Event, 'data' | 'at'> & { type: Event['type'] })[]>`
    select ${columns(sql)}, e.type, e.data, e.at
    from notification_deliveries d join events e on e.organization_id = d.organization_id and e.cursor = d.event_cursor
    where d.organization_id = ${organizationId} and d.notification_id = ${id} and d.state = 'pending' order by d.event_cursor limit ${limit}`;
  return rows.map(({ type, data, at, ...delivery }) => {
    const { eventCursor: cursor, subject } = delivery;
    return { ...delivery, event: { organizationId, cursor, type, subject, data, at } };
  });
}

/** Records a failed attempt. @param state `pending`: another attempt follows */
export async function recordFailure(
  tx: Db,
  organizationId: string,
  delivery: Pick<Delivery, 'id' | 'attempts'>,
  state: 'pending' | 'failed',
  { at, durationMs, status, error, response }: Attempt,
): Promise<void> {
  const attempt = delivery.attempts + 1;
  await tx`
    update notification_deliveries set state = ${state}, attempts = ${attempt}, finished_at = case when ${state} = 'failed' then now() end
    where organization_id = ${organizationId} and id = ${delivery.id}`;
  await tx`
    insert into notification_attempts (organization_id, delivery_id, attempt, at, duration_ms, status, error, response)
    values (${organizationId}, ${delivery.id}, ${attempt}, ${at}, ${durationMs}, ${status}, ${error}, ${response})`;
}

/** Marks all pending deliveries as failed. */
export async function giveUpPending(tx: Db, { organizationId, id }: Owner): Promise<void> {
  await tx`
    update notification_deliveries set state = 'failed', finished_at = now()
    where organization_id = ${organizationId} and notification_id = ${id} and state = 'pending'`;
}

/** Lists show this many attempts of a delivery, the last ones. */
const SHOWN_ATTEMPTS = 10;

/** `isNext`: it is the next delivery to send. */
export type ListedDelivery = Delivery & { isNext: boolean; tries: (Omit<Attempt, 'at'> & { at: string })[] };

/** Newest event first. @param before an event's cursor */
export async function listDeliveries(sql: Db, owner: Owner, before: number | null, limit: number): Promise<ListedDelivery[]> {
  return sql<ListedDelivery[]>`
    select ${columns(sql)}, coalesce(tried.tries, '[]') as tries, d.event_cursor = (
      select min(event_cursor) from notification_deliveries
      where organization_id = d.organization_id and notification_id = d.notification_id and state = 'pending') is true as "isNext"
    from notification_deliveries d left join lateral (
      select jsonb_agg(jsonb_build_object('at', a.at, 'durationMs', a.duration_ms, 'status', a.status, 'error', a.error, 'response', a.response)
        order by a.attempt) as tries
      from (select * from notification_attempts a where a.organization_id = d.organization_id and a.delivery_id = d.id
            order by attempt desc limit ${SHOWN_ATTEMPTS}) a) tried on true
    where d.organization_id = ${owner.organizationId} and d.notification_id = ${owner.id} ${before === null ? sql`` : sql`and d.event_cursor < ${before}`}
    order by d.event_cursor desc limit ${limit}`;
}

/** Locks the row until the transaction ends. */
export async function lockDelivery(
  tx: Db,
  { organizationId, id }: Owner,
  deliveryId: string,
): Promise<(Delivery & { eventKept: boolean }) | undefined> {
  const [row] = await tx<(Delivery & { eventKept: boolean })[]>`
    select ${columns(tx)}, exists (select 1 from events e where e.organization_id = d.organization_id and e.cursor = d.event_cursor) as "eventKept"
    from notification_deliveries d where d.organization_id = ${organizationId} and d.notification_id = ${id} and d.id = ${deliveryId} for update of d`;
  return row;
}

/** Makes an ended delivery pending again for another `hours`. */
export async function reopenDelivery(tx: Db, organizationId: string, id: string, hours: number): Promise<void> {
  await tx`
    update notification_deliveries set state = 'pending', finished_at = null, expires_at = now() + make_interval(hours => ${hours})
    where organization_id = ${organizationId} and id = ${id}`;
}

/** Removes deliveries, and their attempts, that are older than `keepDays`. */
export async function pruneDeliveries(sql: Db, keepDays: number): Promise<number> {
  const result = await sql`
    delete from notification_deliveries where created_at < now() - make_interval(days => ${keepDays}) and state <> 'pending'`;
  return result.count;
}
