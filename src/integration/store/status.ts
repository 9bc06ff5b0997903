import type { Db } from '../../db/connect.ts';
import type { Integration, RunCounts } from '../integration.ts';
import { SILENT_RUN_SECONDS } from './sync-log.ts';

export type RunStatus = {
  id: string;
  status: string;
  trigger: string | null;
  operation: string;
  counts: Partial<RunCounts>;
  errorCode: string | null;
  errorDetail: string | null;
  startedAt: Date;
  finishedAt: Date | null;
  durationMs: number | null;
  /** Its process gave a sign of life a moment ago. Otherwise it died, and the next job goes on with the run. */
  isAlive: boolean;
};

/** @returns the run in progress, and the newest one that ended */
export async function runStatusOf(
  sql: Db,
  { organizationId, id }: Pick<Integration, 'organizationId' | 'id'>,
): Promise<{ running: RunStatus | undefined; last: RunStatus | undefined }> {
  const rows = await sql<RunStatus[]>`
    select distinct on (status = 'running') run_id as id, status, trigger, operation, details as counts, error_code as "errorCode",
      error_detail as "errorDetail", started_at as "startedAt", finished_at as "finishedAt", duration_ms as "durationMs",
      coalesce(heartbeat_at, started_at) > now() - make_interval(secs => ${SILENT_RUN_SECONDS}) as "isAlive"
    from device_sync_log where organization_id = ${organizationId} and service_id = ${id} and device_id is null
    order by status = 'running', device_sync_log.id desc`;
  return { running: rows.find(({ status }) => status === 'running'), last: rows.find(({ status }) => status !== 'running') };
}

export type AssignmentFailure = { deviceId: string; code: string; detail: string; failures: number; retryAt: Date | null };

/** @returns some of the devices whose last sync failed */
export async function failingDevicesOf(
  sql: Db,
  { organizationId, id }: Pick<Integration, 'organizationId' | 'id'>,
  limit: number,
): Promise<AssignmentFailure[]> {
  return sql<AssignmentFailure[]>`
    select device_id as "deviceId", error_code as code, coalesce(error_detail, '') as detail, failures, retry_at as "retryAt"
    from device_service_assignments
    where organization_id = ${organizationId} and service_id = ${id} and error_code is not null order by device_id limit ${limit}`;
}

export type IntegrationCounts = { devices: number; failingDevices: number; openConflicts: number };

/** Counts for each of these integrations: assigned devices, those whose last sync failed, and conflicts that wait for a person. */
export async function countsOf(sql: Db, organizationId: string, ids: readonly string[]): Promise<Map<string, IntegrationCounts>> {
  const rows = await sql<(IntegrationCounts & { id: string })[]>`
    select s.id, a.devices, a."failingDevices", c."openConflicts"
    from device_services s
      cross join lateral (
        select count(*)::int as devices, count(error_code)::int as "failingDevices" from device_service_assignments
        where organization_id = s.organization_id and service_id = s.id) a
      cross join lateral (
        select count(*)::int as "openConflicts" from device_conflicts
        where organization_id = s.organization_id and service_id = s.id and state = 'open') c
    where s.organization_id = ${organizationId} and s.id = any(${[...ids]}::uuid[])`;
  return new Map(rows.map(({ id, ...counts }) => [id, counts]));
}

/** @returns ids of the organization's integrations that sync right now */
export async function runningIntegrations(sql: Db, organizationId: string): Promise<Set<string>> {
  const rows = await sql<{ id: string }[]>`
    select service_id as id from device_sync_log
    where organization_id = ${organizationId} and device_id is null and status = 'running'
      and coalesce(heartbeat_at, started_at) > now() - make_interval(secs => ${SILENT_RUN_SECONDS})`;
  return new Set(rows.map(({ id }) => id));
}
