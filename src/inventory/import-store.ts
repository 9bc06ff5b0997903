import type { Db } from '../db/connect.ts';

/** Queries of an import about sources, sites and folders, each for all rows at once. */

export type Layouts = ReadonlyMap<string, { layout: 'repo' | 'fleet'; patterns: string[] | null }>;

export async function sourceLayouts(sql: Db, organizationId: string): Promise<Layouts> {
  const rows = await sql<
    { id: string; layout: 'repo' | 'fleet'; patterns: string[] | null }[]
  >`select id, layout, device_patterns as patterns from sources where organization_id = ${organizationId}`;
  return new Map(rows.map(({ id, ...source }) => [id, source]));
}

export async function siteIds(sql: Db, organizationId: string): Promise<ReadonlySet<string>> {
  const rows = await sql<{ id: string }[]>`select id from sites where organization_id = ${organizationId}`;
  return new Set(rows.map(({ id }) => id));
}

/** Reads the folders that have the devices' names, by source and device. It joins on the name, since comparing all with all would take minutes. */
export async function folderPaths(
  sql: Db,
  organizationId: string,
  devices: readonly { id: string; sourceId: string | null }[],
): Promise<ReadonlyMap<string, string[]>> {
  const bound = devices.filter(({ sourceId }) => sourceId !== null);
  const rows = await sql<{ sourceId: string; id: string; paths: string[] }[]>`
    select p.source_id as "sourceId", w.id, array_agg(distinct p.path) as paths
    from unnest(${bound.map((d) => d.sourceId)}::uuid[], ${bound.map((d) => d.id)}::text[]) as w (source_id, id)
    join source_paths p on p.source_id = w.source_id and regexp_replace(p.path, '^.*/', '') = w.id
    where p.organization_id = ${organizationId} and p.verdict <> 'missing'
    group by p.source_id, w.id`;
  return new Map(rows.map(({ sourceId, id, paths }) => [`${sourceId} ${id}`, paths]));
}
