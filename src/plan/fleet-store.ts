import type { Db } from '../db/connect.ts';
import type { FolderVerdict, PlanDevice } from './plan.ts';

type Owner = { organizationId: string; sourceId: string };

/** Lists every device that is bound to the source, ordered by id, but for archived ones, which take part in nothing. */
export async function devicesOf(sql: Db, { organizationId, sourceId }: Owner): Promise<PlanDevice[]> {
  return sql<PlanDevice[]>`
    select d.id, d.path, d.labels, d.site_id as "siteId", d.following, d.held_at is not null as held,
      d.held_at is not null and d.hold_until_newer as "heldUntilNewer",
      exists (select 1 from sites s where s.organization_id = d.organization_id and s.id = d.site_id and s.held_at is not null) as "siteHeld",
      (d.connectivity = 'online' or d.adapter <> 'agent') as reachable, d.desired_bundle as "desiredBundle",
      coalesce(d.reported_bundle, d.good_bundle) as "runningBundle", d.quarantined_bundle as "quarantinedBundle"
    from devices d where d.organization_id = ${organizationId} and d.source_id = ${sourceId} and d.path is not null and d.archived_at is null order by d.id`;
}

/** The verdict and bundle of a folder in the prepared head, and the bundle that its devices should run. */
export type KnownFolder = {
  path: string;
  released: string | null;
  candidate: string | null;
  verdict: FolderVerdict;
  messages: string[];
  /** The last completed rollout delivered the folder's current content. */
  isReleased: boolean;
};

export async function knownFolders(sql: Db, { organizationId, sourceId }: Owner): Promise<KnownFolder[]> {
  return sql<KnownFolder[]>`
    select path, bundle as released, candidate_bundle as candidate, case when tentative then 'missing' else verdict end as verdict,
      array(select e->>'message' from jsonb_array_elements(errors) e) as messages, released as "isReleased"
    from source_paths where organization_id = ${organizationId} and source_id = ${sourceId} order by path`;
}
