import type { Db } from '../../db/connect.ts';
import { type DeviceFilter, matching } from './filter.ts';

/** Values that most devices have, and how many devices have another one. */
export type TopCounts = { items: { value: string | null; name: string | null; count: number }[]; other: number };

export type FleetCounts = {
  total: number;
  byStatus: Record<string, number>;
  byConnectivity: Record<string, number>;
  bySourceKind: Record<string, number>;
  byAdapter: Record<string, number>;
  bySite: TopCounts;
  bySource: TopCounts;
  byType: TopCounts;
};

/** Values of a kind that are counted one by one. */
const TOP = 50;

type Row = { kind: keyof typeof KINDS; value: string | null; name: string | null; count: number; total: number };
const KINDS = { status: 1, connectivity: 1, source_kind: 1, adapter: 1, site: 1, source: 1, type: 1 } as const;

/** Counts the devices of a filter by each of their kinds, in one scan: it counts the combinations first, of which there are few. */
export async function countFleet(sql: Db, organizationId: string, filter: DeviceFilter): Promise<FleetCounts> {
  const rows = await sql<Row[]>`
    with combination as materialized (
      select d.sync_status, d.connectivity, d.site_id, d.source_id, d.type, d.adapter, d.source_kind, count(*) as n
      from devices d where ${matching(sql, organizationId, filter)} group by 1, 2, 3, 4, 5, 6, 7
    ), counted as (
      select case when grouping(sync_status) = 0 then 'status' when grouping(connectivity) = 0 then 'connectivity'
          when grouping(source_kind) = 0 then 'source_kind' when grouping(adapter) = 0 then 'adapter' when grouping(site_id) = 0 then 'site'
          when grouping(source_id) = 0 then 'source' else 'type' end as kind,
        coalesce(sync_status, connectivity, source_kind, adapter, site_id::text, source_id::text, type) as value, sum(n) as n
      from combination group by grouping sets (sync_status, connectivity, source_kind, adapter, site_id, source_id, type)
    ), ranked as (
      select *, row_number() over (partition by kind order by n desc, value) as position, sum(n) over (partition by kind) as total from counted
    )
    select r.kind, r.value, r.n::int as count, r.total::int as total, coalesce(s.name, o.name) as name
    from ranked r
    left join sites s on r.kind = 'site' and s.organization_id = ${organizationId} and s.id::text = r.value
    left join sources o on r.kind = 'source' and o.organization_id = ${organizationId} and o.id::text = r.value
    where r.position <= ${TOP} order by r.kind, r.position`;
  const byKind = Map.groupBy(rows, ({ kind }) => kind);
  const all = (kind: Row['kind']) => Object.fromEntries((byKind.get(kind) ?? []).map(({ value, count }) => [value ?? '', count]));
  const top = (kind: Row['kind']) => topOf(byKind.get(kind) ?? []);
  return {
    total: rows[0]?.total ?? 0,
    ...{ byStatus: all('status'), byConnectivity: all('connectivity'), bySourceKind: all('source_kind'), byAdapter: all('adapter') },
    ...{ bySite: top('site'), bySource: top('source'), byType: top('type') },
  };
}

function topOf(rows: readonly Row[]): TopCounts {
  const shown = rows.reduce((sum, { count }) => sum + count, 0);
  return { items: rows.map(({ value, name, count }) => ({ value, name, count })), other: (rows[0]?.total ?? 0) - shown };
}
