import type { Db } from '../../db/connect.ts';
import type { Integration } from '../integration.ts';

type Key = Pick<Integration, 'organizationId' | 'id'>;

/** Devices by their ids at the platform. Ids that the integration does not have are left out. */
export async function devicesByExternalId(
  sql: Db,
  { organizationId, id }: Key,
  externalIds: readonly string[],
): Promise<Map<string, string>> {
  if (externalIds.length === 0) return new Map();
  const rows = await sql<{ externalId: string; deviceId: string }[]>`
    select external_id as "externalId", device_id as "deviceId" from device_service_assignments
    where organization_id = ${organizationId} and service_id = ${id} and external_id = any(${[...externalIds]}::text[])`;
  return new Map(rows.map(({ externalId, deviceId }) => [externalId, deviceId]));
}

/** A device's account at a platform. A device that follows several platforms has several. */
export type DeviceAccount = { serviceId: string; externalId: string };

/** The primary integration first, then in the order of their ids. A device that the platform does not have yet has no account. */
export async function accountsOfDevice(sql: Db, organizationId: string, deviceId: string): Promise<DeviceAccount[]> {
  return sql<DeviceAccount[]>`
    select a.service_id as "serviceId", a.external_id as "externalId"
    from device_service_assignments a join device_services s on s.organization_id = a.organization_id and s.id = a.service_id
    where a.organization_id = ${organizationId} and a.device_id = ${deviceId} and a.external_id is not null
    order by s.is_primary desc, s.id`;
}
