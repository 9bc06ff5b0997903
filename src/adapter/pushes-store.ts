import type { Db } from '../db/connect.ts';
import { type DeploymentState, OPEN_STATES } from '../deployment/deployment.ts';
import type { PreparedPush } from '../integration/provider.ts';
import type { Json } from '../wire/text/json.ts';
import type { PushChange, PushProgress, PushVerdict } from './next-step.ts';

export type PushKey = { organizationId: string; deploymentId: string };

/** A delivery that has something to do. */
export type DuePush = PushKey & {
  deviceId: string;
  adapter: string;
  bundle: string;
  /** The device's last good bundle. */
  previous: string | null;
  place: { integrationId: string; externalId: string } | null;
  /** Deliveries with the same lane share their places: the integration, or the adapter where there is none. */
  lane: string;
};

type Wanted = { adapters: readonly string[]; exceptDevices: readonly string[]; exceptLanes: readonly string[]; limit: number };

/**
 * Lists deliveries under way whose pause is over, and queued attempts, oldest first. A device's new attempt waits until the one before has ended at the
 * platform. Of several integrations with the device, the one that the push began with counts, else the primary one, else the oldest.
 */
export async function duePushes(sql: Db, organizationId: string, wanted: Wanted): Promise<DuePush[]> {
  return sql<DuePush[]>`
    with due as (
      select p.deployment_id, p.device_id, p.adapter, p.service_id from device_pushes p
      where p.organization_id = ${organizationId} and p.step <> 'done' and coalesce(p.not_before, '-infinity') <= now()
      union all
      select t.id, t.device_id, d.adapter, null from deployments t
      join devices d on d.organization_id = t.organization_id and d.id = t.device_id
      where t.organization_id = ${organizationId} and t.state = 'queued' and d.adapter = any(${[...wanted.adapters]}::text[]) and d.archived_at is null
        and not exists (select 1 from device_pushes p where p.organization_id = t.organization_id and p.device_id = t.device_id
          and (p.step <> 'done' or p.deployment_id = t.id))
    )
    select t.organization_id as "organizationId", t.id as "deploymentId", due.device_id as "deviceId", due.adapter, t.bundle, d.good_bundle as previous,
      case when a.external_id is not null then jsonb_build_object('integrationId', a.service_id, 'externalId', a.external_id) end as place,
      coalesce(a.service_id::text, due.adapter) as lane
    from due
    join deployments t on t.organization_id = ${organizationId} and t.id = due.deployment_id
    join devices d on d.organization_id = t.organization_id and d.id = t.device_id
    left join lateral (
      select a.service_id, a.external_id from device_service_assignments a
      join device_services s on s.organization_id = a.organization_id and s.id = a.service_id and s.service_type = due.adapter
      where a.organization_id = t.organization_id and a.device_id = t.device_id and a.external_id is not null
      order by a.service_id is not distinct from due.service_id desc, s.is_primary desc, s.created_at limit 1
    ) a on true
    where due.device_id <> all(${[...wanted.exceptDevices]}::text[])
      and coalesce(a.service_id::text, due.adapter) <> all(${[...wanted.exceptLanes]}::text[])
    order by t.id limit ${wanted.limit}`;
}

/** The configuration of a push under way, as `prepared.ts` sealed it; `prepared`: of one that an earlier version began. Both are null once it is done. */
export type KeptPush = { preparedSealed: string | null; prepared: PreparedPush | null };

export type PushRecord = PushProgress &
  KeptPush & {
    token: string;
    receipt: Json | null;
    detail: string | null;
    notBefore: Date | null;
  };

/** The state of the attempt, and how far its delivery has come. @returns undefined when the attempt is gone */
export async function pushState(
  sql: Db,
  { organizationId, deploymentId }: PushKey,
): Promise<{ attempt: DeploymentState; push: PushRecord | undefined } | undefined> {
  const [row] = await sql<({ attempt: DeploymentState; step: PushRecord['step'] | null } & Omit<PushRecord, 'step'>)[]>`
    select t.state as attempt, p.step, p.verdict, p.tries, p.token, p.prepared_sealed as "preparedSealed", p.prepared, p.receipt, p.detail, p.not_before as "notBefore"
    from deployments t left join device_pushes p on p.organization_id = t.organization_id and p.deployment_id = t.id
    where t.organization_id = ${organizationId} and t.id = ${deploymentId}`;
  if (row === undefined) return undefined;
  const { attempt, step, ...rest } = row;
  return { attempt, push: step === null ? undefined : { step, ...rest } };
}

/** Stores what was prepared, with the token of the change, before anything is sent. Another process may have done so already. */
export async function insertPush(sql: Db, due: DuePush, preparedSealed: string, token: string): Promise<void> {
  await sql`
    insert into device_pushes (organization_id, deployment_id, device_id, adapter, service_id, step, token, prepared_sealed)
    values (${due.organizationId}, ${due.deploymentId}, ${due.deviceId}, ${due.adapter}, ${due.place?.integrationId ?? null}, 'prepared', ${token},
            ${preparedSealed})
    on conflict (organization_id, deployment_id) do nothing`;
}

/** Allows the change to be sent, if the attempt is still open. */
export async function beginPush(sql: Db, { organizationId, deploymentId }: PushKey): Promise<void> {
  await sql`
    update device_pushes p set step = 'applying', updated_at = now()
    where p.organization_id = ${organizationId} and p.deployment_id = ${deploymentId} and p.step = 'prepared'
      and exists (select 1 from deployments t where t.organization_id = p.organization_id and t.id = p.deployment_id
        and t.state in ${sql([...OPEN_STATES])})`;
}

/** Changes the record, unless another process has taken it further. One that is done forgets the configuration: nothing puts it back any more. */
export async function savePush(
  sql: Db,
  { organizationId, deploymentId }: PushKey,
  from: PushProgress['step'],
  change: PushChange,
): Promise<void> {
  const { step, verdict, detail, receipt, waitSeconds, tries } = change;
  await sql`
    update device_pushes set step = ${step}, verdict = coalesce(${verdict ?? null}, verdict),
      detail = ${detail === undefined ? sql`detail` : detail}, receipt = ${receipt === undefined ? sql`receipt` : sql.json(receipt)},
      not_before = now() + make_interval(secs => ${waitSeconds ?? null}), tries = ${tries === undefined ? sql`tries` : tries}, updated_at = now()
      ${step === 'done' ? sql`, prepared_sealed = null, prepared = null` : sql``}
    where organization_id = ${organizationId} and deployment_id = ${deploymentId} and step = ${from}`;
}

/** Organizations with a delivery whose pause is over. */
export async function organizationsWithDuePushes(sql: Db): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select distinct organization_id as id from device_pushes where step <> 'done' and not_before <= now()`;
  return rows.map(({ id }) => id);
}

export type LatestPush = { verdict: PushVerdict | null; detail: string | null; step: PushProgress['step']; updatedAt: Date };

/** The device's newest delivery. */
export async function latestPush(sql: Db, organizationId: string, deviceId: string): Promise<LatestPush | undefined> {
  const [row] = await sql<LatestPush[]>`
    select verdict, detail, step, updated_at as "updatedAt" from device_pushes
    where organization_id = ${organizationId} and device_id = ${deviceId} order by deployment_id desc limit 1`;
  return row;
}

/** Deletes ended deliveries that are older than `days`, all but the newest of each device. */
export async function prunePushes(sql: Db, days: number): Promise<void> {
  await sql`
    delete from device_pushes p where p.step = 'done' and p.updated_at < now() - make_interval(days => ${days})
      and exists (select 1 from device_pushes n where n.organization_id = p.organization_id and n.device_id = p.device_id and n.updated_at > p.updated_at)`;
}

/** Whether an integration of this type has the device. */
export async function isAssigned(sql: Db, organizationId: string, deviceId: string, type: string): Promise<boolean> {
  const [row] = await sql<[{ found: boolean }]>`
    select exists (
      select 1 from device_service_assignments a join device_services s on s.organization_id = a.organization_id and s.id = a.service_id
      where a.organization_id = ${organizationId} and a.device_id = ${deviceId} and s.service_type = ${type} and a.external_id is not null
    ) as found`;
  return row.found;
}

/** A device that runs a delivered bundle, with no attempt under way. `appliedAt`: when its last delivery ended. */
export type AppliedDevice = { deviceId: string; bundle: string; isDrifted: boolean; appliedAt: Date };

export async function appliedDevices(sql: Db, organizationId: string, ids: readonly string[]): Promise<AppliedDevice[]> {
  return sql<AppliedDevice[]>`
    select d.id as "deviceId", d.good_bundle as bundle, d.sync_status = 'drifted' as "isDrifted", p.updated_at as "appliedAt"
    from devices d cross join lateral (
      select p.updated_at, p.verdict from device_pushes p
      where p.organization_id = d.organization_id and p.device_id = d.id order by p.deployment_id desc limit 1
    ) p
    where d.organization_id = ${organizationId} and d.id = any(${[...ids]}::text[]) and d.deployment_id is null and d.good_bundle is not null
      and d.sync_status in ('in_sync', 'unverified', 'drifted') and p.verdict in ('verified', 'unverified')`;
}

/** Sealed texts of the table, for a rotation of the secret key; `prepared.ts` seals them. */
export const SEALED_PUSHES = [
  { table: 'device_pushes', id: 'deployment_id::text', column: 'prepared_sealed', context: `'push:' || deployment_id || ':prepared'` },
] as const;
