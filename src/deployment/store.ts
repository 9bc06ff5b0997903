import type { Db } from '../db/connect.ts';
import { type DeploymentKind, type DeploymentState, OPEN_STATES, statesBefore } from './deployment.ts';

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
  /** The device is busy: it begins by itself then. */
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

/** What a set of attempts brings and why. */
export type Attempt = {
  kind: DeploymentKind;
  rolloutId?: string | null;
  wave?: number | null;
  attempt?: number;
  /** Apply even what the device has quarantined. */
  force?: boolean;
  limits?: AttemptLimits;
};

/** What a rollout's policy allows each device; null: the defaults. */
export type AttemptLimits = {
  /** For the attempt once the device has begun it. */
  timeoutSeconds: number | null;
  maxAttempts: number | null;
  /** How long a busy device may put it off. */
  busySeconds: number | null;
};

export type Target = { deviceId: string; bundle: string; revisionId: string | null };

/**
 * Gives every target an attempt: what was under way is superseded, what runs now is pinned as a backup (the last 5 per device stay), the
 * desired bundle changes. The caller holds the devices' locks.
 * @returns the new attempts' ids by device, and the attempts that they take the place of
 */
export async function openDeployments(
  tx: Db,
  organizationId: string,
  targets: readonly Target[],
  attempt: Attempt,
): Promise<{ opened: Map<string, string>; superseded: Closed[] }> {
  if (targets.length === 0) return { opened: new Map(), superseded: [] };
  const ids = targets.map((target) => target.deviceId);
  const superseded = await closeDeployments(tx, organizationId, ids, 'superseded');
  // What it went back from may be tried again once its folder has brought it something else, or when somebody says so; healing and ways back are no such thing.
  const forgets = attempt.force === true || (attempt.kind === 'change' && attempt.rolloutId != null);
  const rows = await tx<{ deviceId: string; id: string }[]>`
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
    update devices d set desired_bundle = o.bundle, desired_revision_id = o.revision_id, desired_force = ${attempt.force ?? false},
      deployment_id = o.id, sequence = d.sequence + 1, sync_status = case when d.held_at is null then 'pending' else 'held' end, sync_since = now(),
      error_code = null, error_detail = null, condemned_bundle = case when ${forgets} or d.condemned_bundle = o.bundle then null else d.condemned_bundle end, updated_at = now()
    from opened o where d.organization_id = ${organizationId} and d.id = o.device_id
    returning d.id as "deviceId", o.id`;
  await pruneBackups(tx, organizationId, ids);
  return { opened: new Map(rows.map((row) => [row.deviceId, row.id])), superseded };
}

/** Ends what is under way on these devices. @returns the attempts that were */
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

/** An attempt that something else took the place of. */
export type Closed = { deviceId: string; rolloutId: string | null };

/** `until`: RFC 3339. */
export type Deferral = { id: string; deviceId: string; until: string; reason: string };

/** Notes what busy devices put off, never beyond what their policy allows. @returns the attempts for which it allows any */
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

/** Locks nothing: callers hold the device's lock. */
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
  to: DeploymentState;
  deadlineSeconds: number | null;
  errorCode: string | null;
  errorDetail: string | null;
  retryInSeconds: number | null;
};

/**
 * Makes each move unless the state it would come from is gone. The states are put so that no plan counts on them: right after a commit to a whole fleet
 * statistics still say that next to no attempt is open, and a plan that believes them reads all of them for every one of the moves.
 * @returns ids of those that were made
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
        delivering_at = coalesce(t.delivering_at, case when ${to} in ('delivering', 'applying', 'confirming', 'succeeded') then now() end),
        applying_at = coalesce(t.applying_at, case when ${to} in ('applying', 'confirming', 'succeeded') then now() end),
        confirming_at = coalesce(t.confirming_at, case when ${to} in ('confirming', 'succeeded') then now() end),
        finished_at = case when ${to} in ('succeeded', 'failed', 'rolled_back', 'superseded', 'cancelled', 'timed_out') then now() end
      from unnest(${group.map((m) => m.id)}::uuid[], ${group.map((m) => m.deadlineSeconds)}::float8[], ${group.map((m) => m.retryInSeconds)}::float8[],
                  ${group.map((m) => m.errorCode)}::text[], ${group.map((m) => m.errorDetail)}::text[])
           as m (id, deadline_seconds, retry_seconds, error_code, error_detail)
      where t.organization_id = ${organizationId} and t.id = m.id and array_position(${statesBefore(to)}::text[], t.state) is not null
      returning t.id`;
    for (const row of rows) moved.add(row.id);
  }
  return moved;
}

/**
 * Notes that attempts failed on their devices after something else took their place: rollouts count the devices as failed, and those devices keep the bundle
 * in quarantine. The caller holds their locks.
 * @returns the rollouts concerned
 */
export async function noteLateFailures(
  tx: Db,
  organizationId: string,
  failures: readonly { id: string; code: string; detail: string }[],
): Promise<string[]> {
  if (failures.length === 0) return [];
  const rows = await tx<{ rolloutId: string | null; deviceId: string; bundle: string }[]>`
    update deployments t set error_code = f.code, error_detail = f.detail
    from unnest(${failures.map((f) => f.id)}::uuid[], ${failures.map((f) => f.code)}::text[], ${failures.map((f) => f.detail)}::text[]) as f (id, code, detail)
    where t.organization_id = ${organizationId} and t.id = f.id and t.state in ('superseded', 'cancelled') and t.error_code is null
      and t.kind in ('change', 'retry')
    returning t.rollout_id as "rolloutId", t.device_id as "deviceId", t.bundle`;
  await tx`
    update devices d set condemned_bundle = f.bundle
    from unnest(${rows.map((row) => row.deviceId)}::text[], ${rows.map((row) => row.bundle)}::text[]) as f (id, bundle)
    where d.organization_id = ${organizationId} and d.id = f.id and d.desired_bundle is distinct from f.bundle and d.good_bundle is distinct from f.bundle`;
  return [...new Set(rows.flatMap(({ rolloutId }) => rolloutId ?? []))];
}

/** For a device that answers, to begin an attempt. */
const BEGIN_TIMEOUT_SECONDS = 15 * 60;

/** Attempts whose step has run out of time, and those that a device does not begin although it has answered for long enough. */
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

/** Failed attempts whose next try is due; a paused rollout tries nothing. */
export async function retryableDeployments(sql: Db, limit: number): Promise<Deployment[]> {
  return sql<Deployment[]>`
    select ${columns(sql)} from deployments t left join rollouts r on r.organization_id = t.organization_id and r.id = t.rollout_id
    where t.retry_at <= now() and r.state is distinct from 'paused' order by t.retry_at limit ${limit}`;
}

/** `isWayBack`: a rollout that was aborted leads the device back; what it ran before is what failed. */
export type FailedAttempt = { deviceId: string; bundle: string; code: string; detail: string; isWayBack: boolean };

export function isWayBack({ kind, rolloutId }: Pick<Deployment, 'kind' | 'rolloutId'>): boolean {
  return kind === 'rollback' && rolloutId !== null;
}

/**
 * After failed attempts: each device is told to run its last good bundle again, and the failed one is condemned: rollouts leave it alone
 * until the folder changes (a retry that is due, or an operator, may still try it). A way back that failed stays what is wanted.
 */
export async function returnToGood(tx: Db, organizationId: string, failed: readonly FailedAttempt[]): Promise<void> {
  if (failed.length === 0) return;
  await tx`
    update devices d set desired_bundle = case when f.way_back = 'true' then desired_bundle else good_bundle end,
      desired_revision_id = case when f.way_back = 'true' then desired_revision_id else good_revision_id end, desired_force = false, deployment_id = null,
      sequence = sequence + 1, sync_status = 'failed', sync_since = now(), error_code = f.code, error_detail = f.detail,
      condemned_bundle = case when f.way_back = 'true' then condemned_bundle else f.bundle end, updated_at = now()
    from unnest(${failed.map((f) => f.deviceId)}::text[], ${failed.map((f) => f.bundle)}::text[], ${failed.map((f) => f.code)}::text[],
                ${failed.map((f) => f.detail)}::text[], ${failed.map((f) => String(f.isWayBack))}::text[]) as f (device_id, bundle, code, detail, way_back)
    where d.organization_id = ${organizationId} and d.id = f.device_id`;
}

/** Calls off what is under way on these devices: they stay on, or go back to, their last good bundle. The caller holds their locks. */
export async function standDown(
  tx: Db,
  organizationId: string,
  deviceIds: readonly string[],
  as: 'superseded' | 'cancelled' = 'cancelled',
): Promise<Closed[]> {
  const closed = await closeDeployments(tx, organizationId, deviceIds, as);
  await tx`
    update devices set desired_bundle = good_bundle, desired_revision_id = good_revision_id, desired_force = false, deployment_id = null,
      sequence = sequence + 1, sync_status = case when good_bundle is null then 'unmanaged' else 'in_sync' end, sync_since = now(), updated_at = now()
    where organization_id = ${organizationId} and id = any(${closed.map((attempt) => attempt.deviceId)}::text[])`;
  return closed;
}

/** Devices that have not begun their attempt of the rollout, locked in the order of their ids; and nothing that failed in it is tried again. */
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
