import type { Db } from '../../db/connect.ts';

export type DeviceRow = { id: string; name: string; since: Date; by: string | null; reason: string | null; total: number };

/** Devices whose key two agents use in turn. */
export async function clonedDevices(sql: Db, organizationId: string, limit: number): Promise<DeviceRow[]> {
  return sql<DeviceRow[]>`
    select id, name, cloned_since as since, null as by, null as reason, count(*) over ()::int as total
    from devices where organization_id = ${organizationId} and cloned_since is not null order by cloned_since, id limit ${limit}`;
}

/** Devices that are held for more than a day. */
export async function heldDevices(sql: Db, organizationId: string, limit: number): Promise<DeviceRow[]> {
  return sql<DeviceRow[]>`
    select id, name, held_at as since, held_by as by, hold_reason as reason, count(*) over ()::int as total
    from devices where organization_id = ${organizationId} and held_at < now() - interval '1 day' and archived_at is null order by held_at, id limit ${limit}`;
}

export type Quarantined = { count: number; firstDevice: string | null };

/** Devices that do not run their folder's bundle because they rolled it back, and do not count as failing. Failing devices are listed by their cause. */
export async function quarantinedDevices(sql: Db, organizationId: string): Promise<Quarantined> {
  const [row] = await sql<[Quarantined]>`
    select count(*)::int as count, min(d.id) as "firstDevice" from devices d
    join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path and p.bundle = d.quarantined_bundle
    where d.organization_id = ${organizationId} and d.quarantined_bundle is not null and d.sync_status not in ('failed', 'rolled_back')
      and d.archived_at is null and d.desired_bundle is distinct from d.quarantined_bundle`;
  return row;
}

export type ReenrolmentRow = { deviceId: string; machine: string | null; address: string | null; since: Date; total: number };

/** Machines that asked within a day to enrol as a registered device, and that nobody admitted. An older request counts as abandoned. */
export async function waitingReenrolments(sql: Db, organizationId: string, limit: number): Promise<ReenrolmentRow[]> {
  return sql<ReenrolmentRow[]>`
    select device_id as "deviceId", instance as machine, address, requested_at as since, count(*) over ()::int as total
    from device_reenrolments where organization_id = ${organizationId} and last_requested_at > now() - interval '1 day'
      and (allowed_until is null or allowed_until < now())
    order by requested_at, device_id limit ${limit}`;
}
