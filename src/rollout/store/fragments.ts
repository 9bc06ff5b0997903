import type { Db } from '../../db/connect.ts';
import { type RolloutPolicy, waveCount } from '../../policy/policy.ts';
import type { Rollout } from '../rollout.ts';

/** Parts of statements about the devices of a source: who has to be moved, who may be, and which wave takes them. */

export type Owner = { organizationId: string; sourceId: string };
type Fragment = ReturnType<typeof bound>;

/**
 * A device and its folder, for the fragments below. Looked up by the folder's whole key for each device: in a fleet of thousands that was just imported,
 * before statistics are gathered, a plain join compares all devices with all folders (31 s for 10,000, against 0.2 s). `offset 0` keeps it so.
 */
export const bound = (sql: Db, owner: Owner) => sql`
  devices d join lateral (
    select * from source_paths s where s.organization_id = d.organization_id and s.source_id = d.source_id and s.path = d.path offset 0
  ) p on true
  where d.organization_id = ${owner.organizationId} and d.source_id = ${owner.sourceId}`;

/**
 * The devices of a source that may have to be brought to what their folders hold, for `each` of the two kinds: those whose folder was changed and is not
 * released again, and those that diverged by themselves (`0011_astray.sql`). Devices that are where they are to be cost nothing.
 */
export const wanting = (sql: Db, owner: Owner, each: (from: Fragment) => Fragment) => sql`
  ${each(sql`
  source_paths p join lateral (
    select * from devices b where b.organization_id = p.organization_id and b.source_id = p.source_id and b.path = p.path offset 0
  ) d on true
  where p.organization_id = ${owner.organizationId} and p.source_id = ${owner.sourceId} and not p.released`)}
  union all
  ${each(sql`${bound(sql, owner)} and d.diverged and p.released`)}`;

/** Automation may move it, and its folder's bundle is for the device as it is now. The latter is asked by the folder's key, too. */
export const movable = (sql: Db) => sql`
  d.following and d.held_at is null
  and (select true from awaiting_evaluation e where e.organization_id = d.organization_id and e.source_id = d.source_id and e.path = d.path) is not true
  and not exists (select 1 from sites s where s.organization_id = d.organization_id and s.id = d.site_id and s.held_at is not null)`;

/** It is told to run something else than its folder's released bundle, which it has not gone back from. */
export const differs = (sql: Db) => sql`
  p.bundle is not null and p.bundle is distinct from d.desired_bundle and p.bundle is distinct from d.quarantined_bundle`;

/**
 * What its folders hold is what this rollout brings: a newer one has not changed them. In the same statement as the folders' bundles, so that a commit which
 * is stored meanwhile cannot slip through a rollout that has ended.
 */
export const newest = (sql: Db, rollout: Rollout) => sql`
  (select id from rollouts where organization_id = ${rollout.organizationId} and source_id = ${rollout.sourceId} order by position desc limit 1) = ${rollout.id}`;

/** It answers; devices that are pushed to are known to be away only by trying. */
export const reachable = (sql: Db) => sql`(d.connectivity = 'online' or d.adapter <> 'agent')`;

const never = (sql: Db) => sql`false`;

/** Whether the wave names the device. Undefined: the wave names no devices, it takes a share or the rest. */
export function naming(sql: Db, policy: RolloutPolicy, wave: number) {
  const { devices, selector } = policy.waves?.[wave] ?? {};
  if (devices !== undefined) return sql`d.id = any(${devices}::text[])`;
  return selector === undefined ? undefined : sql`d.labels @> ${sql.json(selector)}`;
}

/** The wave may take it: its own wave names it or takes anybody, and no later one names it. Who was left out of an earlier wave may come along. */
export function inWave(sql: Db, policy: RolloutPolicy, wave: number) {
  const anyOf = (indexes: number[]) =>
    indexes
      .map((index) => naming(sql, policy, index))
      .filter((fragment) => fragment !== undefined)
      .reduce((all, fragment) => sql`(${all} or ${fragment})`, never(sql));
  const indexes = [...Array(waveCount(policy)).keys()];
  if (naming(sql, policy, wave) !== undefined) return anyOf(indexes.slice(0, wave + 1));
  return sql`not ${anyOf(indexes.slice(wave + 1))}`;
}

/** The first wave that names the device; -1: no wave names it. */
export function ownWave(sql: Db, policy: RolloutPolicy) {
  const waves = (policy.waves ?? []).keys().flatMap((wave) => {
    const names = naming(sql, policy, wave);
    return names === undefined ? [] : [{ wave, names }];
  });
  return [...waves].reduceRight((otherwise, { wave, names }) => sql`case when ${names} then ${wave}::int else ${otherwise} end`, sql`-1`);
}

/** It had an attempt in the rollout: whatever became of that counts there. */
const isTaken = (sql: Db, rollout: Rollout) => sql`exists (
  select 1 from deployments t where t.organization_id = d.organization_id and t.device_id = d.id and t.rollout_id = ${rollout.id}
    and t.kind in ('change', 'retry'))`;

/** It went back from what this rollout brings, in an earlier one, and the last completed one did not bring that. */
export const isQuarantined = (sql: Db, rollout: Rollout) => sql`(
  p.bundle = d.quarantined_bundle and not p.released and not ${isTaken(sql, rollout)})`;

/** When the device confirmed what its folder holds, by the last attempt that brought it. */
export const carriedAt = (sql: Db) => sql`(
  select max(t.finished_at) from deployments t
  where t.organization_id = d.organization_id and t.device_id = d.id and t.bundle = p.bundle and t.state = 'succeeded')`;

/** Late joiners wait, where the policy says so. */
export const hasJoined = (sql: Db, rollout: Rollout) =>
  rollout.policy.lateJoiners === 'wait' && rollout.state !== 'completed'
    ? sql`d.followed_at <= (select created_at from rollouts where id = ${rollout.id})`
    : sql`true`;

/** Attempts under way, or about to be tried again, by site: for the limit per site. */
export const busySites = (sql: Db, owner: Owner, perSite: number | undefined) =>
  perSite === undefined
    ? sql`select null::uuid as site_id, 0 as open where false`
    : sql`
  select b.site_id, count(*)::int as open from deployments t join devices b on b.organization_id = t.organization_id and b.id = t.device_id
  where t.organization_id = ${owner.organizationId} and b.source_id = ${owner.sourceId} and (t.state in ('queued', 'delivering', 'applying', 'confirming') or t.retry_at is not null)
    and not (t.state = 'queued' and b.connectivity <> 'online' and b.adapter = 'agent')
  group by b.site_id`;
