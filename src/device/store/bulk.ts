import type { Db } from '../../db/connect.ts';
import type { DeviceStanding } from '../events.ts';
import { type DeviceFilter, matching } from './filter.ts';
import { standing, statusAfterSql } from './status.ts';

/** Statements about many devices that an operator chose. Those that write expect the caller to hold the devices' locks. */

export type BulkAction =
  | { action: 'start' | 'stop' | 'refresh' | 'release' | 'retry' }
  | { action: 'hold'; reason: string; untilNewerRevision: boolean }
  | { action: 'label'; set: Readonly<Record<string, string>>; remove: readonly string[] }
  | { action: 'move'; siteId: string | null };

/** A device that the action changes, as its events and its deployment need it. */
export type BulkDevice = DeviceStanding & { sourceId: string | null };

/** The condition over rows `d` of devices that the action changes. On others it would have no effect. */
function changedBy(sql: Db, wanted: BulkAction) {
  switch (wanted.action) {
    case 'start':
      return sql`d.source_id is not null and not d.following`;
    case 'stop':
      return sql`d.following`;
    case 'refresh':
      return sql`d.source_id is not null`;
    case 'hold':
      return sql`d.held_at is null`;
    case 'release':
      return sql`d.held_at is not null`;
    case 'retry':
      return sql`d.sync_status in ('failed', 'rolled_back') and exists (
        select 1 from source_paths p where p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path and p.bundle is not null)`;
    case 'label':
      return sql`${labelled(sql, wanted)} is distinct from d.labels`;
    case 'move':
      return sql`d.site_id is distinct from ${wanted.siteId}::uuid`;
  }
}

const labelled = (sql: Db, { set, remove }: { set: Readonly<Record<string, string>>; remove: readonly string[] }) =>
  sql`((d.labels - ${[...remove]}::text[]) || ${sql.json(set)}::jsonb)`;

/** Counts the devices of a filter and those among them that the action changes, and names some of these. */
export async function bulkPreview(
  sql: Db,
  organizationId: string,
  filter: DeviceFilter,
  wanted: BulkAction,
  sample: number,
): Promise<{ matching: number; willChange: number; sample: string[] }> {
  const [row] = await sql<[{ matching: number; willChange: number; sample: string[] }]>`
    with found as materialized (select d.id, ${changedBy(sql, wanted)} as changed from devices d where ${matching(sql, organizationId, filter)})
    select count(*)::int as matching, (count(*) filter (where changed))::int as "willChange",
      array(select id from found where changed order by id limit ${sample}) as sample
    from found`;
  return row;
}

/** Locks the devices of a filter that the action changes, in the order of their ids. */
export async function lockForBulk(
  tx: Db,
  organizationId: string,
  filter: DeviceFilter,
  wanted: BulkAction,
  limit: number,
): Promise<BulkDevice[]> {
  return tx<BulkDevice[]>`
    select ${standing(tx)}, d.source_id as "sourceId" from devices d
    where ${matching(tx, organizationId, filter)} and ${changedBy(tx, wanted)} order by d.id limit ${limit} for update of d`;
}

export async function followSources(tx: Db, organizationId: string, ids: readonly string[], following: boolean): Promise<void> {
  await tx`
    update devices set following = ${following}, version = version + 1, updated_at = now()
    where organization_id = ${organizationId} and id = any(${[...ids]}::text[])`;
}

type Hold = { by: string; reason: string; untilNewerRevision: boolean };

export async function holdDevices(tx: Db, organizationId: string, ids: readonly string[], hold: Hold): Promise<void> {
  await tx`
    update devices d set held_at = now(), held_by = ${hold.by}, hold_reason = ${hold.reason}, hold_until_newer = ${hold.untilNewerRevision},
      hold_revision_id = d.good_revision_id, sync_status = ${statusAfterSql(tx, 'hold_set')},
      sync_since = case when d.sync_status = ${statusAfterSql(tx, 'hold_set')} then d.sync_since else now() end, version = d.version + 1, updated_at = now()
    where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[])`;
}

export async function releaseDevices(tx: Db, organizationId: string, ids: readonly string[]): Promise<void> {
  await tx`
    update devices d set held_at = null, held_by = null, hold_reason = null, hold_until_newer = false, hold_revision_id = null,
      sync_status = ${statusAfterSql(tx, 'hold_ended')},
      sync_since = case when d.sync_status = ${statusAfterSql(tx, 'hold_ended')} then d.sync_since else now() end, version = d.version + 1, updated_at = now()
    where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[])`;
}

export async function labelDevices(
  tx: Db,
  organizationId: string,
  ids: readonly string[],
  change: { set: Readonly<Record<string, string>>; remove: readonly string[] },
): Promise<void> {
  await tx`
    update devices d set labels = ${labelled(tx, change)}, version = d.version + 1, updated_at = now()
    where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[])`;
}

export async function moveToSite(tx: Db, organizationId: string, ids: readonly string[], siteId: string | null): Promise<void> {
  await tx`
    update devices set site_id = ${siteId}, version = version + 1, updated_at = now()
    where organization_id = ${organizationId} and id = any(${[...ids]}::text[])`;
}

export async function standingOf(sql: Db, organizationId: string, ids: readonly string[]): Promise<DeviceStanding[]> {
  return sql<DeviceStanding[]>`
    select ${standing(sql)} from devices d where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[]) order by d.id`;
}

/** The bundles of the devices' folders. */
export async function folderBundles(
  sql: Db,
  organizationId: string,
  ids: readonly string[],
): Promise<{ deviceId: string; bundle: string; revisionId: string | null }[]> {
  return sql<{ deviceId: string; bundle: string; revisionId: string | null }[]>`
    select d.id as "deviceId", p.bundle, p.revision_id as "revisionId"
    from devices d join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
    where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[]) and p.bundle is not null order by d.id`;
}
