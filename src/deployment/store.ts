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
  t.bundle, t.previous_bundle as "previousBundle", t.kind, t.state, t.attempt, t.error_code as "errorCode", t.error_detail as "errorDetail",
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
};

export type Target = { deviceId: string; bundle: string; revisionId: string | null };

/**
 * Devices of a source that automation may move and whose folder holds another bundle than they are told to run: followed, not held, not
 * condemned here. `deviceIds` narrows it to some. Locked in the order of their ids.
 */
export async function eligibleTargets(
  tx: Db,
  organizationId: string,
  where: { sourceId: string; deviceIds?: readonly string[] },
): Promise<Target[]> {
  return tx<Target[]>`
    select d.id as "deviceId", p.bundle, p.revision_id as "revisionId"
    from devices d join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
    where d.organization_id = ${organizationId} and d.source_id = ${where.sourceId} ${where.deviceIds === undefined ? tx`` : tx`and d.id = any(${[...where.deviceIds]}::text[])`}
      and ${eligible(tx)}
    order by d.id for update of d`;
}

export async function countEligible(sql: Db, organizationId: string, sourceId: string): Promise<number> {
  const [row] = await sql<[{ count: number }]>`
    select count(*)::int as count
    from devices d join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
    where d.organization_id = ${organizationId} and d.source_id = ${sourceId} and ${eligible(sql)}`;
  return row.count;
}

const eligible = (sql: Db) => sql`
  d.following and d.held_at is null and p.bundle is not null
  and p.bundle is distinct from d.desired_bundle and p.bundle is distinct from d.condemned_bundle`;

/**
 * Gives every target an attempt: what was under way is superseded, what runs now is pinned as a backup (the last 5 per device stay), the
 * desired bundle changes. The caller holds the devices' locks.
 * @returns the new attempts' ids by device
 */
export async function openDeployments(
  tx: Db,
  organizationId: string,
  targets: readonly Target[],
  attempt: Attempt,
): Promise<Map<string, string>> {
  if (targets.length === 0) return new Map();
  const ids = targets.map((target) => target.deviceId);
  await closeDeployments(tx, organizationId, ids, 'superseded');
  const rows = await tx<{ deviceId: string; id: string }[]>`
    with target as (
      select * from unnest(${ids}::text[], ${targets.map((t) => t.bundle)}::text[], ${targets.map((t) => t.revisionId)}::uuid[]) as t (device_id, bundle, revision_id)
    ), opened as (
      insert into deployments (organization_id, id, device_id, rollout_id, wave, revision_id, bundle, previous_bundle, kind, state, attempt)
      select d.organization_id, uuid_v7(), d.id, ${attempt.rolloutId ?? null}, ${attempt.wave ?? null}, t.revision_id, t.bundle,
             coalesce(d.reported_bundle, d.good_bundle), ${attempt.kind}, 'queued', ${attempt.attempt ?? 1}
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
      error_code = null, error_detail = null, condemned_bundle = null, updated_at = now()
    from opened o where d.organization_id = ${organizationId} and d.id = o.device_id
    returning d.id as "deviceId", o.id`;
  await pruneBackups(tx, organizationId, ids);
  return new Map(rows.map((row) => [row.deviceId, row.id]));
}

/** Ends what is under way on these devices. @returns how many attempts that were */
export async function closeDeployments(
  tx: Db,
  organizationId: string,
  deviceIds: readonly string[],
  as: 'superseded' | 'cancelled',
): Promise<number> {
  const result = await tx`
    update deployments set state = ${as}, finished_at = now(), deadline_at = null, retry_at = null
    where organization_id = ${organizationId} and device_id = any(${[...deviceIds]}::text[]) and state in ${tx([...OPEN_STATES])}`;
  await tx`
    update deployments set retry_at = null
    where organization_id = ${organizationId} and device_id = any(${[...deviceIds]}::text[]) and retry_at is not null`;
  return result.count;
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

/** Makes each move unless the state it would come from is gone. @returns ids of those that were made */
export async function moveDeployments(tx: Db, organizationId: string, moves: readonly Move[]): Promise<Set<string>> {
  const moved = new Set<string>();
  for (const to of new Set(moves.map((move) => move.to))) {
    const group = moves.filter((move) => move.to === to);
    const rows = await tx<{ id: string }[]>`
      update deployments t set state = ${to},
        deadline_at = now() + make_interval(secs => m.deadline_seconds),
        retry_at = case when ${to} = 'rolled_back' then t.retry_at else now() + make_interval(secs => m.retry_seconds) end,
        error_code = coalesce(m.error_code, t.error_code), error_detail = coalesce(m.error_detail, t.error_detail),
        delivering_at = coalesce(t.delivering_at, case when ${to} in ('delivering', 'applying', 'confirming') then now() end),
        applying_at = coalesce(t.applying_at, case when ${to} in ('applying', 'confirming') then now() end),
        confirming_at = coalesce(t.confirming_at, case when ${to} = 'confirming' then now() end),
        finished_at = case when ${to} in ('succeeded', 'failed', 'rolled_back', 'superseded', 'cancelled', 'timed_out') then now() end
      from unnest(${group.map((m) => m.id)}::uuid[], ${group.map((m) => m.deadlineSeconds)}::float8[], ${group.map((m) => m.retryInSeconds)}::float8[],
                  ${group.map((m) => m.errorCode)}::text[], ${group.map((m) => m.errorDetail)}::text[])
           as m (id, deadline_seconds, retry_seconds, error_code, error_detail)
      where t.organization_id = ${organizationId} and t.id = m.id and t.state in ${tx(statesBefore(to))}
      returning t.id`;
    for (const row of rows) moved.add(row.id);
  }
  return moved;
}

/** Attempts whose step has run out of time. */
export async function overdueDeployments(sql: Db, limit: number): Promise<Deployment[]> {
  return sql<Deployment[]>`
    select ${columns(sql)} from deployments t where t.deadline_at < now() and t.state in ('delivering', 'applying', 'confirming')
    order by t.deadline_at limit ${limit}`;
}

/** Failed attempts whose next try is due. */
export async function retryableDeployments(sql: Db, limit: number): Promise<Deployment[]> {
  return sql<Deployment[]>`select ${columns(sql)} from deployments t where t.retry_at <= now() order by t.retry_at limit ${limit}`;
}

/**
 * After failed attempts: each device is told to run its last good bundle again, and the failed one is condemned: rollouts leave it alone
 * until the folder changes (a retry that is due, or an operator, may still try it).
 */
export async function returnToGood(
  tx: Db,
  organizationId: string,
  failed: readonly { deviceId: string; bundle: string; code: string; detail: string }[],
): Promise<void> {
  if (failed.length === 0) return;
  await tx`
    update devices d set desired_bundle = good_bundle, desired_revision_id = good_revision_id, desired_force = false, deployment_id = null,
      sequence = sequence + 1, sync_status = 'failed', sync_since = now(), error_code = f.code, error_detail = f.detail,
      condemned_bundle = f.bundle, updated_at = now()
    from unnest(${failed.map((f) => f.deviceId)}::text[], ${failed.map((f) => f.bundle)}::text[], ${failed.map((f) => f.code)}::text[],
                ${failed.map((f) => f.detail)}::text[]) as f (device_id, bundle, code, detail)
    where d.organization_id = ${organizationId} and d.id = f.device_id`;
}

/** Calls off what is under way on a device: it stays on, or goes back to, its last good bundle. */
export async function standDown(tx: Db, organizationId: string, deviceId: string): Promise<void> {
  if ((await closeDeployments(tx, organizationId, [deviceId], 'cancelled')) === 0) return;
  await tx`
    update devices set desired_bundle = good_bundle, desired_revision_id = good_revision_id, desired_force = false, deployment_id = null,
      sequence = sequence + 1, sync_status = case when good_bundle is null then 'unmanaged' else 'in_sync' end, sync_since = now(), updated_at = now()
    where organization_id = ${organizationId} and id = ${deviceId}`;
}
