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

type Owner = { organizationId: string; deviceId: string };

/** Newest first. */
export async function listTelemetry(
  sql: Db,
  { organizationId, deviceId }: Owner,
  { from, to, before }: { from?: string | undefined; to?: string | undefined; before: Date | null },
  limit: number,
): Promise<{ at: Date; metrics: Record<string, number> }[]> {
  return sql`
    select at, metrics from telemetry where organization_id = ${organizationId} and device_id = ${deviceId} ${before === null ? sql`` : sql`and at < ${before}`}
      ${from === undefined ? sql`` : sql`and at >= ${from}`} ${to === undefined ? sql`` : sql`and at < ${to}`}
    order by at desc limit ${limit}`;
}

/** Samples in which names of metrics are looked for. */
const RECENT = 1_000;

/** Reads the newest value of each metric among the last samples, by name. */
export async function newestMetrics(sql: Db, { organizationId, deviceId }: Owner): Promise<{ name: string; at: Date; value: number }[]> {
  return sql`
    select distinct on (m.key) m.key as name, s.at, m.value::text::float8 as value
    from (select at, metrics from telemetry where organization_id = ${organizationId} and device_id = ${deviceId} order by at desc limit ${RECENT}) s,
      jsonb_each(s.metrics) m
    where jsonb_typeof(m.value) = 'number' order by m.key, s.at desc`;
}

export type Bucket = { at: Date; min: number; avg: number; max: number; samples: number };

/** Divides the time span into buckets, and reads minimum, mean and maximum of the metric in each bucket that has samples. */
export async function seriesOf(
  sql: Db,
  { organizationId, deviceId }: Owner,
  { metric, from, to, bucketSeconds }: { metric: string; from: Date; to: Date; bucketSeconds: number },
): Promise<Bucket[]> {
  return sql<Bucket[]>`
    select ${from}::timestamptz + bucket * make_interval(secs => ${bucketSeconds}) as at, min(value), avg(value), max(value), count(*)::int as samples
    from (
      select floor(extract(epoch from at - ${from}::timestamptz) / ${bucketSeconds}::float8) as bucket, (metrics -> ${metric})::text::float8 as value
      from telemetry where organization_id = ${organizationId} and device_id = ${deviceId} and at >= ${from} and at < ${to}
        and jsonb_typeof(metrics -> ${metric}) = 'number'
    ) s group by bucket order by bucket`;
}

export async function pruneTelemetry(sql: Db, keepDays: number): Promise<number> {
  const result = await sql`delete from telemetry where at < now() - make_interval(days => ${keepDays})`;
  return result.count;
}
