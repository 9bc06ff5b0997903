import type { Db } from '../db/connect.ts';
import type { Selector } from '../event/severity.ts';
import { type Filter, selectorsFor } from './filter.ts';
import { DELIVER_WITHIN_HOURS, MAX_BACKLOG } from './notification.ts';

/** A range of an organization's event log. Cursors become visible in their order, so that no event can still appear within the range. */
export type Span = { organizationId: string; after: number; upTo: number };

/** Returns the next range to process, and whether more events may follow (`full`); undefined if there is none. Reads the index only. */
export async function spanAfter(sql: Db, organizationId: string, after: number): Promise<(Span & { full: boolean }) | undefined> {
  const [row] = await sql<[{ upTo: number | null; count: number }]>`
    select max(cursor) as "upTo", count(*)::int as count
    from (select cursor from events where organization_id = ${organizationId} and cursor > ${after} order by cursor limit ${MAX_BACKLOG}) span`;
  return row.upTo === null ? undefined : { organizationId, after, upTo: row.upTo, full: row.count === MAX_BACKLOG };
}

export type WantedEvent = {
  cursor: number;
  type: string;
  subject: string;
  expiresAt: Date;
  /** It is too old to be delivered. */
  late: boolean;
};

/** Lists the events of a span that match the filter, oldest first. */
export async function wantedEvents(sql: Db, { organizationId, after, upTo }: Span, filter: Filter, limit: number): Promise<WantedEvent[]> {
  return sql<WantedEvent[]>`
    select cursor, type, subject, at + make_interval(hours => ${DELIVER_WITHIN_HOURS}) as "expiresAt",
      at + make_interval(hours => ${DELIVER_WITHIN_HOURS}) < now() as late
    from events e where organization_id = ${organizationId} and cursor > ${after} and cursor <= ${upTo} ${wantedBy(sql, filter)}
    order by cursor limit ${limit}`;
}

/** If more than `MAX_BACKLOG` wanted events follow `after`, returns the number of excess events and the cursor of the last one. */
export async function excessAfter(
  sql: Db,
  organizationId: string,
  after: number,
  filter: Filter,
): Promise<{ upTo: number; count: number } | undefined> {
  const behind = sql`from events e where organization_id = ${organizationId} and cursor > ${after} ${wantedBy(sql, filter)}`;
  const [last] = await sql<{ cursor: number }[]>`select cursor ${behind} order by cursor desc offset ${MAX_BACKLOG} limit 1`;
  if (last === undefined) return undefined;
  const [row] = await sql<[{ count: number }]>`select count(*)::int as count ${behind} and cursor <= ${last.cursor}`;
  return { upTo: last.cursor, count: row.count };
}

/** Returns each selector's newest event in a span, by the selector's index; absent if there is none. One pass over the span. */
export async function newestBySelector(
  sql: Db,
  { organizationId, after, upTo }: Span,
  selectors: readonly Selector[],
): Promise<Map<number, number>> {
  const rows = await sql<{ place: number; cursor: number }[]>`
    select w.place::int - 1 as place, max(e.cursor) as cursor
    from events e join ${unnested(sql, selectors)} with ordinality as w (type, field, value, place)
      on e.type = w.type and (w.field is null or e.data ->> w.field = w.value)
    where e.organization_id = ${organizationId} and e.cursor > ${after} and e.cursor <= ${upTo} group by w.place`;
  return new Map(rows.map(({ place, cursor }) => [place, cursor]));
}

function unnested(sql: Db, selectors: readonly Selector[]) {
  return sql`unnest(${selectors.map(({ type }) => type)}::text[], ${selectors.map(({ field }) => field)}::text[],
    ${selectors.map(({ value }) => value)}::text[])`;
}

function wantedBy(sql: Db, { sourceId, siteId, labels, ...filter }: Filter) {
  const selectors = selectorsFor(filter);
  const types = [...new Set(selectors.map(({ type }) => type))];
  const device = (condition: ReturnType<Db>) => sql`(e.subject like 'device:%' and exists (
    select 1 from devices d where d.organization_id = e.organization_id and d.id = substr(e.subject, 8) and ${condition}))`;
  const ofSource =
    sourceId === null
      ? sql``
      : sql`and (e.subject = ${`source:${sourceId}`} or e.data ->> 'sourceId' = ${sourceId} or ${device(sql`d.source_id = ${sourceId}`)})`;
  const ofSite = siteId === null ? sql`` : sql`and ${device(sql`d.site_id = ${siteId}`)}`;
  const ofLabels = Object.keys(labels).length === 0 ? sql`` : sql`and ${device(sql`d.labels @> ${sql.json(labels)}`)}`;
  return sql`and e.type = any(${types}::text[]) and exists (
    select 1 from ${unnested(sql, selectors)} as w (type, field, value) where w.type = e.type and (w.field is null or e.data ->> w.field = w.value))
    ${ofSource} ${ofSite} ${ofLabels}`;
}
