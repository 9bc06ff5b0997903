import type { Db } from '../db/connect.ts';

/** Queries over all devices, for background work. */

/** Reads the ids of all devices that follow a source, in groups of at most `size` devices of one organization. */
export async function followingDevices(sql: Db, size: number): Promise<{ organizationId: string; ids: string[] }[]> {
  return sql<{ organizationId: string; ids: string[] }[]>`
    select organization_id as "organizationId", array_agg(id order by id) as ids
    from (select organization_id, id, (row_number() over (partition by organization_id order by id) - 1) / ${size} as chunk from devices where following) numbered
    group by organization_id, chunk`;
}

/** Reads the names of up to `limit` workspaces that hold a bundle. */
export async function filledWorkspaces(sql: Db, limit: number): Promise<string[]> {
  const rows = await sql<{ workspace: string }[]>`
    select workspace from devices where workspace is not null and workspace_bundle is not null order by organization_id, id limit ${limit}`;
  return rows.map((row) => row.workspace);
}
