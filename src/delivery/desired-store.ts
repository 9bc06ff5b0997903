import type { Db } from '../db/connect.ts';
import { type DeviceKey, POLL_REPORTS_AFTER_SECONDS } from '../device/device.ts';
import type { Desired } from './desired.ts';

/** Loads desired states in one query, with an indexed look-up per device. Unknown devices are absent from the result. */
export async function loadDesired(sql: Db, keys: readonly DeviceKey[]): Promise<Omit<Desired, 'heartbeatSeconds'>[]> {
  return sql`
    select d.organization_id as "organizationId", d.id as "deviceId", d.sequence, d.source_id as "sourceId", d.deployment_id as "deploymentId",
      case when d.desired_bundle is not null then jsonb_build_object('digest', d.desired_bundle, 'size', coalesce(b.size, 0)) end as bundle,
      (select t.begin_before from deployments t where t.organization_id = d.organization_id and t.id = d.deployment_id) as "beginBefore",
      d.desired_force as force, coalesce(s.drift_policy, 'heal') as "driftPolicy", coalesce(c.commands, '[]') as commands,
      d.connectivity = 'online' and d.last_seen_at > now() - make_interval(secs => ${POLL_REPORTS_AFTER_SECONDS}) as "hasRecentReport"
    from unnest(${keys.map((key) => key.organizationId)}::uuid[], ${keys.map((key) => key.deviceId)}::text[]) as k (organization_id, id)
    join devices d on d.organization_id = k.organization_id and d.id = k.id
    left join bundles b on b.organization_id = d.organization_id and b.digest = d.desired_bundle
    left join sources s on s.organization_id = d.organization_id and s.id = d.source_id
    left join lateral (
      select jsonb_agg(jsonb_build_object('id', o.id, 'type', o.type, 'payload', o.payload,
               'expiresAt', to_char(o.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by o.created_at) as commands
      from commands o where o.organization_id = d.organization_id and o.device_id = d.id and o.state in ('queued', 'sent') and o.expires_at > now()
    ) c on true`;
}
