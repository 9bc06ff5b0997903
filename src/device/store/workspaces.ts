import type { Db } from '../../db/connect.ts';

/** A device, its workspace on the controller, and the desired bundle of that workspace. */
export type WorkspaceDevice = { organizationId: string; deviceId: string; workspace: string | null; bundle: string };

/** Reads the devices whose workspace does not hold their confirmed bundle, in the order of their ids. */
export async function workspacesBehind(sql: Db, organizationId: string, limit: number): Promise<WorkspaceDevice[]> {
  return sql<WorkspaceDevice[]>`
    select organization_id as "organizationId", id as "deviceId", workspace, good_bundle as bundle from devices
    where organization_id = ${organizationId} and good_bundle is not null and good_bundle is distinct from workspace_bundle and source_id is not null
    order by id limit ${limit}`;
}

export async function noteWorkspaces(
  sql: Db,
  organizationId: string,
  devices: readonly { deviceId: string; workspace: string; bundle: string }[],
): Promise<void> {
  await sql`
    update devices d set workspace = f.workspace, workspace_bundle = f.bundle
    from unnest(${devices.map((f) => f.deviceId)}::text[], ${devices.map((f) => f.workspace)}::text[], ${devices.map((f) => f.bundle)}::text[]) as f (id, workspace, bundle)
    where d.organization_id = ${organizationId} and d.id = f.id`;
}

/** Reads the device of a workspace that holds a bundle, with the drift policy of its source. */
export async function deviceOfWorkspace(
  sql: Db,
  workspace: string,
): Promise<(WorkspaceDevice & { workspace: string; policy: 'heal' | 'report' }) | undefined> {
  const [device] = await sql<(WorkspaceDevice & { workspace: string; policy: 'heal' | 'report' })[]>`
    select d.organization_id as "organizationId", d.id as "deviceId", d.workspace, d.workspace_bundle as bundle, coalesce(s.drift_policy, 'heal') as policy
    from devices d left join sources s on s.organization_id = d.organization_id and s.id = d.source_id
    where d.workspace = ${workspace} and d.workspace_bundle is not null`;
  return device;
}

/** Reads the names of all workspaces that belong to devices. */
export async function namedWorkspaces(sql: Db): Promise<Set<string>> {
  const rows = await sql<{ workspace: string }[]>`select workspace from devices where workspace is not null`;
  return new Set(rows.map((row) => row.workspace));
}
