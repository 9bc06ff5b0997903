import type { Db } from '../../db/connect.ts';
import { isLastWave } from '../../policy/policy.ts';
import type { Evidence, RolloutSnapshot } from '../decide/snapshot.ts';
import type { Rollout } from '../rollout.ts';
import {
  busySites,
  carriedAt,
  hasJoined,
  inWave,
  isQuarantined,
  movable,
  naming,
  newest,
  ownWave,
  reachable,
  wanting,
} from './fragments.ts';

/** Counts of the devices that the rollout may start, and of those that are quarantined or blocked. */
export type Eligibility = Pick<RolloutSnapshot, 'eligible' | 'quarantined' | 'kept'>;

type Row = RolloutSnapshot['eligible'] & { kept: number; quarantined: Record<string, number> };

/** Counts in one statement, whose cost grows with the number of devices of changed folders. */
export async function eligibilityOf(sql: Db, rollout: Rollout, wave: number): Promise<Eligibility> {
  const perSite = rollout.policy.maxParallelPerSite;
  // No wave follows the last one, so that these devices block none.
  const elsewhere = isLastWave(rollout.policy, wave) ? sql`false` : isElsewhere(sql, rollout);
  const [row] = await sql<[Row]>`
    with found as (${wanting(
      sql,
      rollout,
      (from) => sql`
      select d.site_id, ${ownWave(sql, rollout.policy)} as own, ${reachable(sql)} as reachable, ${inWave(sql, rollout.policy, wave)} as mine,
        case
          when p.bundle is not distinct from d.desired_bundle then case when ${elsewhere} then 'kept' end
          when p.bundle is not distinct from d.quarantined_bundle then case when ${isQuarantined(sql, rollout)} then 'quarantined' end
          when not ${hasJoined(sql, rollout)} then null
          when ${movable(sql)} then 'eligible'
          when not p.released then 'kept' end as eligibility
      from ${from} and p.bundle is not null and (p.bundle is distinct from d.desired_bundle or ${elsewhere}) and ${newest(sql, rollout)}`,
    )}), busy as (${busySites(sql, rollout, perSite)}),
    by_site as (
      select f.site_id, count(*) as total, count(*) filter (where mine and reachable) as reachable, count(*) filter (where mine and not reachable) as away
      from found f where eligibility = 'eligible' group by f.site_id
    )
    select coalesce(sum(s.total), 0)::int as total, coalesce(sum(s.reachable), 0)::int as reachable, coalesce(sum(s.away), 0)::int as away,
      coalesce(sum(case when s.site_id is null or ${perSite ?? null}::int is null then s.reachable
        else least(s.reachable, greatest(0, ${perSite ?? null}::int - coalesce(b.open, 0))) end), 0)::int as room,
      (select count(*)::int from found where eligibility = 'kept') as kept,
      (select coalesce(jsonb_object_agg(own, n), '{}') from (select own, count(*) as n from found where eligibility = 'quarantined' group by own) q) as quarantined
    from by_site s left join busy b on b.site_id = s.site_id`;
  const { kept, quarantined, ...eligible } = row;
  return { eligible, kept, quarantined: new Map(Object.entries(quarantined).map(([own, count]) => [Number(own), count])) };
}

/** An attempt outside of this rollout deploys the folder's bundle to the device, which has not confirmed it yet. */
const isElsewhere = (sql: Db, rollout: Rollout) => sql`(
  p.bundle is not distinct from d.desired_bundle and p.bundle is distinct from d.good_bundle and d.deployment_id is not null
  and (select t.rollout_id from deployments t where t.organization_id = d.organization_id and t.id = d.deployment_id) is distinct from ${rollout.id}::uuid)`;

/** Maximum number of devices that a waiting rollout names in its detail. */
const NAMED = 10;

/**
 * Which devices of a wave run the revision's bundle, and why the others do not. A wave that takes a share has the devices that no wave names; the last wave
 * has all devices of the source.
 */
export async function evidenceOf(sql: Db, rollout: Rollout, wave: number): Promise<Evidence> {
  const { policy } = rollout;
  const named = naming(sql, policy, wave);
  const isMine = isLastWave(policy, wave) ? sql`true` : (named ?? sql`${ownWave(sql, policy)} = -1`);
  const devices = policy.waves?.[wave]?.devices ?? [];
  const [row] = await sql<[Evidence]>`
    with established as (
      select max(finished_at) as at from rollouts where organization_id = ${rollout.organizationId} and source_id = ${rollout.sourceId} and state = 'completed'
    ), member as (
      select d.id, case
          when p.verdict = 'invalid' and not p.tentative and (select at from established) is distinct from greatest(
            (select at from established), (select r.created_at from revisions r where r.organization_id = d.organization_id and r.id = p.evaluated_revision_id))
            then 'invalid'
          when p.bundle is null then 'no_bundle'
          when ${isElsewhere(sql, rollout)} and ${reachable(sql)} then 'elsewhere'
          when p.bundle = d.desired_bundle and p.bundle = d.good_bundle then 'same'
          when p.bundle = d.quarantined_bundle then 'quarantined'
          when not ${hasJoined(sql, rollout)} then 'joined_late'
          when not d.following then 'stopped'
          when d.held_at is not null then 'held'
          when exists (select 1 from sites s where s.organization_id = d.organization_id and s.id = d.site_id and s.held_at is not null) then 'site_held'
          when (select true from awaiting_evaluation e where e.organization_id = d.organization_id and e.source_id = d.source_id and e.path = d.path) then 'being_evaluated'
          when not ${reachable(sql)} then 'offline'
          else 'not_updated' end as why,
        p.released is not true as changed, ${carriedAt(sql)} as carried_at
      from devices d left join lateral (
        select * from source_paths s where s.organization_id = d.organization_id and s.source_id = d.source_id and s.path = d.path offset 0
      ) p on true
      where d.organization_id = ${rollout.organizationId} and d.source_id = ${rollout.sourceId} and d.archived_at is null and ${isMine}
      union all
      select distinct u.id, 'unknown', false, null::timestamptz from unnest(${devices}::text[]) as u (id)
      where not exists (select 1 from devices d where d.organization_id = ${rollout.organizationId} and d.id = u.id and d.source_id = ${rollout.sourceId})
    )
    select count(*)::int as members, count(*) filter (where why = 'same')::int as same, count(*) filter (where why = 'elsewhere')::int as elsewhere,
      count(*) filter (where why = 'same' and changed and ${named !== undefined})::int as carried,
      max(carried_at) filter (where why = 'same' and changed and ${named !== undefined}) as "carriedAt",
      (select count(*)::int from devices where organization_id = ${rollout.organizationId} and source_id = ${rollout.sourceId} and archived_at is null) as fleet,
      count(*) filter (where why = 'invalid' or (changed and why in ('stopped', 'held', 'site_held', 'being_evaluated'))
        or (changed and why = 'joined_late' and ${named !== undefined}))::int as kept,
      count(*) filter (where why <> 'same' and (changed or ${named !== undefined}))::int as "outTotal",
      coalesce((select jsonb_agg(jsonb_build_object('deviceId', o.id, 'why', o.why) order by o.id) from (
        select id, why from member where why <> 'same' and (changed or ${named !== undefined}) order by id limit ${NAMED}) o), '[]') as out
    from member`;
  return row;
}
