import type { Db, Tx } from '../db/connect.ts';
import { storableJson, storableText } from '../wire/text/text.ts';
import type { Event, NewEvent } from './event.ts';

export const EVENTS_CHANNEL = 'bellwether_events';
export const DEVICES_CHANNEL = 'bellwether_devices';

type Check = (event: NewEvent) => void;
let check: Check | undefined;

/**
 * Lets tests check every event before it is stored. Production checks none, since the compiler has checked the emitting code.
 * @returns the check before, to be put back
 */
export function checkEventsWith(checker: Check | undefined): Check | undefined {
  const before = check;
  check = checker;
  return before;
}

/**
 * Appends and wakes listeners at commit. Takes a lock per organization that lasts until the commit, so that cursors become visible in
 * their order: call it last in a transaction (`transact` does).
 */
export async function appendEvents(tx: Tx, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  if (check !== undefined) for (const event of events) check(event);
  const organizations = [...new Set(events.map((event) => event.organizationId))].sort();
  for (const id of organizations) await tx`select pg_advisory_xact_lock(hashtextextended(${`events:${id}`}, 0))`;
  await tx`
    insert into events (organization_id, type, subject, data)
    select organization_id::uuid, type, subject, data::jsonb
    from unnest(${events.map((e) => e.organizationId)}::text[], ${events.map((e) => e.type)}::text[],
                ${events.map((e) => storableText(e.subject))}::text[], ${events.map((e) => storableJson(JSON.stringify(e.data)))}::text[])
         as new (organization_id, type, subject, data)`;
  for (const id of organizations) await tx`select pg_notify(${EVENTS_CHANNEL}, ${id})`;
}

/** `type`: a type, or all of a noun, such as `rollout.*`. */
export type EventSearch = {
  order: 'asc' | 'desc';
  /** Exclusive, in the direction of the order; null: from the end where it begins. */
  cursor: number | null;
  subject?: string | undefined;
  type?: string | undefined;
  /** Inclusive. */
  since: Date | null;
  /** Exclusive. */
  until: Date | null;
  limit: number;
};

/** One page of the event log, in either order. */
export async function searchEvents(sql: Db, organizationId: string, search: EventSearch): Promise<Event[]> {
  const { order, cursor, subject, type, since, until, limit } = search;
  const noun = type?.endsWith('.*') ? type.slice(0, -1) : undefined;
  return sql<Event[]>`
    select organization_id as "organizationId", cursor, type, subject, data, at from events
    where organization_id = ${organizationId}
      ${cursor === null ? sql`` : order === 'asc' ? sql`and cursor > ${cursor}` : sql`and cursor < ${cursor}`}
      ${subject === undefined ? sql`` : sql`and subject = ${subject}`}
      ${noun !== undefined ? sql`and starts_with(type, ${noun})` : type === undefined ? sql`` : sql`and type = ${type}`}
      ${since === null ? sql`` : sql`and at >= ${since}`} ${until === null ? sql`` : sql`and at < ${until}`}
    order by cursor ${order === 'asc' ? sql`` : sql`desc`} limit ${limit}`;
}

/** Oldest first. */
export async function eventsAfter(sql: Db, organizationId: string, { after, limit }: { after: number; limit: number }): Promise<Event[]> {
  return searchEvents(sql, organizationId, { order: 'asc', cursor: after, since: null, until: null, limit });
}

/** Newest first: a subject's history. */
export async function eventsOfSubject(
  sql: Db,
  organizationId: string,
  subject: string,
  before: number | null,
  limit: number,
): Promise<Event[]> {
  return sql<Event[]>`
    select organization_id as "organizationId", cursor, type, subject, data, at from events
    where organization_id = ${organizationId} and subject = ${subject} ${before === null ? sql`` : sql`and cursor < ${before}`}
    order by cursor desc limit ${limit}`;
}

/** Returns the smallest and largest stored cursor; zeros if there is none. */
export async function eventBounds(sql: Db, organizationId: string): Promise<{ first: number; last: number }> {
  const [row] = await sql<[{ first: number; last: number }]>`
    select coalesce(min(cursor), 0)::bigint as first, coalesce(max(cursor), 0)::bigint as last from events where organization_id = ${organizationId}`;
  return row;
}

/** Removes events older than `keepDays`. */
export async function pruneEvents(sql: Db, keepDays: number): Promise<number> {
  const result = await sql`delete from events where at < now() - make_interval(days => ${keepDays})`;
  return result.count;
}

/** Wakes the long polls that the payloads name, at commit. */
export async function notifyDevices(tx: Db, payloads: readonly string[]): Promise<void> {
  await tx`select pg_notify(${DEVICES_CHANNEL}, payload) from unnest(${[...payloads]}::text[]) as payload`;
}
