import type { Db } from '../db/connect.ts';
import type { Json } from '../wire/text/json.ts';

/** A command that a platform runs. `reference`: its id there, once the platform has it. `place`: null without an assignment. */
export type ExternalCommand = {
  organizationId: string;
  id: string;
  deviceId: string;
  adapter: string;
  type: string;
  payload: Record<string, Json>;
  expiresAt: Date;
  sentAt: Date | null;
  reference: string | null;
  place: { integrationId: string; externalId: string } | null;
};

/** Commands of devices with these adapters that wait to be sent, or whose platform has not shown an outcome yet, oldest first. */
export async function externalCommands(
  sql: Db,
  { adapters, except, limit }: { adapters: readonly string[]; except: readonly string[]; limit: number },
): Promise<ExternalCommand[]> {
  return sql<ExternalCommand[]>`
    select c.organization_id as "organizationId", c.id, c.device_id as "deviceId", d.adapter, c.type, c.payload, c.expires_at as "expiresAt",
      c.sent_at as "sentAt", c.external_reference as reference,
      case when a.external_id is not null then jsonb_build_object('integrationId', a.service_id, 'externalId', a.external_id) end as place
    from commands c join devices d on d.organization_id = c.organization_id and d.id = c.device_id
    left join lateral (
      select a.service_id, a.external_id from device_service_assignments a
      join device_services s on s.organization_id = a.organization_id and s.id = a.service_id and s.service_type = d.adapter
      where a.organization_id = d.organization_id and a.device_id = d.id and a.external_id is not null
      order by s.is_primary desc, s.created_at limit 1
    ) a on true
    where c.state in ('queued', 'sent') and c.expires_at > now() and (c.state = 'queued' or c.external_reference is not null)
      and d.adapter = any(${[...adapters]}::text[]) and c.id <> all(${[...except]}::uuid[])
    order by c.created_at limit ${limit}`;
}

/** Notes by which id the platform knows the command. */
export async function noteReference(sql: Db, organizationId: string, id: string, reference: string): Promise<void> {
  await sql`update commands set external_reference = ${reference} where organization_id = ${organizationId} and id = ${id}`;
}
