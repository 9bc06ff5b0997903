import type { Db } from '../../db/connect.ts';
import type { Integration } from '../integration.ts';

type Key = Pick<Integration, 'organizationId' | 'id'>;

/**
 * Takes a delivery, unless the same one was taken within the window. Another process that takes it at the same time waits for the end of this
 * transaction.
 * @returns false for a repetition
 */
export async function takeDelivery(tx: Db, { organizationId, id }: Key, delivery: string, windowSeconds: number): Promise<boolean> {
  const rows = await tx`
    insert into integration_hooks as h (organization_id, service_id, delivery) values (${organizationId}, ${id}, ${delivery})
    on conflict (organization_id, service_id, delivery) do update set received_at = now()
      where h.received_at < now() - make_interval(secs => ${windowSeconds})
    returning 1`;
  return rows.length === 1;
}

/** Deletes deliveries whose window is over. @param windows prefixes of the deliveries with their windows in seconds */
export async function pruneIntegrationHooks(sql: Db, windows: Readonly<Record<string, number>>): Promise<void> {
  await sql`
    delete from integration_hooks h using unnest(${Object.keys(windows)}::text[], ${Object.values(windows)}::float8[]) as w (prefix, seconds)
    where starts_with(h.delivery, w.prefix) and h.received_at < now() - make_interval(secs => w.seconds)`;
}
