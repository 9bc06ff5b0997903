import { doubled } from '../async/backoff.ts';
import { storableText } from '../wire/text/text.ts';
import type { Db } from './connect.ts';
import type { QueueName } from './queue.ts';

/** The subject of a job shows its failures from this many in a row. */
export const FAILURES_TO_SHOW = 3;
const RETRY_SECONDS = { base: 2, cap: 300 };
const MAX_ERROR_CHARACTERS = 1_000;

/** A job whose last run, and perhaps earlier ones, ended with an unexpected error. */
export type JobFailure = { queue: QueueName; key: string; failures: number; isDue: boolean };

/** Counts a failure. The pause before the next attempt doubles from 2 s to 5 min, less up to a quarter. @param random in [0, 1) */
export async function noteJobFailure(
  sql: Db,
  { queue, key }: { queue: QueueName; key: string },
  error: { text: string; deviceIds: readonly string[] | null },
  random: number,
): Promise<{ failures: number; retryInSeconds: number; retryAt: Date }> {
  const text = storableText(error.text.slice(0, MAX_ERROR_CHARACTERS));
  const devices = error.deviceIds === null ? null : [...error.deviceIds];
  const share = 1 - random / 4;
  const pause = (failures: number) => doubled(RETRY_SECONDS, failures) * share;
  const [row] = await sql<[{ failures: number; retryAt: Date }]>`
    insert into job_failures as f (queue, key, error, device_ids, retry_at)
    values (${queue}, ${key}, ${text}, ${devices}::text[], now() + make_interval(secs => ${pause(1)}))
    on conflict (queue, key) do update set failures = f.failures + 1, error = excluded.error, device_ids = excluded.device_ids,
      retry_at = now() + make_interval(secs => least(${RETRY_SECONDS.cap}, ${RETRY_SECONDS.base} * 2 ^ least(f.failures, 20)) * ${share})
    returning failures, retry_at as "retryAt"`;
  return { ...row, retryInSeconds: Math.ceil(pause(row.failures)) };
}

/** @returns how often the job had failed */
export async function clearJobFailure(sql: Db, queue: QueueName, key: string): Promise<number> {
  const [row] = await sql<{ failures: number }[]>`delete from job_failures where queue = ${queue} and key = ${key} returning failures`;
  return row?.failures ?? 0;
}

/** Lists the jobs that are due first. */
export async function jobFailures(sql: Db, limit: number): Promise<JobFailure[]> {
  return sql<JobFailure[]>`select queue, key, failures, retry_at <= now() as "isDue" from job_failures order by retry_at limit ${limit}`;
}

/** Makes the jobs due at once, since an operator changed their subjects. */
export async function retryJobsNow(tx: Db, jobs: readonly { queue: QueueName; key: string }[]): Promise<void> {
  if (jobs.length === 0) return;
  await tx`
    update job_failures f set retry_at = now()
    from unnest(${jobs.map((job) => job.queue)}::text[], ${jobs.map((job) => job.key)}::text[]) as j (queue, key)
    where f.queue = j.queue and f.key = j.key`;
}

export type ShownFailure = { queue: QueueName; error: string; since: Date; retryAt: Date };

/** Lists the failing jobs of the organization that concern this device. */
export async function failuresForDevice(sql: Db, organizationId: string, deviceId: string): Promise<ShownFailure[]> {
  return sql<ShownFailure[]>`
    select queue, error, since, retry_at as "retryAt" from job_failures
    where queue in ('workspace', 'deployment') and key = ${organizationId} and failures >= ${FAILURES_TO_SHOW}
      and (device_ids is null or ${deviceId} = any(device_ids)) order by queue`;
}

/** Counts by queue the jobs that failed often enough to be shown. */
export async function failingJobCounts(sql: Db): Promise<{ queue: string; count: number }[]> {
  return sql`select queue, count(*)::int as count from job_failures where failures >= ${FAILURES_TO_SHOW} group by queue`;
}
