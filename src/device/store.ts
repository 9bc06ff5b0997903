import type { Db } from '../db/connect.ts';
import type { Labels } from '../wire/agent.ts';
import type { Connectivity, Device, SyncStatus } from './device.ts';
import type { DeviceFacts } from './facts.ts';
import { columns } from './store/columns.ts';

export async function deviceById(sql: Db, organizationId: string, id: string): Promise<Device | undefined> {
  const [row] = await sql<Device[]>`select ${columns(sql)} from devices d where d.organization_id = ${organizationId} and d.id = ${id}`;
  return row;
}

/** Reads the device and locks its row until the transaction ends. */
export async function lockDevice(tx: Db, organizationId: string, id: string): Promise<Device | undefined> {
  const [row] = await tx<
    Device[]
  >`select ${columns(tx)} from devices d where d.organization_id = ${organizationId} and d.id = ${id} for update`;
  return row;
}

/** Reads the devices and locks their rows in the order of their ids, so that two batches cannot deadlock. */
export async function lockDevices(tx: Db, organizationId: string, ids: readonly string[]): Promise<Device[]> {
  return tx<
    Device[]
  >`select ${columns(tx)} from devices d where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[]) order by d.id for update`;
}

/** Reads the facts of the devices that are bound to these folders of a source, by folder and in the order of their ids. */
export async function factsByFolder(
  sql: Db,
  organizationId: string,
  sourceId: string,
  paths: readonly string[],
): Promise<Map<string, DeviceFacts[]>> {
  const rows = await sql<(DeviceFacts & { path: string })[]>`
    select d.path, d.id, d.name, d.type, d.labels, s.name as site
    from devices d left join sites s on s.organization_id = d.organization_id and s.id = d.site_id
    where d.organization_id = ${organizationId} and d.source_id = ${sourceId} and d.path = any(${[...paths]}::text[]) order by d.id`;
  const folders = new Map<string, DeviceFacts[]>();
  for (const { path, ...facts } of rows) {
    const others = folders.get(path);
    if (others === undefined) folders.set(path, [facts]);
    else others.push(facts);
  }
  return folders;
}

/** Reads the adapters of the devices that are bound to these folders of a source, by folder. Agents are left out. */
export async function adaptersByFolder(
  sql: Db,
  organizationId: string,
  sourceId: string,
  paths: readonly string[],
): Promise<Map<string, string[]>> {
  const rows = await sql<{ path: string; adapters: string[] }[]>`
    select path, array_agg(distinct adapter order by adapter) as adapters from devices
    where organization_id = ${organizationId} and source_id = ${sourceId} and path = any(${[...paths]}::text[]) and adapter <> 'agent'
      and archived_at is null
    group by path`;
  return new Map(rows.map(({ path, adapters }) => [path, adapters]));
}

export type NewDevice = {
  organizationId: string;
  id: string;
  name: string;
  type: string;
  labels: Labels;
  siteId: string | null;
  adapter: string;
  simulated: boolean;
  sourceId: string | null;
  path: string | null;
  following: boolean;
  enrolmentTokenId?: string;
};

/** @returns false when the organization already has a device of that id */
export async function insertDevice(tx: Db, device: NewDevice): Promise<boolean> {
  const result = await tx`
    insert into devices (organization_id, id, name, type, labels, site_id, adapter, simulated, source_id, path, following, enrolment_token_id)
    values (${device.organizationId}, ${device.id}, ${device.name}, ${device.type}, ${tx.json(device.labels)}, ${device.siteId},
            ${device.adapter}, ${device.simulated}, ${device.sourceId}, ${device.path}, ${device.following}, ${device.enrolmentTokenId ?? null})
    on conflict (organization_id, id) do nothing`;
  return result.count === 1;
}

/** Inserts in the order of the ids, so that two imports cannot deadlock. @returns the ids that did not exist */
export async function insertDevices(tx: Db, organizationId: string, devices: readonly NewDevice[]): Promise<ReadonlySet<string>> {
  const rows = await tx<{ id: string }[]>`
    insert into devices (organization_id, id, name, type, labels, site_id, adapter, simulated, source_id, path, following)
    select ${organizationId}::uuid, id, name, type, labels::jsonb, site_id, adapter, simulated::boolean, source_id, path, following::boolean
    from unnest(${devices.map((d) => d.id)}::text[], ${devices.map((d) => d.name)}::text[], ${devices.map((d) => d.type)}::text[],
                ${devices.map((d) => JSON.stringify(d.labels))}::text[], ${devices.map((d) => d.siteId)}::uuid[],
                ${devices.map((d) => d.adapter)}::text[], ${devices.map((d) => String(d.simulated))}::text[], ${devices.map((d) => d.sourceId)}::uuid[],
                ${devices.map((d) => d.path)}::text[], ${devices.map((d) => String(d.following))}::text[])
         as new (id, name, type, labels, site_id, adapter, simulated, source_id, path, following)
    order by id
    on conflict (organization_id, id) do nothing returning id`;
  return new Set(rows.map(({ id }) => id));
}

export type DeviceChange = Partial<Pick<NewDevice, 'name' | 'type' | 'labels' | 'siteId' | 'sourceId' | 'path' | 'following' | 'adapter'>>;

export async function updateDevice(tx: Db, device: Device, change: DeviceChange): Promise<void> {
  const next = { ...device, ...change };
  await tx`
    update devices set name = ${next.name}, type = ${next.type}, labels = ${tx.json(next.labels)}, site_id = ${next.siteId},
      source_id = ${next.sourceId}, path = ${next.path}, following = ${next.following}, adapter = ${next.adapter},
      version = version + 1, updated_at = now()
    where organization_id = ${device.organizationId} and id = ${device.id}`;
}

export async function deleteDevice(tx: Db, organizationId: string, id: string): Promise<void> {
  await tx`delete from devices where organization_id = ${organizationId} and id = ${id}`;
}

export async function setHold(
  tx: Db,
  device: Device,
  hold: { by: string; reason: string; untilNewerRevision: boolean; revisionId: string | null } | null,
): Promise<void> {
  await tx`
    update devices set held_at = ${hold === null ? null : tx`now()`}, held_by = ${hold?.by ?? null}, hold_reason = ${hold?.reason ?? null},
      hold_until_newer = ${hold?.untilNewerRevision ?? false}, hold_revision_id = ${hold?.revisionId ?? null},
      version = version + 1, updated_at = now()
    where organization_id = ${device.organizationId} and id = ${device.id}`;
}

/**
 * Marks online devices as offline that have not reported within `afterSeconds`. Shadow devices report to their platform, which decides that.
 * @returns those devices
 */
export async function markSilentDevicesOffline(tx: Db, afterSeconds: number): Promise<Device[]> {
  return tx<Device[]>`
    update devices d set connectivity = 'offline', updated_at = now()
    where d.connectivity = 'online' and d.source_kind = 'LOCAL' and d.last_seen_at < now() - make_interval(secs => ${afterSeconds})
    returning ${columns(tx)}`;
}

export async function countDevices(sql: Db, organizationId: string): Promise<number> {
  const [row] = await sql<[{ devices: number }]>`select count(*)::int as devices from devices where organization_id = ${organizationId}`;
  return row.devices;
}

/** Counts the devices of all organizations for metrics, but for archived ones. */
export async function deviceCounts(sql: Db): Promise<{ syncStatus: SyncStatus; connectivity: Connectivity; count: number }[]> {
  return sql`select sync_status as "syncStatus", connectivity, count(*)::int as count from devices where archived_at is null group by 1, 2`;
}
