import type { Db } from '../../db/connect.ts';
import type { Json } from '../../wire/text/json.ts';
import { storableJson } from '../../wire/text/text.ts';
import type { Direction, Integration, RunCounts } from '../integration.ts';

type Owner = Pick<Integration, 'organizationId' | 'id'>;

/** A run that found no heartbeat for this time belongs to a process that died. Heartbeats are at most a third of it apart. */
export const SILENT_RUN_SECONDS = 9;

/** `walk`: all devices are read and compared. `export`: only what waits here is written to the platform. */
export type RunOperation = 'walk' | 'export';

/** One sync of an integration, from its begin to its end, also across a crash. */
export type Run = {
  id: string;
  operation: RunOperation;
  trigger: string;
  walk: number;
  /** The page that is processed next; null: the first one. */
  cursor: string | null;
  /** All pages were processed. */
  walked: boolean;
  counts: RunCounts;
  startedAt: Date;
};

const runColumns = (sql: Db) => sql`
  run_id as id, operation, trigger, walk::int as walk, cursor, walked, details as counts, started_at as "startedAt"`;

type NewRun = Pick<Run, 'id' | 'operation' | 'trigger' | 'walk' | 'counts'> & { direction: Direction; owner: string };

/** @returns undefined while another run of the integration is recorded as running, and for an integration that was removed meanwhile */
export async function beginRun(tx: Db, { organizationId, id }: Owner, run: NewRun): Promise<Run | undefined> {
  const [row] = await tx<Run[]>`
    insert into device_sync_log (organization_id, service_id, run_id, operation, direction, trigger, status, details, walk, owner, heartbeat_at)
    select organization_id, id, ${run.id}::uuid, ${run.operation}, ${run.direction}, ${run.trigger}, 'running', ${tx.json(run.counts)}::jsonb,
      ${run.walk}::bigint, ${run.owner}, now()
    from device_services where organization_id = ${organizationId} and id = ${id} for key share
    on conflict (organization_id, service_id) where device_id is null and status = 'running' do nothing
    returning ${runColumns(tx)}`;
  return row;
}

/** Takes a run over whose process gives no heartbeats. @returns undefined when there is none */
export async function takeOverRun(tx: Db, { organizationId, id }: Owner, owner: string): Promise<Run | undefined> {
  const [row] = await tx<Run[]>`
    update device_sync_log set owner = ${owner}, heartbeat_at = now()
    where organization_id = ${organizationId} and service_id = ${id} and device_id is null and status = 'running'
      and heartbeat_at < now() - make_interval(secs => ${SILENT_RUN_SECONDS})
    returning ${runColumns(tx)}`;
  return row;
}

/** Integrations with a run whose process gives no heartbeats. */
export async function silentRuns(sql: Db, limit: number): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select service_id as id from device_sync_log
    where device_id is null and status = 'running' and heartbeat_at < now() - make_interval(secs => ${SILENT_RUN_SECONDS}) limit ${limit}`;
  return rows.map(({ id }) => id);
}

type Owned = Owner & { owner: string };
export type Progress = Pick<Run, 'cursor' | 'walked' | 'counts'>;

/** Stores how far the run has come. @returns false when another process has taken the run over: nothing more may be written */
export async function noteProgress(tx: Db, { organizationId, id, owner }: Owned, { cursor, walked, counts }: Progress): Promise<boolean> {
  const result = await tx`
    update device_sync_log set cursor = ${cursor}, walked = ${walked}, details = ${tx.json(counts)}, heartbeat_at = now()
    where organization_id = ${organizationId} and service_id = ${id} and device_id is null and status = 'running' and owner = ${owner}`;
  return result.count === 1;
}

/** @returns false when another process has taken the run over */
export async function beat(sql: Db, { organizationId, id, owner }: Owned): Promise<boolean> {
  const result = await sql`
    update device_sync_log set heartbeat_at = now()
    where organization_id = ${organizationId} and service_id = ${id} and device_id is null and status = 'running' and owner = ${owner}`;
  return result.count === 1;
}

/** `counts`: null leaves those of the last progress. */
export type RunOutcome = { status: 'succeeded' | 'failed'; counts: RunCounts | null; code: string | null; detail: string | null };

/** @returns the run's duration, ms; undefined when another process has taken it over */
export async function endRun(tx: Db, { organizationId, id, owner }: Owned, outcome: RunOutcome): Promise<number | undefined> {
  const [row] = await tx<{ durationMs: number }[]>`
    update device_sync_log set status = ${outcome.status}, details = ${outcome.counts === null ? tx`details` : tx.json(outcome.counts)}, error_code = ${outcome.code},
      error_detail = ${outcome.detail}, finished_at = now(), cursor = null, owner = null,
      duration_ms = least(2147483647, extract(epoch from now() - started_at) * 1000)::int
    where organization_id = ${organizationId} and service_id = ${id} and device_id is null and status = 'running' and owner = ${owner}
    returning duration_ms as "durationMs"`;
  return row?.durationMs;
}

/** Gives a run up that this process does not finish because it stops: another one takes it over at once. */
export async function releaseRun(sql: Db, { organizationId, id, owner }: Owned): Promise<void> {
  await sql`
    update device_sync_log set heartbeat_at = 'epoch'
    where organization_id = ${organizationId} and service_id = ${id} and device_id is null and status = 'running' and owner = ${owner}`;
}

/** A change of one device. `details`: per field, which side got which value in place of which. */
export type DeviceLine = {
  deviceId: string | null;
  externalId: string | null;
  operation: 'create' | 'update' | 'export' | 'archive' | 'restore' | 'link' | 'resolve';
  direction: 'import' | 'export' | null;
  status: 'succeeded' | 'failed';
  details: Record<string, Json>;
  code?: string;
  error?: string;
};

/** Logs nothing of an integration that was removed meanwhile. */
export async function logDevices(tx: Db, { organizationId, id }: Owner, runId: string, lines: readonly DeviceLine[]): Promise<void> {
  if (lines.length === 0) return;
  await tx`
    with service as materialized (select id from device_services where organization_id = ${organizationId} and id = ${id} for key share)
    insert into device_sync_log (organization_id, service_id, run_id, device_id, external_id, operation, direction, status, details, error_code,
      error_detail, finished_at)
    select ${organizationId}::uuid, service.id, ${runId}::uuid, coalesce(device_id, ''), external_id, operation, direction, status, details::jsonb,
      code, error, now()
    from unnest(${lines.map((l) => l.deviceId)}::text[], ${lines.map((l) => l.externalId)}::text[], ${lines.map((l) => l.operation)}::text[],
                ${lines.map((l) => l.direction)}::text[], ${lines.map((l) => l.status)}::text[],
                ${lines.map((l) => storableJson(JSON.stringify(l.details)))}::text[], ${lines.map((l) => l.code ?? null)}::text[],
                ${lines.map((l) => l.error ?? null)}::text[])
         as new (device_id, external_id, operation, direction, status, details, code, error) cross join service`;
}

export type LogEntry = {
  id: number;
  runId: string;
  deviceId: string | null;
  externalId: string | null;
  operation: string;
  direction: string | null;
  trigger: string | null;
  status: string;
  details: Record<string, Json>;
  errorCode: string | null;
  errorDetail: string | null;
  startedAt: Date;
  finishedAt: Date | null;
  durationMs: number | null;
};

/** `kind`: `runs`, the `devices` that they changed, or both. */
export type LogFilter = {
  kind: 'runs' | 'devices' | 'all';
  runId?: string | undefined;
  deviceId?: string | undefined;
  operation?: string | undefined;
  status?: string | undefined;
};

/** Newest first. */
export async function readSyncLog(
  sql: Db,
  { organizationId, id }: Owner,
  filter: LogFilter,
  before: number | null,
  limit: number,
): Promise<LogEntry[]> {
  return sql<LogEntry[]>`
    select id, run_id as "runId", nullif(device_id, '') as "deviceId", external_id as "externalId", operation, direction, trigger, status, details,
      error_code as "errorCode", error_detail as "errorDetail", started_at as "startedAt", finished_at as "finishedAt", duration_ms as "durationMs"
    from device_sync_log where organization_id = ${organizationId} and service_id = ${id}
      ${before === null ? sql`` : sql`and id < ${before}`}
      ${filter.kind === 'all' ? sql`` : filter.kind === 'runs' ? sql`and device_id is null` : sql`and device_id is not null`}
      ${filter.runId === undefined ? sql`` : sql`and run_id = ${filter.runId}`}
      ${filter.deviceId === undefined ? sql`` : sql`and device_id = ${filter.deviceId}`}
      ${filter.operation === undefined ? sql`` : sql`and operation = ${filter.operation}`}
      ${filter.status === undefined ? sql`` : sql`and status = ${filter.status}`}
    order by id desc limit ${limit}`;
}

/** Deletes entries older than `keepDays`, but none of a run in progress. */
export async function pruneSyncLog(sql: Db, keepDays: number): Promise<void> {
  await sql`delete from device_sync_log where started_at < now() - make_interval(days => ${keepDays}) and status <> 'running'`;
}
