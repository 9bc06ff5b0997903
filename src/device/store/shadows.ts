import type { Db, Tx } from '../../db/connect.ts';
import type { Json } from '../../wire/text/json.ts';
import { storableJson } from '../../wire/text/text.ts';
import type { Connectivity } from '../device.ts';

/** Statements about devices that an integration manages. Each one is about a set of devices, with one round trip. */

/** The client takes the type of a list from its first item, which may be null. */
const timeText = (time: Date | null) => time?.toISOString() ?? null;

export type NewShadow = {
  /** Wanted id, and the one where another device has it. */
  id: string;
  otherwise: string;
  name: string;
  type: string;
  adapter: string;
  externalId: string;
  metadata: Record<string, Json>;
  connectivity: Connectivity;
  lastSeenAt: Date | null;
};

/** @returns the ids that the devices got, by their external id. One that finds both ids taken is left out. */
export async function insertShadows(tx: Tx, organizationId: string, shadows: readonly NewShadow[]): Promise<Map<string, string>> {
  const ids = await insertOnce(tx, organizationId, shadows);
  const refused = shadows.filter(({ externalId }) => !ids.has(externalId));
  const others = await insertOnce(
    tx,
    organizationId,
    refused.map((shadow) => ({ ...shadow, id: shadow.otherwise })),
  );
  return new Map([...ids, ...others]);
}

async function insertOnce(tx: Tx, organizationId: string, shadows: readonly NewShadow[]): Promise<Map<string, string>> {
  if (shadows.length === 0) return new Map();
  const rows = await tx<{ id: string; externalId: string }[]>`
    insert into devices (organization_id, id, name, type, adapter, source_kind, integration_metadata, connectivity, last_seen_at, following)
    select ${organizationId}::uuid, n.id, n.name, n.type, n.adapter, 'EXTERNAL', n.metadata::jsonb, n.connectivity, n.last_seen_at::timestamptz, false
    from unnest(${shadows.map((s) => s.id)}::text[], ${shadows.map((s) => s.name)}::text[], ${shadows.map((s) => s.type)}::text[],
                ${shadows.map((s) => s.adapter)}::text[], ${shadows.map((s) => storableJson(JSON.stringify(s.metadata)))}::text[],
                ${shadows.map((s) => s.connectivity)}::text[], ${shadows.map((s) => timeText(s.lastSeenAt))}::text[])
         as n (id, name, type, adapter, metadata, connectivity, last_seen_at)
    order by 2
    on conflict (organization_id, id) do nothing
    returning id, integration_metadata ->> 'external_id' as "externalId"`;
  return new Map(rows.map(({ id, externalId }) => [externalId, id]));
}

export type ShadowChange = {
  id: string;
  name: string;
  type: string;
  /** Merged over what the device has. */
  metadata: Record<string, Json>;
  connectivity: Connectivity;
  lastSeenAt: Date | null;
};

/** The caller holds the devices' locks. A device that was archived is back. */
export async function changeShadows(tx: Db, organizationId: string, changes: readonly ShadowChange[]): Promise<void> {
  if (changes.length === 0) return;
  await tx`
    update devices d set name = n.name, type = n.type, integration_metadata = coalesce(d.integration_metadata, '{}') || n.metadata::jsonb,
      connectivity = case when d.source_kind = 'EXTERNAL' and n.connectivity <> 'unknown' then n.connectivity else d.connectivity end,
      last_seen_at = case when d.source_kind = 'EXTERNAL' then greatest(d.last_seen_at, n.last_seen_at::timestamptz) else d.last_seen_at end,
      archived_at = null, version = d.version + 1, updated_at = now()
    from unnest(${changes.map((c) => c.id)}::text[], ${changes.map((c) => c.name)}::text[], ${changes.map((c) => c.type)}::text[],
                ${changes.map((c) => storableJson(JSON.stringify(c.metadata)))}::text[], ${changes.map((c) => c.connectivity)}::text[],
                ${changes.map((c) => timeText(c.lastSeenAt))}::text[]) as n (id, name, type, metadata, connectivity, last_seen_at)
    where d.organization_id = ${organizationId} and d.id = n.id`;
}

/**
 * Whether shadow devices are reachable, as their platform shows it; a hook may have said something newer. Local devices report that by themselves.
 */
export async function noteLiveness(
  tx: Db,
  organizationId: string,
  seen: readonly { id: string; connectivity: Connectivity; lastSeenAt: Date | null }[],
): Promise<void> {
  if (seen.length === 0) return;
  await tx`
    update devices d set connectivity = case when n.connectivity = 'unknown' then d.connectivity else n.connectivity end,
      last_seen_at = greatest(d.last_seen_at, n.last_seen_at::timestamptz)
    from unnest(${seen.map((s) => s.id)}::text[], ${seen.map((s) => s.connectivity)}::text[], ${seen.map((s) => timeText(s.lastSeenAt))}::text[])
         as n (id, connectivity, last_seen_at)
    where d.organization_id = ${organizationId} and d.id = n.id and d.source_kind = 'EXTERNAL'`;
}

/** The devices are gone at their platform. They keep their history and take no part in rollouts. The caller holds the devices' locks. */
export async function archiveShadows(tx: Db, organizationId: string, ids: readonly string[]): Promise<void> {
  await tx`
    update devices set archived_at = now(), connectivity = 'unknown', version = version + 1, updated_at = now(),
      integration_metadata = coalesce(integration_metadata, '{}') || '{"sync_status":"archived"}'
    where organization_id = ${organizationId} and id = any(${[...ids]}::text[])`;
}

/** Values of one device that people or integrations change. undefined: it keeps what it has. */
export type FieldChange = { id: string; name?: string | undefined; type?: string | undefined; attributes: Record<string, Json> };

/** Changes fields here, with the time of the change, which decides between two edits. The caller holds the devices' locks. */
export async function changeFields(tx: Db, organizationId: string, changes: readonly FieldChange[]): Promise<void> {
  if (changes.length === 0) return;
  const times = changes.map(({ name, type, attributes }) => {
    const fields = [...(name === undefined ? [] : ['name']), ...(type === undefined ? [] : ['type']), ...Object.keys(attributes)];
    return Object.fromEntries(fields.map((field) => [field, new Date().toISOString()]));
  });
  await tx`
    update devices d set name = coalesce(n.name, d.name), type = coalesce(n.type, d.type), field_times = d.field_times || n.times::jsonb,
      integration_metadata = case when n.attributes = '{}' then d.integration_metadata
        else coalesce(d.integration_metadata, '{}') || jsonb_build_object('attributes', coalesce(d.integration_metadata -> 'attributes', '{}') || n.attributes::jsonb) end,
      version = d.version + 1, updated_at = now()
    from unnest(${changes.map((c) => c.id)}::text[], ${changes.map((c) => c.name ?? null)}::text[], ${changes.map((c) => c.type ?? null)}::text[],
                ${changes.map((c) => storableJson(JSON.stringify(c.attributes)))}::text[], ${times.map((t) => JSON.stringify(t))}::text[])
         as n (id, name, type, attributes, times)
    where d.organization_id = ${organizationId} and d.id = n.id`;
}

/**
 * Inserts many rows with foreign keys to small tables. The database checks each key of each row by a query, and with fresh plans it would plan each of
 * them, which takes several times as long as the insert. Not for `insert`s that look rows up, nor for keys to tables that grow meanwhile: a plan that
 * was kept from a small table may scan a whole index.
 */
export async function withKeptPlans<T>(tx: Tx, insert: () => Promise<T>): Promise<T> {
  await tx`select set_config('plan_cache_mode', 'auto', true), set_config('enable_seqscan', 'off', true)`;
  const result = await insert();
  await tx`set local plan_cache_mode to default`;
  await tx`set local enable_seqscan to default`;
  return result;
}
