import type { Db, Sql } from '../../db/connect.ts';
import type { Json } from '../../wire/text/json.ts';
import { storableJson } from '../../wire/text/text.ts';
import type { Assignment, Identity, Integration } from '../integration.ts';

type Owner = Pick<Integration, 'organizationId' | 'id'>;

/** An assignment with the device's own values: both sides of a merge but for the platform's. */
export type Synced = Assignment & {
  name: string;
  type: string;
  sourceKind: 'LOCAL' | 'EXTERNAL';
  metadata: Record<string, Json> | null;
  fieldTimes: Record<string, string>;
  archivedAt: Date | null;
  connectivity: 'online' | 'offline' | 'unknown';
  lastSeenAt: Date | null;
};

const columns = (sql: Db) => sql`
  a.organization_id as "organizationId", a.service_id as "serviceId", a.device_id as "deviceId", a.external_id as "externalId", a.identities,
  a.base, a.remote_hash as "remoteHash", a.seen_walk::int as "seenWalk", a.error_code as "errorCode", a.error_detail as "errorDetail",
  a.failures, a.retry_at as "retryAt", a.synced_at as "syncedAt"`;

const synced = (sql: Db) => sql`
  ${columns(sql)}, d.name, d.type, d.source_kind as "sourceKind", d.integration_metadata - 'state' - 'details' as metadata,
  d.field_times as "fieldTimes", d.archived_at as "archivedAt", d.connectivity, d.last_seen_at as "lastSeenAt"`;

const joined = (sql: Db, { organizationId, id }: Owner) => sql`
  device_service_assignments a join devices d on d.organization_id = a.organization_id and d.id = a.device_id
  where a.organization_id = ${organizationId} and a.service_id = ${id}`;

/** A device as the platform shows it now, as far as it is compared with what is stored. */
export type ShownNow = { externalId: string; hash: string; connectivity: Synced['connectivity']; lastSeenAt: Date | null };
/** `isChanged`: the platform shows something else than at its last change, or the device was changed here since both sides agreed. */
export type Compared = { externalId: string; deviceId: string; isChanged: boolean; isLivenessNew: boolean };

/**
 * Compares devices with what is stored of them, in the database: most of them are unchanged, and their values are not read. Locks nothing.
 * @param fields those that are synced. A value that only its order distinguishes from the last common one counts as changed.
 */
export async function compareDevices(sql: Db, owner: Owner, fields: readonly string[], shown: readonly ShownNow[]): Promise<Compared[]> {
  return sql<Compared[]>`
    with known as materialized (
      select a.external_id, a.device_id, a.remote_hash, a.base, d.archived_at, d.field_times, d.source_kind, d.connectivity, d.last_seen_at,
        coalesce(d.integration_metadata -> 'attributes', '{}') || jsonb_build_object('name', d.name, 'type', d.type) as here
      from ${joined(sql, owner)} and a.external_id = any(${shown.map((s) => s.externalId)}::text[])
    )
    select external_id as "externalId", k.device_id as "deviceId",
      k.remote_hash is distinct from n.hash or k.archived_at is not null or exists (
        select 1 from unnest(${[...fields]}::text[]) f
        where k.here ? f and (k.base ? f or k.field_times ? f) and k.here -> f is distinct from k.base -> f) as "isChanged",
      k.source_kind = 'EXTERNAL' and (k.connectivity <> n.connectivity or k.last_seen_at is distinct from n.last_seen_at::timestamptz) as "isLivenessNew"
    from known k join unnest(${shown.map((s) => s.externalId)}::text[], ${shown.map((s) => s.hash)}::text[], ${shown.map((s) => s.connectivity)}::text[],
      ${shown.map((s) => s.lastSeenAt?.toISOString() ?? null)}::text[]) as n (external_id, hash, connectivity, last_seen_at) using (external_id)`;
}

/** Reads these devices and locks them, in the order of their ids, so that two transactions cannot deadlock. */
export async function lockSynced(tx: Db, owner: Owner, deviceIds: readonly string[]): Promise<Synced[]> {
  return tx<Synced[]>`
    select ${synced(tx)} from ${joined(tx, owner)} and a.device_id = any(${[...deviceIds]}::text[]) order by d.id for no key update of d`;
}

/** @returns those of the platform's ids that have a device here */
export async function assignedIds(sql: Db, { organizationId, id }: Owner, externalIds: readonly string[]): Promise<Set<string>> {
  const rows = await sql<{ externalId: string }[]>`
    select external_id as "externalId" from device_service_assignments
    where organization_id = ${organizationId} and service_id = ${id} and external_id = any(${[...externalIds]}::text[])`;
  return new Set(rows.map(({ externalId }) => externalId));
}

/** `lockSynced` without locks. */
export async function readSynced(sql: Db, owner: Owner, deviceIds: readonly string[]): Promise<Synced[]> {
  return sql<Synced[]>`select ${synced(sql)} from ${joined(sql, owner)} and a.device_id = any(${[...deviceIds]}::text[]) order by d.id`;
}

export async function assignmentsOfDevice(sql: Db, organizationId: string, deviceId: string): Promise<Assignment[]> {
  return sql<Assignment[]>`
    select ${columns(sql)} from device_service_assignments a
    where a.organization_id = ${organizationId} and a.device_id = ${deviceId} order by a.created_at, a.service_id`;
}

/** In the order of the devices' ids. */
export async function listAssignments(sql: Db, { organizationId, id }: Owner, afterDevice: string, limit: number): Promise<Assignment[]> {
  return sql<Assignment[]>`
    select ${columns(sql)} from device_service_assignments a
    where a.organization_id = ${organizationId} and a.service_id = ${id} and a.device_id > ${afterDevice} order by a.device_id limit ${limit}`;
}

/** Whether a device that this walk has not shown could be one that it shows under another id. */
export async function hasUnseen(sql: Db, { organizationId, id }: Owner, walk: number): Promise<boolean> {
  const [row] = await sql<[{ found: boolean }]>`
    select exists (select 1 from device_service_assignments
      where organization_id = ${organizationId} and service_id = ${id} and (seen_walk < ${walk} or external_id is null)) as found`;
  return row.found;
}

export type IdentityMatch = { index: number; deviceId: string; externalId: string | null; seenWalk: number };

/**
 * Finds devices by their other ids, among those that the walk has not shown yet. One pass over them, whatever the planner knows of the table.
 * @param wanted each with an index of the caller, the most trusted ones of an index first
 */
export async function matchIdentities(
  sql: Db,
  { organizationId, id }: Owner,
  walk: number,
  wanted: readonly (Identity & { index: number })[],
): Promise<IdentityMatch[]> {
  return sql<IdentityMatch[]>`
    with wanted as (
      select index, kind, value, position from unnest(${wanted.map((w) => w.index)}::int[], ${wanted.map((w) => w.kind)}::text[],
        ${wanted.map((w) => w.value)}::text[]) with ordinality as w (index, kind, value, position)
    ), unseen as materialized (
      select a.device_id, a.external_id, a.seen_walk, i ->> 'kind' as kind, i ->> 'value' as value
      from device_service_assignments a cross join lateral jsonb_array_elements(a.identities) i
      where a.organization_id = ${organizationId} and a.service_id = ${id} and (a.seen_walk < ${walk} or a.external_id is null)
    )
    select distinct on (w.index) w.index, u.device_id as "deviceId", u.external_id as "externalId", u.seen_walk::int as "seenWalk"
    from wanted w join unseen u on u.kind = w.kind and u.value = w.value order by w.index, w.position, u.device_id`;
}

/** Finds local devices whose creation at the platform was asked for and not answered, by their name. */
export async function matchCreations(sql: Db, owner: Owner, names: readonly string[]): Promise<{ name: string; deviceId: string }[]> {
  return sql<{ name: string; deviceId: string }[]>`
    select distinct on (d.name) d.name, a.device_id as "deviceId" from ${joined(sql, owner)}
      and a.external_id is null and a.identities <> '[]' and d.name = any(${[...names]}::text[]) order by d.name, a.device_id`;
}

/** Finds shadow devices that no integration has, as after the removal of an earlier integration of the same account. */
export async function matchOrphans(
  sql: Db,
  organizationId: string,
  provider: string,
  externalIds: readonly string[],
): Promise<{ externalId: string; deviceId: string }[]> {
  return sql<{ externalId: string; deviceId: string }[]>`
    select distinct on (1) d.integration_metadata ->> 'external_id' as "externalId", d.id as "deviceId" from devices d
    where d.organization_id = ${organizationId} and d.source_kind = 'EXTERNAL'
      and d.integration_metadata ->> 'external_id' = any(${[...externalIds]}::text[]) and d.integration_metadata ->> 'provider' = ${provider}
      and not exists (select 1 from device_service_assignments a where a.organization_id = d.organization_id and a.device_id = d.id)
    order by 1, d.id`;
}

/** Finds devices that these other integrations have, and this one has not. */
export async function matchShared(
  tx: Db,
  { organizationId, id }: Owner,
  serviceIds: readonly string[],
  externalIds: readonly string[],
): Promise<{ externalId: string; deviceId: string }[]> {
  return tx<{ externalId: string; deviceId: string }[]>`
    select distinct on (1) a.external_id as "externalId", a.device_id as "deviceId" from device_service_assignments a
    where a.organization_id = ${organizationId} and a.service_id = any(${[...serviceIds]}::uuid[])
      and a.external_id = any(${[...externalIds]}::text[]) and not exists (
        select 1 from device_service_assignments own
        where own.organization_id = a.organization_id and own.service_id = ${id} and own.device_id = a.device_id)
    order by 1, 2`;
}

/** Has other integrations of the account wait until the transaction ends. */
export async function lockAccount(tx: Db, organizationId: string, account: string): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended(${`account:${organizationId}:${account}`}, 0))`;
}

export type NewAssignment = {
  deviceId: string;
  externalId: string | null;
  identities: readonly Identity[];
  walk: number;
  /** Where both sides agree from the start. */
  base?: Record<string, Json>;
  remoteHash?: string;
};

/**
 * Assigns devices that exist to an integration that exists: the statement locks both, instead of a foreign key's check for each row.
 * @param areNew their transaction has just inserted them, so that nobody else can remove them
 * @returns the devices that were not assigned yet
 */
export async function insertAssignments(
  tx: Db,
  { organizationId, id }: Owner,
  added: readonly NewAssignment[],
  areNew = false,
): Promise<Set<string>> {
  if (added.length === 0) return new Set();
  const deviceIds = added.map((a) => a.deviceId);
  const rows = await tx<{ deviceId: string }[]>`
    with service as materialized (
      select id from device_services where organization_id = ${organizationId} and id = ${id} for key share
    ), known as materialized (
      select id from devices where organization_id = ${organizationId} and id = any(${deviceIds}::text[]) order by id ${areNew ? tx`` : tx`for key share`}
    )
    insert into device_service_assignments (organization_id, service_id, device_id, external_id, identities, seen_walk, retry_at, base, remote_hash,
      synced_at)
    select ${organizationId}::uuid, service.id, device_id, external_id, identities::jsonb, walk, case when external_id is null then now() end,
      coalesce(base, '{}')::jsonb, hash, case when hash is not null then now() end
    from unnest(${deviceIds}::text[], ${added.map((a) => a.externalId)}::text[],
                ${added.map((a) => JSON.stringify(a.identities))}::text[], ${added.map((a) => a.walk)}::bigint[],
                ${added.map((a) => (a.base === undefined ? null : storableJson(JSON.stringify(a.base))))}::text[], ${added.map((a) => a.remoteHash ?? null)}::text[])
         as new (device_id, external_id, identities, walk, base, hash)
    join known on known.id = device_id cross join service
    on conflict do nothing returning device_id as "deviceId"`;
  return new Set(rows.map(({ deviceId }) => deviceId));
}

/** The device is not synced any more; both sides keep it. @returns false when it was not assigned */
export async function deleteAssignment(tx: Db, { organizationId, id }: Owner, deviceId: string): Promise<boolean> {
  const result = await tx`
    delete from device_service_assignments where organization_id = ${organizationId} and service_id = ${id} and device_id = ${deviceId}`;
  return result.count === 1;
}

/** Gives devices their present id at the platform. An id that another device had is free afterwards. */
export async function relink(
  tx: Db,
  { organizationId, id }: Owner,
  links: readonly { deviceId: string; externalId: string }[],
): Promise<void> {
  if (links.length === 0) return;
  await tx`
    update device_service_assignments a set external_id = l.external_id, remote_hash = null
    from unnest(${links.map((l) => l.deviceId)}::text[], ${links.map((l) => l.externalId)}::text[]) as l (device_id, external_id)
    where a.organization_id = ${organizationId} and a.service_id = ${id} and a.device_id = l.device_id`;
}

/** Notes that the walk showed these devices. */
export async function markSeen(tx: Db, { organizationId, id }: Owner, walk: number, externalIds: readonly string[]): Promise<void> {
  if (externalIds.length === 0) return;
  await tx`
    update device_service_assignments set seen_walk = ${walk}
    where organization_id = ${organizationId} and service_id = ${id} and external_id = any(${[...externalIds]}::text[]) and seen_walk <> ${walk}`;
}

export type SyncedState = {
  deviceId: string;
  base: Record<string, Json>;
  /** null: compare all fields at the next walk. */
  remoteHash: string | null;
  identities: readonly Identity[] | null;
  /** Values here are to be written to the platform. */
  isDue: boolean;
};

/** Stores what both sides agreed on. A device that has nothing left to be written loses its error. A failed write keeps the time of its next try. */
export async function noteSynced(tx: Db, { organizationId, id }: Owner, states: readonly SyncedState[]): Promise<void> {
  if (states.length === 0) return;
  await tx`
    update device_service_assignments a set base = s.base::jsonb, remote_hash = s.hash, identities = coalesce(s.identities::jsonb, a.identities),
      synced_at = now(), retry_at = case when s.due = 'true' then coalesce(a.retry_at, now()) end,
      failures = case when s.due = 'true' then a.failures else 0 end,
      error_code = case when s.due = 'true' then a.error_code end, error_detail = case when s.due = 'true' then a.error_detail end
    from unnest(${states.map((s) => s.deviceId)}::text[], ${states.map((s) => storableJson(JSON.stringify(s.base)))}::text[],
                ${states.map((s) => s.remoteHash)}::text[],
                ${states.map((s) => (s.identities === null ? null : storableJson(JSON.stringify(s.identities))))}::text[],
                ${states.map((s) => String(s.isDue))}::text[]) as s (device_id, base, hash, identities, due)
    where a.organization_id = ${organizationId} and a.service_id = ${id} and a.device_id = s.device_id`;
}

export type FailedDevice = { deviceId: string; code: string; detail: string; retryInSeconds: number | null };

/** Records per-device failures with the time of the next try; null: only a change of the device or a person makes another one useful. */
export async function noteFailed(tx: Db, { organizationId, id }: Owner, failed: readonly FailedDevice[]): Promise<void> {
  if (failed.length === 0) return;
  await tx`
    update device_service_assignments a set error_code = f.code, error_detail = f.detail, failures = a.failures + 1,
      retry_at = now() + make_interval(secs => f.seconds::double precision)
    from unnest(${failed.map((f) => f.deviceId)}::text[], ${failed.map((f) => f.code)}::text[],
                ${failed.map((f) => storableJson(f.detail))}::text[], ${failed.map((f) => f.retryInSeconds)}::double precision[])
         as f (device_id, code, detail, seconds)
    where a.organization_id = ${organizationId} and a.service_id = ${id} and a.device_id = f.device_id`;
}

/** Devices whose values are to be written to the platform now, in the order of their ids. */
export async function dueExports(sql: Db, owner: Owner, afterDevice: string, limit: number): Promise<string[]> {
  const rows = await sql<{ deviceId: string }[]>`
    select a.device_id as "deviceId" from ${joined(sql, owner)} and a.external_id is not null and a.retry_at <= now() and d.archived_at is null
      and a.device_id > ${afterDevice} order by a.device_id limit ${limit}`;
  return rows.map(({ deviceId }) => deviceId);
}

/**
 * Local devices that the platform does not have, in the order of their ids. A creation whose answer was lost is due again only in a run that began after
 * it, because that run's walk shows the device if it was created.
 */
export async function dueCreations(sql: Db, owner: Owner, runStartedAt: Date, afterDevice: string, limit: number): Promise<Synced[]> {
  return sql<Synced[]>`
    select ${synced(sql)} from ${joined(sql, owner)} and a.external_id is null and a.retry_at <= ${runStartedAt} and d.archived_at is null
      and a.device_id > ${afterDevice} order by a.device_id limit ${limit}`;
}

/** Stores by which identities the devices will be known, before they are created, and when a lost creation is tried again. */
export async function beginCreations(
  tx: Db,
  { organizationId, id }: Owner,
  created: readonly { deviceId: string; marker: Identity }[],
  againInSeconds: number,
): Promise<void> {
  await tx`
    update device_service_assignments a set identities = c.identities::jsonb, retry_at = now() + make_interval(secs => ${againInSeconds})
    from unnest(${created.map((c) => c.deviceId)}::text[], ${created.map((c) => JSON.stringify([c.marker]))}::text[]) as c (device_id, identities)
    where a.organization_id = ${organizationId} and a.service_id = ${id} and a.device_id = c.device_id and a.external_id is null`;
}

/** Marks a device whose local values wait for the platform: the next run writes them. */
export async function markDue(tx: Db, { organizationId, id }: Owner, deviceId: string): Promise<void> {
  await tx`
    update device_service_assignments set retry_at = now()
    where organization_id = ${organizationId} and service_id = ${id} and device_id = ${deviceId}`;
}

/** Whether devices of the integration wait to be written, and whether any waits to be created. */
export async function dueWork(sql: Db, owner: Owner): Promise<{ exports: boolean; creations: boolean }> {
  const [row] = await sql<[{ exports: boolean; creations: boolean }]>`
    select coalesce(bool_or(a.external_id is not null), false) as exports, coalesce(bool_or(a.external_id is null), false) as creations
    from ${joined(sql, owner)} and a.retry_at <= now() and d.archived_at is null`;
  return row;
}

/**
 * Integrations whose devices are due for another try, but for those that are synced on request alone. After a run that failed, the schedule decides when
 * the platform is asked again. The values of an archived device wait until it is back.
 */
export async function integrationsWithDueDevices(sql: Db, limit: number): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select s.id from device_services s join organizations o on o.id = s.organization_id
    where s.is_active and s.auto_sync and s.blocked_reason is null and s.failures = 0 and o.disabled_at is null and o.device_sync_enabled
      and exists (select 1 from device_service_assignments a join devices d on d.organization_id = a.organization_id and d.id = a.device_id
        where a.organization_id = s.organization_id and a.service_id = s.id and a.retry_at <= now() and d.archived_at is null)
      and not exists (select 1 from device_sync_log l
        where l.organization_id = s.organization_id and l.service_id = s.id and l.device_id is null and l.status = 'running')
    limit ${limit}`;
  return rows.map(({ id }) => id);
}

/** Finds them before it reads any device: a plan from missing statistics reads each device for each assignment. */
const unseenSince = (sql: Db, { organizationId, id }: Owner, lastSeen: number) => sql`
  unseen as materialized (
    select device_id from device_service_assignments
    where organization_id = ${organizationId} and service_id = ${id} and external_id is not null and seen_walk <= ${lastSeen})`;

/**
 * Shadow devices that no walk has shown since walk `lastSeen`, and that are not archived, in the order of their ids; but for those that another
 * integration still shows.
 */
export async function goneDevices(sql: Db, owner: Owner, lastSeen: number, limit: number): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    with ${unseenSince(sql, owner, lastSeen)}
    select d.id from unseen u join devices d on d.organization_id = ${owner.organizationId} and d.id = u.device_id
    where d.archived_at is null and d.source_kind = 'EXTERNAL' and not exists (
      select 1 from device_service_assignments o join device_services s on s.organization_id = o.organization_id and s.id = o.service_id
      where o.organization_id = d.organization_id and o.device_id = d.id and o.service_id <> ${owner.id} and o.external_id is not null and s.is_active
        and o.seen_walk > s.walks - 2 and s.walks > 0)
    order by d.id limit ${limit}`;
  return rows.map(({ id }) => id);
}

/** Marks local devices that were created at the platform and are gone there. @returns the newly marked ones */
export async function noteGoneLocals(tx: Db, owner: Owner, lastSeen: number, detail: string): Promise<string[]> {
  const { organizationId, id } = owner;
  const rows = await tx<{ id: string }[]>`
    with ${unseenSince(tx, owner, lastSeen)}
    update device_service_assignments a set error_code = 'integration_not_found', error_detail = ${detail}, retry_at = null
    from unseen u join devices d on d.organization_id = ${organizationId} and d.id = u.device_id
    where a.organization_id = ${organizationId} and a.service_id = ${id} and a.device_id = d.id and d.source_kind = 'LOCAL'
      and a.error_code is distinct from 'integration_not_found'
    returning a.device_id as id`;
  return rows.map((row) => row.id);
}

/**
 * Gathers the planner's statistics of the tables that an import fills. PostgreSQL does so by itself up to a minute later; until then it plans for tables of
 * unknown size, and takes an index that reads all devices for each device.
 */
export async function gatherStatistics(sql: Sql): Promise<void> {
  await sql`analyze devices, device_words, device_service_assignments, device_sync_log`;
}
