import type { Db } from '../../db/connect.ts';
import type { DeviceKey } from '../device.ts';
import { containing } from './filter.ts';

export type LogLine = {
  deviceId: string;
  reportId: string | null;
  deploymentId: string | null;
  at: string;
  level: string;
  message: string;
};

/** Lines kept per device. */
const LINES_KEPT = 1_000;

/** Stores log lines. A line that is reported twice is stored once. */
export async function insertLogLines(tx: Db, organizationId: string, lines: readonly LogLine[]): Promise<void> {
  if (lines.length === 0) return;
  await tx`
    insert into device_logs (organization_id, device_id, report_id, deployment_id, at, level, message)
    select ${organizationId}, device_id, report_id, deployment_id, at, level, message
    from unnest(${lines.map((l) => l.deviceId)}::text[], ${lines.map((l) => l.reportId)}::uuid[], ${lines.map((l) => l.deploymentId)}::uuid[],
                ${lines.map((l) => l.at)}::timestamptz[], ${lines.map((l) => l.level)}::text[], ${lines.map((l) => l.message)}::text[])
         as l (device_id, report_id, deployment_id, at, level, message)
    on conflict do nothing`;
}

export type StoredLine = { id: number; at: Date; level: string; message: string; deploymentId: string | null };

export type LogFilter = {
  levels?: readonly string[] | undefined;
  /** Part of the message. */
  q?: string | undefined;
  deploymentId?: string | undefined;
  /** Times of the device. */
  after?: string | undefined;
  before?: string | undefined;
};

/** Reads log lines of a device, in the order of their arrival or against it, beyond the line `place`. */
export async function listLogLines(
  sql: Db,
  { organizationId, deviceId }: DeviceKey,
  { levels, q, deploymentId, after, before }: LogFilter,
  { place, newestFirst, limit }: { place: number | null; newestFirst: boolean; limit: number },
): Promise<StoredLine[]> {
  const beyond = newestFirst ? sql`and id < ${place}` : sql`and id > ${place}`;
  return sql<StoredLine[]>`
    select id, at, level, message, deployment_id as "deploymentId" from device_logs
    where organization_id = ${organizationId} and device_id = ${deviceId} ${place === null ? sql`` : beyond}
      ${levels === undefined ? sql`` : sql`and level = any(${[...levels]}::text[])`}
      ${q === undefined ? sql`` : sql`and message ilike ${containing(q)}`}
      ${deploymentId === undefined ? sql`` : sql`and deployment_id = ${deploymentId}`}
      ${after === undefined ? sql`` : sql`and at >= ${after}`} ${before === undefined ? sql`` : sql`and at < ${before}`}
    order by id ${newestFirst ? sql`desc` : sql`asc`} limit ${limit}`;
}

export async function pruneLogLines(sql: Db): Promise<number> {
  const result = await sql`
    delete from device_logs l using (
      select organization_id, device_id, id, row_number() over (partition by organization_id, device_id order by id desc) as position from device_logs
    ) old where old.position > ${LINES_KEPT} and l.organization_id = old.organization_id and l.device_id = old.device_id and l.id = old.id`;
  return result.count;
}
