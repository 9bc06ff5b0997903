import type { Db } from '../../db/connect.ts';
import type { SyncStatus } from '../device.ts';
import type { DeviceStanding } from '../events.ts';
import { standing } from './status.ts';

/** Changes that the reports of a device make in its row. */
export type ReportedChange = {
  deviceId: string;
  /** The reports show that the device is online; false: a platform decides that. */
  isContact: boolean;
  /** Bundle and revision that the device has made permanent. `isLate`: its attempt had timed out, but the device shall keep the bundle. */
  good: { bundle: string; revisionId: string | null; isLate: boolean } | null;
  /** undefined: not reported. */
  reportedBundle: string | null | undefined;
  /** The device's time of that report. */
  reportedAt: string | undefined;
  reportedSequence: number | undefined;
  agentVersion: string | undefined;
  syncStatus: SyncStatus | undefined;
  driftedPaths: string[] | null | undefined;
};

/** Stores the changes of many devices in one statement. The caller holds their locks. @returns the standing of each device afterwards */
export async function noteReports(tx: Db, organizationId: string, changes: readonly ReportedChange[]): Promise<DeviceStanding[]> {
  const rows = changes.map((change) => ({
    id: change.deviceId,
    contact: change.isContact,
    reported_known: change.reportedBundle !== undefined,
    reported: change.reportedBundle ?? null,
    reported_at: change.reportedAt ?? null,
    sequence: change.reportedSequence ?? null,
    agent_version: change.agentVersion ?? null,
    good_bundle: change.good?.bundle ?? null,
    good_revision: change.good?.revisionId ?? null,
    late: change.good?.isLate ?? false,
    sync_status: change.syncStatus ?? null,
    drift_known: change.driftedPaths !== undefined,
    drifted: change.driftedPaths ?? null,
  }));
  return tx<DeviceStanding[]>`
    update devices d set last_seen_at = case when o.contact then now() else d.last_seen_at end,
      connectivity = case when o.contact then 'online' else d.connectivity end,
      online_since = case when not o.contact then d.online_since when d.connectivity = 'online' then coalesce(d.online_since, now()) else now() end,
      reported_bundle = case when o.reported_known then o.reported else d.reported_bundle end,
      reported_at = coalesce(o.reported_at, d.reported_at), reported_sequence = greatest(d.reported_sequence, coalesce(o.sequence, 0)),
      agent_version = coalesce(o.agent_version, d.agent_version),
      good_bundle = coalesce(o.good_bundle, d.good_bundle), good_revision_id = case when o.good_bundle is null then d.good_revision_id else o.good_revision end,
      deployment_id = case when o.good_bundle is null then d.deployment_id end,
      desired_bundle = case when o.late then o.good_bundle else d.desired_bundle end,
      desired_revision_id = case when o.late then o.good_revision else d.desired_revision_id end,
      sequence = d.sequence + case when o.late then 1 else 0 end,
      quarantined_bundle = case when o.late and d.quarantined_bundle = o.good_bundle then null else d.quarantined_bundle end,
      sync_status = coalesce(o.sync_status, d.sync_status),
      sync_since = case when o.sync_status <> d.sync_status then now() else d.sync_since end,
      error_code = case when o.sync_status in ('in_sync', 'unverified', 'held') then null else d.error_code end,
      error_detail = case when o.sync_status in ('in_sync', 'unverified', 'held') then null else d.error_detail end,
      drifted_paths = case when o.drift_known then o.drifted else d.drifted_paths end
    from jsonb_to_recordset(${tx.json(rows)}) as o (id text, contact boolean, reported_known boolean, reported text, reported_at timestamptz, sequence bigint, agent_version text,
      good_bundle text, good_revision uuid, late boolean, sync_status text, drift_known boolean, drifted jsonb)
    where d.organization_id = ${organizationId} and d.id = o.id
    returning ${standing(tx)}`;
}

/** Reads the diverged devices among these whose source has the drift policy `heal`, with their desired bundle. */
export async function healTargets(
  sql: Db,
  organizationId: string,
  ids: readonly string[],
): Promise<{ deviceId: string; bundle: string; revisionId: string | null }[]> {
  return sql<{ deviceId: string; bundle: string; revisionId: string | null }[]>`
    select d.id as "deviceId", d.desired_bundle as bundle, d.desired_revision_id as "revisionId"
    from devices d left join sources s on s.organization_id = d.organization_id and s.id = d.source_id
    where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[]) and coalesce(s.drift_policy, 'heal') = 'heal'`;
}
