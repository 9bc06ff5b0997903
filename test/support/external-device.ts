import type { Sql } from '../../src/db/connect.ts';

/** A shadow of a device at a platform, as a sync leaves it. */
export async function insertExternalDevice(
  sql: Sql,
  { integrationId, id, externalId }: { integrationId: string; id: string; externalId: string },
): Promise<void> {
  await sql`
    insert into devices (organization_id, id, name, type, adapter, source_kind, integration_metadata)
    select organization_id, ${id}, ${id}, 'tablet', 'agent', 'EXTERNAL',
      jsonb_build_object('provider', service_type, 'integration', slug, 'external_id', ${externalId}::text, 'sync_status', 'active', 'attributes', '{}'::jsonb)
    from device_services where id = ${integrationId}`;
  await sql`
    insert into device_service_assignments (organization_id, service_id, device_id, external_id)
    select organization_id, id, ${id}, ${externalId} from device_services where id = ${integrationId}`;
}
