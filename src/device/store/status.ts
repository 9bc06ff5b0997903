import type { Db } from '../../db/connect.ts';
import type { SyncStatus } from '../device.ts';
import type { DeviceStanding } from '../events.ts';
import { SYNC_RULES, type SyncCause } from '../sync.ts';

/** The statements that change what devices are to run, and how they stand. */

type Owner = { organizationId: string; sourceId: string };

/** `statusAfter` as an expression over a row `d` of devices as it was before the statement, for statements about many devices. */
export function statusAfterSql(sql: Db, cause: SyncCause) {
  const { status, held, empty, ends } = SYNC_RULES[cause];
  if (held === undefined && empty === undefined && ends === undefined) return sql`${status}`;
  return sql`case ${ends === undefined ? sql`` : sql`when d.sync_status <> all(${[...ends]}::text[]) then d.sync_status`}
    ${held === undefined ? sql`` : sql`when d.held_at is not null then ${held}`}
    ${empty === undefined ? sql`` : sql`when d.good_bundle is null then ${empty}`} else ${status} end`;
}

/** The columns of a row `d` of devices that events carry. */
export const standing = (sql: Db) => sql`d.organization_id as "organizationId", d.id, d.sync_status as "syncStatus", d.connectivity`;

export async function setSyncStatus(tx: Db, organizationId: string, id: string, status: SyncStatus): Promise<void> {
  await tx`
    update devices d set sync_status = ${status}, sync_since = now(), updated_at = now()
    where d.organization_id = ${organizationId} and d.id = ${id} and d.sync_status <> ${status}`;
}

export type OpenedAttempt = { id: string; deviceId: string; bundle: string; revisionId: string | null };

/**
 * Makes each attempt the present one of its device. The caller holds the devices' locks.
 * @param options `forgets`: the devices may try what they keep in quarantine
 */
export async function assignAttempts(
  tx: Db,
  organizationId: string,
  attempts: readonly OpenedAttempt[],
  { force, forgets }: { force: boolean; forgets: boolean },
): Promise<void> {
  await tx`
    update devices d set desired_bundle = o.bundle, desired_revision_id = o.revision_id, desired_force = ${force},
      deployment_id = o.id, sequence = d.sequence + 1, sync_status = ${statusAfterSql(tx, 'queued')}, sync_since = now(), error_code = null, error_detail = null,
      quarantined_bundle = case when ${forgets} or d.quarantined_bundle = o.bundle then null else d.quarantined_bundle end, updated_at = now()
    from unnest(${attempts.map((a) => a.id)}::uuid[], ${attempts.map((a) => a.deviceId)}::text[], ${attempts.map((a) => a.bundle)}::text[],
                ${attempts.map((a) => a.revisionId)}::uuid[]) as o (id, device_id, bundle, revision_id)
    where d.organization_id = ${organizationId} and d.id = o.device_id`;
}

/** `isRevert`: an aborted rollout leads the device back; what it ran before is what failed. */
export type FailedAttempt = { deviceId: string; bundle: string; code: string; detail: string; isRevert: boolean };

/**
 * After failed attempts: each device is to run its last good bundle again, and keeps the failed one in quarantine. Rollouts leave that alone
 * until the folder changes; a retry that is due, or an operator, may still try it. A way back that failed stays what is wanted.
 */
export async function returnToGood(tx: Db, organizationId: string, failed: readonly FailedAttempt[]): Promise<DeviceStanding[]> {
  if (failed.length === 0) return [];
  return tx<DeviceStanding[]>`
    update devices d set desired_bundle = case when f.way_back = 'true' then desired_bundle else good_bundle end,
      desired_revision_id = case when f.way_back = 'true' then desired_revision_id else good_revision_id end, desired_force = false, deployment_id = null,
      sequence = sequence + 1, sync_status = ${statusAfterSql(tx, 'failed')}, sync_since = now(), error_code = f.code, error_detail = f.detail,
      quarantined_bundle = case when f.way_back = 'true' then quarantined_bundle else f.bundle end, updated_at = now()
    from unnest(${failed.map((f) => f.deviceId)}::text[], ${failed.map((f) => f.bundle)}::text[], ${failed.map((f) => f.code)}::text[],
                ${failed.map((f) => f.detail)}::text[], ${failed.map((f) => String(f.isRevert))}::text[]) as f (device_id, bundle, code, detail, way_back)
    where d.organization_id = ${organizationId} and d.id = f.device_id
    returning ${standing(tx)}`;
}

/** Devices whose attempt was closed stay on, or return to, their last good bundle. */
export async function stayOnGood(tx: Db, organizationId: string, ids: readonly string[]): Promise<DeviceStanding[]> {
  if (ids.length === 0) return [];
  return tx<DeviceStanding[]>`
    update devices d set desired_bundle = good_bundle, desired_revision_id = good_revision_id, desired_force = false, deployment_id = null,
      sequence = sequence + 1, sync_status = ${statusAfterSql(tx, 'called_off')}, sync_since = now(), updated_at = now()
    where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[])
    returning ${standing(tx)}`;
}

/** Devices on which a bundle failed keep it in quarantine, unless they are to run it or run it well. */
export async function quarantine(tx: Db, organizationId: string, failures: readonly { deviceId: string; bundle: string }[]): Promise<void> {
  if (failures.length === 0) return;
  await tx`
    update devices d set quarantined_bundle = f.bundle
    from unnest(${failures.map((f) => f.deviceId)}::text[], ${failures.map((f) => f.bundle)}::text[]) as f (id, bundle)
    where d.organization_id = ${organizationId} and d.id = f.id and d.desired_bundle is distinct from f.bundle and d.good_bundle is distinct from f.bundle`;
}

/** Ends the holds "until a newer revision" of the devices of these folders. */
export async function endHoldsUntilNewer(tx: Db, owner: Owner, paths: readonly string[]): Promise<DeviceStanding[]> {
  if (paths.length === 0) return [];
  return tx<DeviceStanding[]>`
    update devices d set held_at = null, held_by = null, hold_reason = null, hold_until_newer = false, hold_revision_id = null,
      sync_status = ${statusAfterSql(tx, 'hold_ended')}, sync_since = case when d.sync_status = 'held' then now() else d.sync_since end,
      version = d.version + 1, updated_at = now()
    where d.organization_id = ${owner.organizationId} and d.source_id = ${owner.sourceId} and d.path = any(${[...paths]}::text[]) and d.hold_until_newer
    returning ${standing(tx)}`;
}

/** Devices whose folder now holds what they run well are in sync: a revert is no change for those that rolled back. */
export async function acceptMatching(tx: Db, owner: Owner): Promise<DeviceStanding[]> {
  return tx<DeviceStanding[]>`
    update devices d set sync_status = ${statusAfterSql(tx, 'folder_matches')}, sync_since = now(), quarantined_bundle = null,
      error_code = null, error_detail = null, updated_at = now()
    from source_paths p
    where p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
      and d.organization_id = ${owner.organizationId} and d.source_id = ${owner.sourceId} and d.sync_status in ('failed', 'rolled_back')
      and p.bundle = d.desired_bundle and p.bundle = d.good_bundle and d.held_at is null and d.deployment_id is null
    returning ${standing(tx)}`;
}

/** Devices of a source that is about to be deleted keep what they run, without a binding; its enrolment tokens bind to no source. */
export async function unbindSource(tx: Db, { organizationId, sourceId }: Owner): Promise<DeviceStanding[]> {
  await tx`update enrolment_tokens set source_id = null where organization_id = ${organizationId} and source_id = ${sourceId}`;
  return tx<DeviceStanding[]>`
    update devices d set source_id = null, path = null, following = false, sync_status = ${statusAfterSql(tx, 'source_deleted')},
      sync_since = now(), updated_at = now()
    where d.organization_id = ${organizationId} and d.source_id = ${sourceId}
    returning ${standing(tx)}`;
}

/**
 * Marks which devices of folders that were just released still run something else, so that the next check finds them. It skips all others.
 * Looked up folder by folder: see `bound` in rollout/store/fragments.ts.
 */
export async function markDiverged(tx: Db, owner: Owner, folders: readonly { path: string; bundle: string | null }[]): Promise<void> {
  if (folders.length === 0) return;
  await tx`
    update devices d set diverged = d.desired_bundle is distinct from b.bundle
    from (
      select bound.id, s.bundle
      from unnest(${folders.map((f) => f.path)}::text[], ${folders.map((f) => f.bundle)}::text[]) as s (path, bundle) cross join lateral (
        select id from devices where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and path = s.path
          and diverged <> (desired_bundle is distinct from s.bundle) offset 0
      ) bound
    ) b where d.organization_id = ${owner.organizationId} and d.id = b.id`;
}

/** Corrects which devices of released folders count as diverged. It reads all devices. @returns those that did not count as diverged and are */
export function correctDiverged(tx: Db): Promise<{ organizationId: string; id: string }[]> {
  return tx<{ organizationId: string; id: string }[]>`
    with marked as (
      update devices d set diverged = not d.diverged
      where d.following and (
        select s.released and d.diverged <> (s.bundle is distinct from d.desired_bundle)
        from source_paths s where s.organization_id = d.organization_id and s.source_id = d.source_id and s.path = d.path)
      returning d.organization_id as "organizationId", d.id, d.diverged
    ) select "organizationId", id from marked where diverged`;
}
