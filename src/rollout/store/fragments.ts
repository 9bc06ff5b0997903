import type { Db } from '../../db/connect.ts';
import { type RolloutPolicy, waveCount } from '../../policy/policy.ts';
import type { Rollout } from '../rollout.ts';

/** SQL fragments about the devices of a source: which must change, which may change, and which wave takes them. */

export type Owner = { organizationId: string; sourceId: string };
type Fragment = ReturnType<typeof bound>;

/**
 * A device and its folder, for the fragments below. The folder is looked up by its whole key for each device. A plain join compares all devices with all
 * folders before statistics are gathered, as after an import of thousands of devices (31 s for 10,000, against 0.2 s). `offset 0` prevents that join. Archived devices take no part.
 */
export const bound = (sql: Db, owner: Owner) => sql`
  devices d join lateral (
    select * from source_paths s where s.organization_id = d.organization_id and s.source_id = d.source_id and s.path = d.path offset 0
  ) p on true
  where d.organization_id = ${owner.organizationId} and d.source_id = ${owner.sourceId} and d.archived_at is null`;

/**
 * The devices of a source that may not run their folder's bundle, of `each` of two kinds: devices whose folder was changed and is not released yet, and
 * devices that are marked as diverged (`0011_astray.sql`). Devices that run the desired bundle cost nothing.
 */
export const wanting = (sql: Db, owner: Owner, each: (from: Fragment) => Fragment) => sql`
  ${each(sql`
  source_paths p join lateral (
    select * from devices b where b.organization_id = p.organization_id and b.source_id = p.source_id and b.path = p.path offset 0
  ) d on true
  where p.organization_id = ${owner.organizationId} and p.source_id = ${owner.sourceId} and not p.released and d.archived_at is null`)}
  union all
  ${each(sql`${bound(sql, owner)} and d.diverged and p.released`)}`;

/** Automation may change the device, and its folder needs no new evaluation. The latter is looked up by the folder's key, too. */
export const movable = (sql: Db) => sql`
  d.following and d.held_at is null and d.archived_at is null
  and (select true from awaiting_evaluation e where e.organization_id = d.organization_id and e.source_id = d.source_id and e.path = d.path) is not true
  and not exists (select 1 from sites s where s.organization_id = d.organization_id and s.id = d.site_id and s.held_at is not null)`;

/** The device's desired bundle is not its folder's bundle, and the latter is not quarantined on it. */
export const differs = (sql: Db) => sql`
  p.bundle is not null and p.bundle is distinct from d.desired_bundle and p.bundle is distinct from d.quarantined_bundle`;

/**
 * The rollout is the source's newest, so that the folders hold its bundles. Checked in the statement that reads the bundles: otherwise an ended rollout
 * could deploy the bundles of a commit that is stored at the same time.
 */
export const newest = (sql: Db, rollout: Rollout) => sql`
  (select id from rollouts where organization_id = ${rollout.organizationId} and source_id = ${rollout.sourceId} order by position desc limit 1) = ${rollout.id}`;

/** The device is online. For devices with a push adapter only a delivery shows whether they are. */
export const reachable = (sql: Db) => sql`(d.connectivity = 'online' or d.adapter <> 'agent')`;

const never = (sql: Db) => sql`false`;

/** Whether the wave names the device. Undefined: the wave takes a share or the rest. */
export function naming(sql: Db, policy: RolloutPolicy, wave: number) {
  const { devices, selector } = policy.waves?.[wave] ?? {};
  if (devices !== undefined) return sql`d.id = any(${devices}::text[])`;
  return selector === undefined ? undefined : sql`d.labels @> ${sql.json(selector)}`;
}

/** The wave may take the device. A naming wave also takes devices that earlier waves name and missed. Other waves leave devices to later naming waves. */
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

/** The first wave that names the device, or -1. */
export function ownWave(sql: Db, policy: RolloutPolicy) {
  const waves = (policy.waves ?? []).keys().flatMap((wave) => {
    const names = naming(sql, policy, wave);
    return names === undefined ? [] : [{ wave, names }];
  });
  return [...waves].reduceRight((otherwise, { wave, names }) => sql`case when ${names} then ${wave}::int else ${otherwise} end`, sql`-1`);
}

/** The device had an attempt in the rollout, whose outcome counts instead of the quarantine. */
const isTaken = (sql: Db, rollout: Rollout) => sql`exists (
  select 1 from deployments t where t.organization_id = d.organization_id and t.device_id = d.id and t.rollout_id = ${rollout.id}
    and t.kind in ('change', 'retry'))`;

/** The device rolled this rollout's bundle back before the rollout, and no completed rollout established the bundle. */
export const isQuarantined = (sql: Db, rollout: Rollout) => sql`(
  p.bundle = d.quarantined_bundle and not p.released and not ${isTaken(sql, rollout)})`;

/** When the device confirmed its folder's bundle, by the last successful attempt with it. */
export const carriedAt = (sql: Db) => sql`(
  select max(t.finished_at) from deployments t
  where t.organization_id = d.organization_id and t.device_id = d.id and t.bundle = p.bundle and t.state = 'succeeded')`;

/** The device was added before the rollout, or the policy lets late joiners take part. */
export const hasJoined = (sql: Db, rollout: Rollout) =>
  rollout.policy.lateJoiners === 'wait' && rollout.state !== 'completed'
    ? sql`d.followed_at <= (select created_at from rollouts where id = ${rollout.id})`
    : sql`true`;

/** Attempts per site that are under way or wait for a retry, for the limit per site. */
export const busySites = (sql: Db, owner: Owner, perSite: number | undefined) =>
  perSite === undefined
    ? sql`select null::uuid as site_id, 0 as open where false`
    : sql`
  select b.site_id, count(*)::int as open from deployments t join devices b on b.organization_id = t.organization_id and b.id = t.device_id
  where t.organization_id = ${owner.organizationId} and b.source_id = ${owner.sourceId} and (t.state in ('queued', 'delivering', 'applying', 'confirming') or t.retry_at is not null)
    and not (t.state = 'queued' and b.connectivity <> 'online' and b.adapter = 'agent')
  group by b.site_id`;
