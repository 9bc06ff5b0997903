import type { Db } from '../db/connect.ts';

export type Sample = { deviceId: string; at: string; metrics: Record<string, number> };

/** Inserts samples; a repeated sample is stored once. */
export async function insertTelemetry(tx: Db, organizationId: string, samples: readonly Sample[]): Promise<void> {
  if (samples.length === 0) return;
  await tx`
    insert into telemetry (organization_id, device_id, at, metrics)
    select ${organizationId}, device_id, at, metrics::jsonb
    from unnest(${samples.map((s) => s.deviceId)}::text[], ${samples.map((s) => s.at)}::timestamptz[], ${samples.map((s) => JSON.stringify(s.metrics))}::text[])
         as s (device_id, at, metrics)
    on conflict do nothing`;
}

/** Newest first. */
export async function listTelemetry(
  sql: Db,
  organizationId: string,
  deviceId: string,
  before: Date | null,
  limit: number,
): Promise<{ at: Date; metrics: Record<string, number> }[]> {
  return sql`
    select at, metrics from telemetry where organization_id = ${organizationId} and device_id = ${deviceId} ${before === null ? sql`` : sql`and at < ${before}`}
    order by at desc limit ${limit}`;
}

export async function pruneTelemetry(sql: Db, keepDays: number): Promise<number> {
  const result = await sql`delete from telemetry where at < now() - make_interval(days => ${keepDays})`;
  return result.count;
}
