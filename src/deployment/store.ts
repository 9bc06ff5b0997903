import type { Db } from '../db/connect.ts';
import type { OpenedAttempt } from '../device/store/status.ts';
import { causeOf } from './causes.ts';
import { type DeploymentKind, type DeploymentState, OPEN_STATES, STEP_TIMEOUT_SECONDS, statesBefore } from './deployment.ts';

export type Deployment = {
  organizationId: string;
  id: string;
  deviceId: string;
  rolloutId: string | null;
  wave: number | null;
  revisionId: string | null;
  bundle: string;
  previousBundle: string | null;
  kind: DeploymentKind;
  state: DeploymentState;
  attempt: number;
  /** The device was busy and begins the attempt at this time. */
  deferredUntil: Date | null;
  deferReason: string | null;
  /** null: the default. */
  maxAttempts: number | null;
  timeoutSeconds: number | null;
  errorCode: string | null;
  errorDetail: string | null;
  createdAt: Date;
  deliveringAt: Date | null;
  applyingAt: Date | null;
  confirmingAt: Date | null;
  finishedAt: Date | null;
};

const columns = (sql: Db) => sql`
  t.organization_id as "organizationId", t.id, t.device_id as "deviceId", t.rollout_id as "rolloutId", t.wave, t.revision_id as "revisionId",
  t.bundle, t.previous_bundle as "previousBundle", t.kind, t.state, t.attempt, t.deferred_until as "deferredUntil", t.defer_reason as "deferReason", t.max_attempts as "maxAttempts", t.timeout_seconds as "timeoutSeconds", t.error_code as "errorCode", t.error_detail as "errorDetail",
  t.created_at as "createdAt", t.delivering_at as "deliveringAt", t.applying_at as "applyingAt", t.confirming_at as "confirmingAt",
  t.finished_at as "finishedAt"`;

/** Common properties of a set of attempts. */
export type Attempt = {
  kind: DeploymentKind;
  rolloutId?: string | null;
  wave?: number | null;
  attempt?: number;
  /** Apply even what the device has quarantined. */
  force?: boolean;
  limits?: AttemptLimits;
};

/** Limits from a rollout's policy; null: the defaults. */
export type AttemptLimits = {
  /** Limit of the attempt, counted from its start on the device. */
  timeoutSeconds: number | null;
  maxAttempts: number | null;
  /** How long a busy device may postpone the attempt. */
  busySeconds: number | null;
};

export type Target = { deviceId: string; bundle: string; revisionId: string | null };

/**
 * Inserts an attempt for every target, and pins the running bundle as a backup; the last 5 per device are kept. The caller holds the devices' locks, and
 * makes the attempts the current ones of their devices.
 */
export async function insertDeployments(
  tx: Db,
  organizationId: string,
  targets: readonly Target[],
  attempt: Attempt,
): Promise<OpenedAttempt[]> {
  const ids = targets.map((target) => target.deviceId);
  const rows = await tx<OpenedAttempt[]>`
    with target as (
      select * from unnest(${ids}::text[], ${targets.map((t) => t.bundle)}::text[], ${targets.map((t) => t.revisionId)}::uuid[]) as t (device_id, bundle, revision_id)
    ), opened as (
      insert into deployments (organization_id, id, device_id, rollout_id, wave, revision_id, bundle, previous_bundle, kind, state, attempt,
        timeout_seconds, max_attempts, begin_before)
      select d.organization_id, uuid_v7(), d.id, ${attempt.rolloutId ?? null}, ${attempt.wave ?? null}, t.revision_id, t.bundle,
             coalesce(d.reported_bundle, d.good_bundle), ${attempt.kind}, 'queued', ${attempt.attempt ?? 1},
             ${attempt.limits?.timeoutSeconds ?? null}, ${attempt.limits?.maxAttempts ?? null}, now() + make_interval(secs => ${attempt.limits?.busySeconds ?? null})
      from target t join devices d on d.organization_id = ${organizationId} and d.id = t.device_id
      returning id, device_id, bundle, revision_id
    ), pinned as (
      insert into backups (organization_id, id, device_id, bundle, revision_id, reported_bundle, deployment_id)
      select d.organization_id, uuid_v7(), d.id, d.good_bundle, d.good_revision_id, d.reported_bundle, o.id
      from opened o join devices d on d.organization_id = ${organizationId} and d.id = o.device_id
      where d.good_bundle is not null or d.reported_bundle is not null
    )
    select id, device_id as "deviceId", bundle, revision_id as "revisionId" from opened`;
  await pruneBackups(tx, organizationId, ids);
  return rows;
}

/** Ends the open attempts of these devices. @returns the ended attempts */
export async function closeDeployments(
  tx: Db,
  organizationId: string,
  deviceIds: readonly string[],
  as: 'superseded' | 'cancelled',
): Promise<Closed[]> {
  const closed = await tx<Closed[]>`
    update deployments set state = ${as}, finished_at = now(), deadline_at = null, retry_at = null
    where organization_id = ${organizationId} and device_id = any(${[...deviceIds]}::text[]) and state in ${tx([...OPEN_STATES])}
    returning device_id as "deviceId", rollout_id as "rolloutId"`;
  await tx`
    update deployments set retry_at = null
    where organization_id = ${organizationId} and device_id = any(${[...deviceIds]}::text[]) and retry_at is not null`;
  return closed;
}

/** An attempt that was superseded or cancelled. */
export type Closed = { deviceId: string; rolloutId: string | null };

/** `until`: RFC 3339. */
export type Deferral = { id: string; deviceId: string; until: string; reason: string };

/** Records how long busy devices postpone attempts, limited by their policy. @returns the attempts that may be postponed */
export async function deferDeployments(
  tx: Db,
  organizationId: string,
  deferrals: readonly Deferral[],
): Promise<{ id: string; deviceId: string; until: Date; reason: string }[]> {
  if (deferrals.length === 0) return [];
  return tx<{ id: string; deviceId: string; until: Date; reason: string }[]>`
    update deployments t set deferred_until = least(r.until, t.begin_before), defer_reason = r.reason
    from unnest(${deferrals.map((d) => d.id)}::uuid[], ${deferrals.map((d) => d.until)}::timestamptz[], ${deferrals.map((d) => d.reason)}::text[]) as r (id, until, reason)
    where t.organization_id = ${organizationId} and t.id = r.id and t.state = 'queued' and t.begin_before > now()
    returning t.id, t.device_id as "deviceId", t.deferred_until as until, t.defer_reason as reason`;
}

const BACKUPS_KEPT = 5;

async function pruneBackups(tx: Db, organizationId: string, deviceIds: readonly string[]): Promise<void> {
  await tx`
    delete from backups b using (
      select id, row_number() over (partition by device_id order by created_at desc, id desc) as position
      from backups where organization_id = ${organizationId} and device_id = any(${[...deviceIds]}::text[])
    ) old where b.organization_id = ${organizationId} and b.id = old.id and old.position > ${BACKUPS_KEPT}`;
}

/** Takes no lock: callers hold the devices' locks. */
export async function deploymentsById(sql: Db, organizationId: string, ids: readonly string[]): Promise<Map<string, Deployment>> {
  const rows = await sql<
    Deployment[]
  >`select ${columns(sql)} from deployments t where t.organization_id = ${organizationId} and t.id = any(${[...ids]}::uuid[])`;
  return new Map(rows.map((row) => [row.id, row]));
}

export async function listDeployments(
  sql: Db,
  organizationId: string,
  deviceId: string,
  before: string | null,
  limit: number,
): Promise<Deployment[]> {
  return sql<Deployment[]>`
    select ${columns(sql)} from deployments t
    where t.organization_id = ${organizationId} and t.device_id = ${deviceId} ${before === null ? sql`` : sql`and t.id < ${before}`}
    order by t.id desc limit ${limit}`;
}

export type Move = {
  id: string;
  deviceId: string;
  to: DeploymentState;
  deadlineSeconds: number | null;
  errorCode: string | null;
  errorDetail: string | null;
  retryInSeconds: number | null;
};

/**
 * Makes each move unless the attempt's state no longer allows it. The condition on states hides them from PostgreSQL's planner on purpose. Right after a
 * commit to a whole fleet, statistics show almost no open attempt; a plan based on them reads all open attempts for every single move.
 * @returns ids of the moved attempts
 */
export async function moveDeployments(tx: Db, organizationId: string, moves: readonly Move[]): Promise<Set<string>> {
  const moved = new Set<string>();
  for (const to of new Set(moves.map((move) => move.to))) {
    const group = moves.filter((move) => move.to === to);
    const rows = await tx<{ id: string }[]>`
      update deployments t set state = ${to},
        deadline_at = case when m.deadline_seconds is null then null when t.timeout_seconds is null then now() + make_interval(secs => m.deadline_seconds)
          else coalesce(t.delivering_at, now()) + make_interval(secs => t.timeout_seconds) end,
        retry_at = case when ${to} = 'rolled_back' then t.retry_at else now() + make_interval(secs => m.retry_seconds) end,
        error_code = coalesce(m.error_code, t.error_code), error_detail = coalesce(m.error_detail, t.error_detail),
        cause = coalesce(m.cause, t.cause),
        delivering_at = coalesce(t.delivering_at, case when ${to} in ('delivering', 'applying', 'confirming', 'succeeded') then now() end),
        applying_at = coalesce(t.applying_at, case when ${to} in ('applying', 'confirming', 'succeeded') then now() end),
        confirming_at = coalesce(t.confirming_at, case when ${to} in ('confirming', 'succeeded') then now() end),
        finished_at = case when ${to} in ('succeeded', 'failed', 'rolled_back', 'superseded', 'cancelled', 'timed_out') then now() end
      from unnest(${group.map((m) => m.id)}::uuid[], ${group.map((m) => m.deadlineSeconds)}::float8[], ${group.map((m) => m.retryInSeconds)}::float8[],
                  ${group.map((m) => m.errorCode)}::text[], ${group.map((m) => m.errorDetail)}::text[], ${group.map(causeOfMove)}::text[])
           as m (id, deadline_seconds, retry_seconds, error_code, error_detail, cause)
      where t.organization_id = ${organizationId} and t.id = m.id and array_position(${statesBefore(to)}::text[], t.state) is not null
      returning t.id`;
    for (const row of rows) moved.add(row.id);
  }
  return moved;
}

function causeOfMove({ errorCode: code, errorDetail, deviceId }: Move): string | null {
  return code === null ? null : causeOf({ code, detail: errorDetail ?? '', deviceId });
}

/** A failure that a device reports after its attempt was superseded or cancelled. */
export type LateFailure = { id: string; deviceId: string; code: string; detail: string };

/** Records late failures. @returns the attempts without an earlier record */
export async function noteFailures(
  tx: Db,
  organizationId: string,
  failures: readonly LateFailure[],
): Promise<{ rolloutId: string | null; deviceId: string; bundle: string }[]> {
  return tx<{ rolloutId: string | null; deviceId: string; bundle: string }[]>`
    update deployments t set error_code = f.code, error_detail = f.detail, cause = f.cause
    from unnest(${failures.map((f) => f.id)}::uuid[], ${failures.map((f) => f.code)}::text[], ${failures.map((f) => f.detail)}::text[],
      ${failures.map(causeOf)}::text[]) as f (id, code, detail, cause)
    where t.organization_id = ${organizationId} and t.id = f.id and t.state in ('superseded', 'cancelled') and t.error_code is null
      and t.kind in ('change', 'retry')
    returning t.rollout_id as "rolloutId", t.device_id as "deviceId", t.bundle`;
}

/** Limit for an online device to begin an attempt. */
const BEGIN_TIMEOUT_SECONDS = 15 * 60;

/** Selects devices that their platform shows as offline: their attempts cannot proceed. An agent that is offline reports by itself later. */
const isAway = (sql: Db) => sql`(d.source_kind = 'EXTERNAL' and d.connectivity = 'offline' and d.adapter <> 'agent')`;

/** Gives overdue attempts of devices that are offline at their platform the whole time of their step again: the limit is about devices that could act. */
export async function deferAway(sql: Db): Promise<void> {
  const { delivering, applying, confirming } = STEP_TIMEOUT_SECONDS;
  await sql`
    update deployments t set deadline_at = now() + make_interval(secs => coalesce(t.timeout_seconds,
      case t.state when 'delivering' then ${delivering} when 'applying' then ${applying} else ${confirming} end::float8))
    from devices d
    where t.deadline_at < now() and t.state in ('delivering', 'applying', 'confirming')
      and d.organization_id = t.organization_id and d.id = t.device_id and ${isAway(sql)}`;
}

/** Attempts whose step exceeded its deadline, and queued attempts that an online device has not begun in time. */
export async function overdueDeployments(sql: Db, limit: number): Promise<Deployment[]> {
  return sql<Deployment[]>`
    (select ${columns(sql)} from deployments t where t.deadline_at < now() and t.state in ('delivering', 'applying', 'confirming')
      order by t.deadline_at limit ${limit})
    union all
    (select ${columns(sql)} from deployments t join devices d on d.organization_id = t.organization_id and d.id = t.device_id
      where t.state = 'queued' and t.created_at < now() - interval '10 seconds' and d.connectivity = 'online' and d.adapter = 'agent'
        and greatest(t.created_at, d.online_since, t.deferred_until) < now() - make_interval(secs => coalesce(t.timeout_seconds, ${BEGIN_TIMEOUT_SECONDS}))
      limit ${limit})
    limit ${limit}`;
}

/** Failed attempts whose retry is due, except those of paused rollouts. */
export async function retryableDeployments(sql: Db, limit: number): Promise<Deployment[]> {
  return sql<Deployment[]>`
    select ${columns(sql)} from deployments t left join rollouts r on r.organization_id = t.organization_id and r.id = t.rollout_id
    where t.retry_at <= now() and r.state is distinct from 'paused' order by t.retry_at limit ${limit}`;
}

export function isRevert({ kind, rolloutId }: Pick<Deployment, 'kind' | 'rolloutId'>): boolean {
  return kind === 'rollback' && rolloutId !== null;
}

/** Locks devices that have not begun their attempt of the rollout, in the order of their ids. Also drops the retries of failed attempts. */
export async function lockQueued(tx: Db, organizationId: string, rolloutId: string): Promise<string[]> {
  await tx`update deployments set retry_at = null where organization_id = ${organizationId} and rollout_id = ${rolloutId} and retry_at is not null and kind <> 'rollback'`;
  const rows = await tx<{ id: string }[]>`
    select d.id from devices d where d.organization_id = ${organizationId} and d.deployment_id in (
      select id from deployments where organization_id = ${organizationId} and rollout_id = ${rolloutId} and state = 'queued' and kind in ('change', 'retry'))
    order by d.id for update of d`;
  const still = await tx<{ id: string }[]>`
    select device_id as id from deployments where organization_id = ${organizationId} and rollout_id = ${rolloutId} and state = 'queued'
      and kind in ('change', 'retry') and device_id = any(${rows.map((row) => row.id)}::text[])`;
  return still.map((row) => row.id);
}

/** The device's newest attempt of any kind; `retryAt`: the time of its retry. */
export async function newestDeployment(
  sql: Db,
  organizationId: string,
  deviceId: string,
): Promise<(Deployment & { retryAt: Date | null }) | undefined> {
  const [row] = await sql<(Deployment & { retryAt: Date | null })[]>`
    select ${columns(sql)}, t.retry_at as "retryAt" from deployments t
    where t.organization_id = ${organizationId} and t.device_id = ${deviceId} order by t.created_at desc limit 1`;
  return row;
}

/** Ids of devices that had an attempt with a bundle of the revision, in order. */
export async function devicesOfRevision(sql: Db, organizationId: string, revisionId: string, limit: number): Promise<string[]> {
  const rows = await sql<{ deviceId: string }[]>`
    select distinct device_id as "deviceId" from deployments
    where organization_id = ${organizationId} and revision_id = ${revisionId} order by 1 limit ${limit}`;
  return rows.map((row) => row.deviceId);
}

export type Retry = Target & {
  id: string;
  attempt: number;
  rolloutId: string | null;
  wave: number | null;
  kind: DeploymentKind;
  limits: AttemptLimits;
};

/**
 * Clears the retry time of these failed attempts. The caller holds the devices' locks.
 * @returns at most one attempt per device: the newest that may be retried. Its bundle is still wanted by the folder, the device is not held, and it has no
 * other attempt under way
 */
export async function takeRetries(tx: Db, organizationId: string, ids: readonly string[]): Promise<Retry[]> {
  await tx`update deployments set retry_at = null where organization_id = ${organizationId} and id = any(${[...ids]}::uuid[])`;
  return tx<Retry[]>`
    select distinct on (t.device_id) t.id, t.device_id as "deviceId", t.bundle, t.revision_id as "revisionId", t.attempt, t.rollout_id as "rolloutId", t.wave, t.kind,
      jsonb_build_object('timeoutSeconds', t.timeout_seconds, 'maxAttempts', t.max_attempts, 'busySeconds', extract(epoch from t.begin_before - t.created_at)) as limits
    from deployments t
    join devices d on d.organization_id = t.organization_id and d.id = t.device_id
    left join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
    where t.organization_id = ${organizationId} and t.id = any(${[...ids]}::uuid[]) and d.deployment_id is null
      and (t.kind = 'rollback' or (d.held_at is null and d.following and t.bundle in (p.bundle, p.stable_bundle)))
      and not exists (select 1 from sites s where s.organization_id = d.organization_id and s.id = d.site_id and s.held_at is not null)
    order by t.device_id, t.id desc`;
}

export type AttemptKey = { organizationId: string; deviceId: string; deploymentId: string };

/** Whether each of these attempts exists, belongs to the device, and is in one of the states; in the order of the keys. */
export async function attemptsIn(sql: Db, keys: readonly AttemptKey[], states: readonly DeploymentState[]): Promise<boolean[]> {
  const rows = await sql<{ isThere: boolean }[]>`
    select t.id is not null as "isThere"
    from unnest(${keys.map((k) => k.organizationId)}::uuid[], ${keys.map((k) => k.deviceId)}::text[], ${keys.map((k) => k.deploymentId)}::uuid[])
      with ordinality as k (organization_id, device_id, deployment_id, position)
    left join deployments t on t.organization_id = k.organization_id and t.id = k.deployment_id and t.device_id = k.device_id
      and array_position(${[...states]}::text[], t.state) is not null
    order by k.position`;
  return rows.map(({ isThere }) => isThere);
}
