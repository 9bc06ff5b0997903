import { hash } from 'node:crypto';
import type { Db } from '../../db/connect.ts';
import type { Json } from '../../wire/text/json.ts';
import { storableJson } from '../../wire/text/text.ts';
import type { Integration } from '../integration.ts';

type Owner = Pick<Integration, 'organizationId' | 'id'>;

export type ConflictState = 'open' | 'resolved' | 'obsolete';
/** Which value both sides got. */
export type Resolution = 'local' | 'remote' | 'value' | 'newest' | 'merge';

/** A field that both sides changed. A side without the field has null. */
export type Conflict = {
  organizationId: string;
  id: string;
  serviceId: string;
  deviceId: string;
  field: string;
  base: Json;
  local: Json;
  remote: Json;
  localChangedAt: Date | null;
  remoteChangedAt: Date | null;
  state: ConflictState;
  resolution: Resolution | null;
  value: Json;
  /** `strategy:<name>`, or `token:<name>`. */
  resolvedBy: string | null;
  resolvedAt: Date | null;
  createdAt: Date;
};

/** Differs once a sync has found other values: a person decides about values that they saw. */
export function versionOf({ local, remote }: Pick<Conflict, 'local' | 'remote'>): string {
  return hash('sha256', JSON.stringify([local, remote])).slice(0, 16);
}

const columns = (sql: Db) => sql`
  c.organization_id as "organizationId", c.id, c.service_id as "serviceId", c.device_id as "deviceId", c.field, c.base, c.local, c.remote,
  c.local_changed_at as "localChangedAt", c.remote_changed_at as "remoteChangedAt", c.state, c.resolution, c.value, c.resolved_by as "resolvedBy",
  c.resolved_at as "resolvedAt", c.created_at as "createdAt"`;

export type FoundConflict = {
  id: string;
  deviceId: string;
  field: string;
  base: Json | undefined;
  local: Json;
  remote: Json;
  localChangedAt: Date | null;
  remoteChangedAt: Date | null;
  /** null: a person decides. */
  decided: { by: Resolution; value: Json; strategy: string } | null;
};

const text = (value: Json | undefined) => (value === undefined ? null : storableJson(JSON.stringify(value)));

/**
 * Stores conflicts. An open one of the same field is the same conflict with newer values, and a strategy's decision closes it.
 * @returns the ids of those that are new
 */
export async function noteConflicts(tx: Db, { organizationId, id }: Owner, found: readonly FoundConflict[]): Promise<Set<string>> {
  if (found.length === 0) return new Set();
  const rows = await tx<{ id: string }[]>`
    with new as (
      select * from unnest(${found.map((f) => f.id)}::uuid[], ${found.map((f) => f.deviceId)}::text[], ${found.map((f) => f.field)}::text[],
        ${found.map((f) => text(f.base))}::text[], ${found.map((f) => text(f.local))}::text[], ${found.map((f) => text(f.remote))}::text[],
        ${found.map((f) => f.localChangedAt?.toISOString() ?? null)}::text[], ${found.map((f) => f.remoteChangedAt?.toISOString() ?? null)}::text[],
        ${found.map((f) => f.decided?.by ?? null)}::text[], ${found.map((f) => text(f.decided?.value))}::text[],
        ${found.map((f) => (f.decided === null ? null : `strategy:${f.decided.strategy}`))}::text[])
        as n (id, device_id, field, base, local, remote, local_at, remote_at, resolution, value, by)
    ), known as (
      update device_conflicts c set local = n.local::jsonb, remote = n.remote::jsonb, local_changed_at = n.local_at::timestamptz, remote_changed_at = n.remote_at::timestamptz,
        state = case when n.by is null then 'open' else 'resolved' end, resolution = n.resolution, value = n.value::jsonb, resolved_by = n.by,
        resolved_at = case when n.by is not null then now() end
      from new n
      where c.organization_id = ${organizationId} and c.service_id = ${id} and c.device_id = n.device_id and c.field = n.field and c.state = 'open'
      returning n.id
    )
    insert into device_conflicts (organization_id, id, service_id, device_id, field, base, local, remote, local_changed_at, remote_changed_at, state,
      resolution, value, resolved_by, resolved_at)
    select ${organizationId}::uuid, id, ${id}::uuid, device_id, field, base::jsonb, local::jsonb, remote::jsonb, local_at::timestamptz, remote_at::timestamptz,
      case when by is null then 'open' else 'resolved' end, resolution, value::jsonb, by, case when by is not null then now() end
    from new where id not in (select id from known)
    returning id`;
  return new Set(rows.map((row) => row.id));
}

/** Closes open conflicts that exist no more: the sides agree, or one of them took its change back. @param kept `deviceId field` of those that exist */
export async function closeObsolete(
  tx: Db,
  { organizationId, id }: Owner,
  deviceIds: readonly string[],
  kept: readonly { deviceId: string; field: string }[],
): Promise<void> {
  if (deviceIds.length === 0) return;
  await tx`
    update device_conflicts c set state = 'obsolete', resolved_at = now()
    where c.organization_id = ${organizationId} and c.service_id = ${id} and c.state = 'open' and c.device_id = any(${[...deviceIds]}::text[])
      and not exists (select 1 from unnest(${kept.map((k) => k.deviceId)}::text[], ${kept.map((k) => k.field)}::text[]) as k (device_id, field)
        where k.device_id = c.device_id and k.field = c.field)`;
}

/** Closes open conflicts but those about these fields: the others are not synced any more, or in one direction only. */
export async function closeUnsynced(tx: Db, { organizationId, id }: Owner, fields: readonly string[]): Promise<void> {
  await tx`
    update device_conflicts set state = 'obsolete', resolved_at = now()
    where organization_id = ${organizationId} and service_id = ${id} and state = 'open' and field <> all(${[...fields]}::text[])`;
}

/** Fields of these devices about which a person has to decide. */
export async function openFields(sql: Db, { organizationId, id }: Owner, deviceIds: readonly string[]): Promise<Map<string, Set<string>>> {
  const rows = await sql<{ deviceId: string; field: string }[]>`
    select device_id as "deviceId", field from device_conflicts
    where organization_id = ${organizationId} and service_id = ${id} and state = 'open' and device_id = any(${[...deviceIds]}::text[])`;
  const found = new Map<string, Set<string>>();
  for (const { deviceId, field } of rows) found.set(deviceId, (found.get(deviceId) ?? new Set()).add(field));
  return found;
}

export async function conflictsById(sql: Db, organizationId: string, ids: readonly string[]): Promise<Conflict[]> {
  return sql<Conflict[]>`
    select ${columns(sql)} from device_conflicts c where c.organization_id = ${organizationId} and c.id = any(${[...ids]}::uuid[]) order by c.id`;
}

/** Locks conflicts until the transaction ends, in the order of their ids. */
export async function lockConflicts(tx: Db, organizationId: string, ids: readonly string[]): Promise<Conflict[]> {
  return tx<Conflict[]>`
    select ${columns(tx)} from device_conflicts c
    where c.organization_id = ${organizationId} and c.id = any(${[...ids]}::uuid[]) order by c.id for update`;
}

export async function noteResolved(
  tx: Db,
  organizationId: string,
  resolved: readonly { id: string; value: Json }[],
  by: { resolution: Resolution; resolvedBy: string },
): Promise<void> {
  await tx`
    update device_conflicts c set state = 'resolved', resolution = ${by.resolution}, value = r.value::jsonb, resolved_by = ${by.resolvedBy},
      resolved_at = now()
    from unnest(${resolved.map((r) => r.id)}::uuid[], ${resolved.map((r) => text(r.value))}::text[]) as r (id, value)
    where c.organization_id = ${organizationId} and c.id = r.id`;
}

export type ConflictFilter = {
  id?: string | undefined;
  serviceId?: string | undefined;
  deviceId?: string | undefined;
  state?: ConflictState | undefined;
  field?: string | undefined;
};

/** Newest first. @param before id of the last one of the page before: ids grow with time */
export async function listConflicts(
  sql: Db,
  organizationId: string,
  filter: ConflictFilter,
  before: string | null,
  limit: number,
): Promise<(Conflict & { integration: string })[]> {
  return sql<(Conflict & { integration: string })[]>`
    select ${columns(sql)}, s.slug as integration
    from device_conflicts c join device_services s on s.organization_id = c.organization_id and s.id = c.service_id
    where c.organization_id = ${organizationId}
      ${before === null ? sql`` : sql`and c.id < ${before}`}
      ${filter.id === undefined ? sql`` : sql`and c.id = ${filter.id}`}
      ${filter.serviceId === undefined ? sql`` : sql`and c.service_id = ${filter.serviceId}`}
      ${filter.deviceId === undefined ? sql`` : sql`and c.device_id = ${filter.deviceId}`}
      ${filter.state === undefined ? sql`` : sql`and c.state = ${filter.state}`}
      ${filter.field === undefined ? sql`` : sql`and c.field = ${filter.field}`}
    order by c.id desc limit ${limit}`;
}
