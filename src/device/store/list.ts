import type { Db } from '../../db/connect.ts';
import type { Device } from '../device.ts';
import { columns } from './columns.ts';
import { type DeviceFilter, matching } from './filter.ts';

export const DEVICE_SORTS = ['id', 'name', 'status', 'lastSeen', 'updated', 'site', 'type'] as const;
export type DeviceSort = (typeof DEVICE_SORTS)[number];

/** Devices in this order; those of equal keys in the order of their ids. */
export type DeviceOrder = { sort: DeviceSort; descending: boolean };

/** Place of a device in an order, as text of PostgreSQL: it keeps the microseconds of a time. */
export type DevicePlace = { key: string; id: string };

/** `behind`: its folder at the source's head has a valid bundle, and the device runs another one. null: it is bound to no such folder. */
export type ListedDevice = Device & { place: DevicePlace; runningCommit: string | null; headCommit: string | null; behind: boolean | null };

/** Reads devices that come after a place. */
export async function listDevices(
  sql: Db,
  organizationId: string,
  filter: DeviceFilter,
  { sort, descending, after, limit }: DeviceOrder & { after: DevicePlace | null; limit: number },
): Promise<ListedDevice[]> {
  const key = keyOf(sql, sort);
  const [direction, beyond] = descending ? [sql`desc`, sql`<`] : [sql`asc`, sql`>`];
  const type = sort === 'lastSeen' || sort === 'updated' ? sql`timestamptz` : sql`text`;
  const start = after === null ? sql`` : sql`and (${key}, d.id) ${beyond} (${after.key}::text::${type}, ${after.id}::text)`;
  // The page is chosen before the other tables are asked about its rows.
  return sql<ListedDevice[]>`
    with listed as materialized (
      select ${columns(sql)}, ${key} as "key"
      from devices d ${sort === 'site' ? sql`left join sites s on s.organization_id = d.organization_id and s.id = d.site_id` : sql``}
      where ${matching(sql, organizationId, filter)} ${start}
      order by ${key} ${direction}, d.id ${direction} limit ${limit}
    )
    select l.*, jsonb_build_object('key', l.key::text, 'id', l.id) as place, r.commit_oid as "runningCommit", s.head_commit as "headCommit",
      case when p.bundle is not null then p.bundle is distinct from coalesce(l."reportedBundle", l."goodBundle") end as behind
    from listed l
    left join sources s on s.organization_id = l."organizationId" and s.id = l."sourceId"
    left join source_paths p on p.organization_id = l."organizationId" and p.source_id = l."sourceId" and p.path = l.path
    left join revisions r on r.organization_id = l."organizationId" and r.id = case
      when coalesce(l."reportedBundle", l."goodBundle") = l."goodBundle" then l."goodRevisionId"
      when l."reportedBundle" = l."desiredBundle" then l."desiredRevisionId" end
    order by l.key ${direction}, l.id ${direction}`;
}

/** Devices that were never seen come before all others, and so do those without a site. */
function keyOf(sql: Db, sort: DeviceSort) {
  const keys = {
    id: sql`d.id`,
    name: sql`lower(d.name)`,
    status: sql`d.sync_status`,
    lastSeen: sql`coalesce(d.last_seen_at, '-infinity')`,
    updated: sql`d.updated_at`,
    site: sql`coalesce(s.name, '')`,
    type: sql`d.type`,
  } as const;
  return keys[sort];
}

/** Reads the keys of the labels that the devices have, in order. */
export async function labelKeys(sql: Db, organizationId: string, filter: DeviceFilter): Promise<string[]> {
  const rows = await sql<{ key: string }[]>`
    select distinct key from devices d, jsonb_object_keys(d.labels) key where ${matching(sql, organizationId, filter)} order by key`;
  return rows.map(({ key }) => key);
}
