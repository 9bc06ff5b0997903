import type { Db } from '../db/connect.ts';
import { type Connectivity, legacyStatus, type SyncStatus } from '../device/device.ts';
import type { Event } from '../event/event.ts';
import type { EventType } from '../wire/event/events.ts';

export type ShownDevice = {
  status: ReturnType<typeof legacyStatus>;
  syncStatus: SyncStatus;
  connectivity: Connectivity;
  deploymentId: string | null;
};

/** How these devices stand now; unknown ones are absent. */
export async function shownDevices(sql: Db, organizationId: string, ids: readonly string[]): Promise<Map<string, ShownDevice>> {
  if (ids.length === 0) return new Map();
  const rows = await sql<(Omit<ShownDevice, 'status'> & { id: string })[]>`
    select id, sync_status as "syncStatus", connectivity, deployment_id as "deploymentId" from devices
    where organization_id = ${organizationId} and id = any(${[...ids]}::text[])`;
  return new Map(rows.map(({ id, ...row }) => [id, { ...row, status: legacyStatus(row) }]));
}

export type MissedFilter = {
  after: number;
  upTo: number;
  limit: number;
  /** 'all', or events of one of these subjects, types, with a subject that begins so, or of these rollouts' devices. */
  wanted:
    | 'all'
    | { subjects: readonly string[]; types: readonly EventType[]; subjectPrefixes: readonly string[]; rolloutIds: readonly string[] };
};

/** Oldest first. */
export async function missedEvents(sql: Db, organizationId: string, filter: MissedFilter): Promise<Event[]> {
  const { wanted } = filter;
  const matching =
    wanted === 'all'
      ? sql``
      : sql`and (subject = any(${[...wanted.subjects]}::text[]) or type = any(${[...wanted.types]}::text[])
             or subject ^@ any(${[...wanted.subjectPrefixes]}::text[]) or data ->> 'rolloutId' = any(${[...wanted.rolloutIds]}::text[]))`;
  return sql<Event[]>`
    select organization_id as "organizationId", cursor, type, subject, data, at from events
    where organization_id = ${organizationId} and cursor > ${filter.after} and cursor <= ${filter.upTo} ${matching}
    order by cursor limit ${filter.limit}`;
}

/**
 * Whether no event after `after` can have been removed. Cursors are drawn for all organizations together and removed by age, so that the
 * oldest one that is kept anywhere is the border; an organization's own first event may be much younger than that.
 */
export async function isKeptSince(sql: Db, after: number): Promise<boolean> {
  const [row] = await sql<[{ first: number | null }]>`select min(cursor) as first from events`;
  return row.first === null ? after === 0 : after >= row.first - 1;
}
