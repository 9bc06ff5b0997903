import type { Db } from '../../db/connect.ts';
import type { Rollout } from '../rollout.ts';
import { wanting } from './fragments.ts';

/** A change from one bundle to another that the rollout makes on several devices. */
export type BundleChange = { from: string | null; to: string; devices: number; firstDevice: string; total: number };

/** The changes of most devices: of those that the rollout started, and of those that it may still start. `total`: devices of all changes. */
export async function bundleChanges(
  sql: Db,
  rollout: Rollout,
  { deviceId, takes, limit }: { deviceId?: string | undefined; takes: boolean; limit: number },
): Promise<BundleChange[]> {
  const only = (column: ReturnType<typeof sql>) => (deviceId === undefined ? sql`` : sql`and ${column} = ${deviceId}`);
  const waiting = wanting(
    sql,
    rollout,
    (from) => sql`
    select d.id, coalesce(d.reported_bundle, d.good_bundle) as before, p.bundle as after from ${from}
      and p.bundle is not null and p.bundle is distinct from d.desired_bundle ${only(sql`d.id`)}`,
  );
  return sql<BundleChange[]>`
    with started as (
      select distinct on (t.device_id) t.device_id as id, t.previous_bundle as before, t.bundle as after from deployments t
      where t.organization_id = ${rollout.organizationId} and t.rollout_id = ${rollout.id} and t.kind in ('change', 'retry') ${only(sql`t.device_id`)}
      order by t.device_id, t.id
    ), change as (
      select * from started ${takes ? sql`union all select w.* from (${waiting}) w where not exists (select 1 from started s where s.id = w.id)` : sql``}
    )
    select before as "from", after as "to", count(*)::int as devices, min(id) as "firstDevice", (sum(count(*)) over ())::int as total
    from change where before is distinct from after group by before, after order by count(*) desc, min(id) limit ${limit}`;
}
