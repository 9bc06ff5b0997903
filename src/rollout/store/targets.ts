import type { Db } from '../../db/connect.ts';
import type { Target } from '../../deployment/store.ts';
import { ACTIVE_STATES, type Rollout } from '../rollout.ts';
import { bound, busySites, differs, hasJoined, inWave, movable, newest, reachable, wanting } from './fragments.ts';

/** Locks the devices that get an attempt now, in the order of their ids. `limit` null: all. */
export async function waveTargets(
  tx: Db,
  rollout: Rollout,
  step: { wave: number; limit: number | null; takeAway: boolean },
): Promise<Target[]> {
  const perSite = rollout.policy.maxParallelPerSite;
  return tx<Target[]>`
    with busy as (${busySites(tx, rollout, perSite)}),
    wanted as (${wanting(
      tx,
      rollout,
      (from) => tx`
      select d.id, d.site_id from ${from} and ${movable(tx)} and ${differs(tx)} and ${hasJoined(tx, rollout)}
        and ${inWave(tx, rollout.policy, step.wave)} ${step.takeAway ? tx`` : tx`and ${reachable(tx)}`}`,
    )}), candidate as (
      select id, site_id, row_number() over (partition by site_id order by id) as position from wanted
    ), chosen as (
      select c.id from candidate c left join busy b on b.site_id = c.site_id
      ${perSite === undefined ? tx`` : tx`where c.site_id is null or c.position <= ${perSite}::int - coalesce(b.open, 0)`}
      order by c.id limit ${step.limit}
    )
    select d.id as "deviceId", p.bundle, p.revision_id as "revisionId"
    from ${bound(tx, rollout)} and d.id in (select id from chosen) and ${movable(tx)} and ${differs(tx)} and ${newest(tx, rollout)}
    order by d.id for update of d`;
}

/** The devices among these that may get their folder's bundle, regardless of waves. Locked in the order of their ids. */
export async function convergingTargets(tx: Db, rollout: Rollout, deviceIds: readonly string[]): Promise<Target[]> {
  return tx<Target[]>`
    select d.id as "deviceId", p.bundle, p.revision_id as "revisionId"
    from ${bound(tx, rollout)} and d.id = any(${[...deviceIds]}::text[]) and ${movable(tx)} and ${differs(tx)} and ${newest(tx, rollout)}
    order by d.id for update of d`;
}

/**
 * The devices among these that are to run neither the current rollout's bundle nor the one of the last completed rollout: they get the latter. Locked in
 * the order of their ids.
 */
export async function stableTargets(tx: Db, rollout: Rollout, deviceIds: readonly string[]): Promise<Target[]> {
  // Devices must not keep the bundle of a reverted rollout.
  const stays = rollout.state !== 'reverting' && rollout.state !== 'reverted';
  return tx<Target[]>`
    select d.id as "deviceId", p.stable_bundle as bundle, p.stable_revision_id as "revisionId"
    from ${bound(tx, rollout)} and d.id = any(${[...deviceIds]}::text[]) and ${movable(tx)} and p.stable_bundle is not null
      and p.stable_bundle is distinct from d.desired_bundle ${stays ? tx`and p.bundle is distinct from d.desired_bundle` : tx``}
      and p.stable_bundle is distinct from d.quarantined_bundle
    order by d.id for update of d`;
}

/**
 * Devices whose desired bundle is this rollout's, and the bundle to roll back to: that of the last completed rollout, else the one that they ran before.
 * Locked in the order of their ids.
 */
export async function revertTargets(tx: Db, rollout: Rollout): Promise<Target[]> {
  return tx<Target[]>`${toRevert(tx, rollout)} order by d.id for update of d`;
}

const toRevert = (tx: Db, rollout: Rollout) => tx`
    with changed as (
      select distinct on (t.device_id) t.device_id, t.previous_bundle from deployments t
      where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id} and t.kind in ('change', 'retry') order by t.device_id, t.id
    ), back as (
      select d.id, coalesce(p.stable_bundle, c.previous_bundle) as bundle, case when p.stable_bundle is not null then p.stable_revision_id end as revision_id
      from changed c join devices d on d.organization_id = ${rollout.organizationId} and d.id = c.device_id
      join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
      where d.source_id = ${rollout.sourceId} and d.desired_bundle = p.bundle
    )
    select d.id as "deviceId", b.bundle, b.revision_id as "revisionId" from back b
    join devices d on d.organization_id = ${rollout.organizationId} and d.id = b.id
    where b.bundle is not null and b.bundle is distinct from d.desired_bundle`;

/** The newest rollout of each source whose bundle one of these devices does not run yet, unless it was aborted. */
export function rolloutsWithRoomFor(sql: Db, organizationId: string, deviceIds: readonly string[]): Promise<string[]> {
  return rolloutsWanting(sql, organizationId, sql`d.id = any(${[...deviceIds]}::text[])`);
}

/** `rolloutsWithRoomFor` for all devices at a site. */
export function rolloutsOfSite(sql: Db, organizationId: string, siteId: string): Promise<string[]> {
  return rolloutsWanting(sql, organizationId, sql`d.site_id = ${siteId}`);
}

async function rolloutsWanting(sql: Db, organizationId: string, devices: ReturnType<typeof movable>): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select r.id from (
      select distinct d.source_id from devices d
      join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
      where d.organization_id = ${organizationId} and ${devices} and ${movable(sql)} and ${differs(sql)}
    ) s join lateral (
      select id, state from rollouts where organization_id = ${organizationId} and source_id = s.source_id order by position desc limit 1
    ) r on r.state in ${sql([...ACTIVE_STATES, 'completed'])}`;
  return rows.map((row) => row.id);
}

/** Active rollouts of the sources of these devices. */
export async function activeRolloutsOf(sql: Db, organizationId: string, deviceIds: readonly string[]): Promise<string[]> {
  if (deviceIds.length === 0) return [];
  const rows = await sql<{ id: string }[]>`
    select r.id from rollouts r where r.organization_id = ${organizationId} and r.state in ${sql([...ACTIVE_STATES])} and r.source_id in (
      select d.source_id from devices d where d.organization_id = ${organizationId} and d.id = any(${[...deviceIds]}::text[]))`;
  return rows.map((row) => row.id);
}

/** Rollouts with a queued attempt of one of these devices. */
export async function rolloutsAwaiting(sql: Db, organizationId: string, deviceIds: readonly string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select distinct rollout_id as id from deployments
    where organization_id = ${organizationId} and device_id = any(${[...deviceIds]}::text[]) and state = 'queued' and rollout_id is not null`;
  return rows.map((row) => row.id);
}

/** Devices whose newest attempt in the rollout failed and that do not run their folder's bundle. Locked in the order of their ids. */
export async function failedTargets(
  tx: Db,
  rollout: Rollout,
  deviceIds: readonly string[] | undefined,
): Promise<(Target & { wave: number | null })[]> {
  return tx<(Target & { wave: number | null })[]>`${toRetry(tx, rollout, deviceIds)} order by d.id for update of d`;
}

const toRetry = (tx: Db, rollout: Rollout, deviceIds?: readonly string[]) => tx`
    with failed as (
      select * from (
        select distinct on (t.device_id) t.device_id, t.wave, t.state from deployments t
        where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id} and t.kind in ('change', 'retry')
          ${deviceIds === undefined ? tx`` : tx`and t.device_id = any(${[...deviceIds]}::text[])`}
        order by t.device_id, t.id desc
      ) newest where state in ('failed', 'rolled_back', 'timed_out')
    )
    select d.id as "deviceId", p.bundle, p.revision_id as "revisionId", f.wave
    from failed f join devices d on d.organization_id = ${rollout.organizationId} and d.id = f.device_id
    join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
    where d.source_id = ${rollout.sourceId} and ${movable(tx)} and p.bundle is not null and p.bundle is distinct from d.desired_bundle`;

/** How many devices an abort cancels and rolls back, and a retry starts again, if it happened now. Locks nothing. */
export async function countTargets(
  sql: Db,
  rollout: Rollout,
): Promise<{ queued: number; underWay: number; reverted: number; retried: number }> {
  const [row] = await sql<[{ queued: number; underWay: number; reverted: number; retried: number }]>`
    select
      (select count(*)::int from deployments t where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id}
        and t.state = 'queued' and t.kind in ('change', 'retry')) as queued,
      (select count(*)::int from deployments t where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id}
        and t.state in ('delivering', 'applying', 'confirming')) as "underWay",
      (select count(*)::int from (${toRevert(sql, rollout)}) r) as reverted,
      (select count(*)::int from (${toRetry(sql, rollout)}) f) as retried`;
  return row;
}

/**
 * Timed-out attempts that a late report may still turn into a success. Their bundle is the device's desired bundle, or its folder's bundle whose rollout was
 * not aborted. In all other cases the device was ordered to roll back.
 */
export async function timedOutButWanted(tx: Db, organizationId: string, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const rows = await tx<{ id: string }[]>`
    select t.id from deployments t join devices d on d.organization_id = t.organization_id and d.id = t.device_id
    where t.organization_id = ${organizationId} and t.id = any(${[...ids]}::uuid[]) and d.deployment_id is null
      and not exists (select 1 from deployments n where n.organization_id = t.organization_id and n.device_id = t.device_id and n.id > t.id)
      and (d.desired_bundle = t.bundle or (${movable(tx)}
        and t.bundle = (select s.bundle from source_paths s where s.organization_id = d.organization_id and s.source_id = d.source_id and s.path = d.path)
        and (select r.state from rollouts r where r.organization_id = d.organization_id and r.source_id = d.source_id order by r.position desc limit 1)
          not in ('aborted', 'reverting', 'reverted')))`;
  return new Set(rows.map(({ id }) => id));
}
