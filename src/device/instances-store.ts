import type { Db } from '../db/connect.ts';
import type { Unit } from '../event/transact.ts';
import type { Device } from './device.ts';
import { CLONES_FORGOTTEN_AFTER_SECONDS, type InstanceState, machineOf, stateAfterRequest } from './instance.ts';

/** Agent and address that sent a request with a device's key. */
export type Sender = { instance: string | null; address: string };
export type SeenInstance = { instance: string; address: string; lastSeenAt: Date };

/** Agents kept per device: enough to recognize one of several clones. */
const KEPT = 8;

/** Records which agents use the keys of these devices, and emits an event once two agents use one key in turn. The caller holds the devices' locks. */
export async function noteInstances(unit: Unit, devices: readonly Device[], senders: ReadonlyMap<string, Sender>): Promise<void> {
  const strangers = devices.flatMap((device) => {
    const sender = senders.get(device.id);
    return sender?.instance == null || sender.instance === device.instance
      ? []
      : [{ device, instance: sender.instance, address: sender.address }];
  });
  if (strangers.length === 0) return;
  const now = new Date();
  const organizationId = strangers[0]?.device.organizationId ?? '';
  const known = await instancesOf(
    unit.tx,
    organizationId,
    strangers.map(({ device }) => device.id),
  );
  const changes = strangers.flatMap(({ device, instance, address }) => {
    const seen = known.get(device.id) ?? [];
    const isKnown = seen.some((other) => other.instance === instance);
    const next = stateAfterRequest(device, instance, isKnown, now);
    return next === null ? [] : [{ device, next, agent: { instance, address, lastSeenAt: now }, seen }];
  });
  if (changes.length === 0) return;
  await setStates(unit.tx, organizationId, changes);
  await noteAgents(unit.tx, organizationId, changes);
  for (const { device, next, agent, seen } of changes) {
    if (next.clonedSince === null || device.clonedSince !== null) continue;
    const agents = [agent, ...seen.filter(({ instance }) => instance !== agent.instance)].slice(0, 2);
    const data = { detail: describeClones(agents), agents: agents.map(({ lastSeenAt: _at, ...shown }) => shown) };
    unit.emit({ organizationId, type: 'device.cloned', subject: `device:${device.id}`, data });
  }
}

type InstanceChange = { device: Device; next: InstanceState; agent: SeenInstance };

async function setStates(tx: Db, organizationId: string, changes: readonly InstanceChange[]): Promise<void> {
  const rows = changes.map(({ device: { id }, next }) => ({
    id,
    instance: next.instance,
    since: next.instanceSince?.toISOString() ?? null,
    returns: next.instanceReturns,
    returned_at: next.instanceReturnedAt?.toISOString() ?? null,
    cloned_since: next.clonedSince?.toISOString() ?? null,
  }));
  await tx`
    update devices d set instance = w.instance, instance_since = w.since, instance_returns = w.returns, instance_returned_at = w.returned_at,
      cloned_since = w.cloned_since
    from jsonb_to_recordset(${tx.json(rows)}) as w (id text, instance text, since timestamptz, returns integer, returned_at timestamptz, cloned_since timestamptz)
    where d.organization_id = ${organizationId} and d.id = w.id`;
}

/** Keeps the last `KEPT` agents of each device. */
async function noteAgents(tx: Db, organizationId: string, changes: readonly InstanceChange[]): Promise<void> {
  const ids = changes.map(({ device }) => device.id);
  await tx`
    insert into device_instances (organization_id, device_id, instance, address, last_seen_at)
    select ${organizationId}::uuid, device_id, instance, address, last_seen_at
    from unnest(${ids}::text[], ${changes.map(({ agent }) => agent.instance)}::text[], ${changes.map(({ agent }) => agent.address)}::text[],
                ${changes.map(({ agent }) => agent.lastSeenAt.toISOString())}::timestamptz[]) as w (device_id, instance, address, last_seen_at)
    on conflict (organization_id, device_id, instance) do update set address = excluded.address, last_seen_at = excluded.last_seen_at`;
  await tx`
    delete from device_instances i using (
      select device_id, instance, row_number() over (partition by device_id order by last_seen_at desc) as place
      from device_instances where organization_id = ${organizationId} and device_id = any(${ids}::text[])
    ) old where old.place > ${KEPT} and i.organization_id = ${organizationId} and i.device_id = old.device_id and i.instance = old.instance`;
}

/** Reads the agents by device, the most recent first. */
export async function instancesOf(sql: Db, organizationId: string, deviceIds: readonly string[]): Promise<Map<string, SeenInstance[]>> {
  const rows = await sql<(SeenInstance & { deviceId: string })[]>`
    select device_id as "deviceId", instance, address, last_seen_at as "lastSeenAt" from device_instances
    where organization_id = ${organizationId} and device_id = any(${[...deviceIds]}::text[]) order by last_seen_at desc`;
  return Map.groupBy(rows, (row) => row.deviceId);
}

/** Sets the agent that has just received the device's key, and forgets the agents of older keys. */
export async function setInstance(tx: Db, organizationId: string, deviceId: string, instance: string | null): Promise<void> {
  await tx`delete from device_instances where organization_id = ${organizationId} and device_id = ${deviceId}`;
  await tx`
    update devices set instance = ${instance}, instance_since = case when ${instance}::text is not null then now() end, instance_returns = 0, instance_returned_at = null, cloned_since = null
    where organization_id = ${organizationId} and id = ${deviceId}`;
}

/** Clears the mark of devices whose key only one agent still uses. @returns those that no longer count as cloned */
export async function endClones(tx: Db): Promise<{ organizationId: string; id: string }[]> {
  return tx<{ organizationId: string; id: string }[]>`
    update devices set cloned_since = null, instance_returns = 0
    where cloned_since is not null and instance_returned_at < now() - make_interval(secs => ${CLONES_FORGOTTEN_AFTER_SECONDS})
    returning organization_id as "organizationId", id`;
}

/** `machine 1a2b at 10.0.0.5 and machine 3c4d at 10.0.0.9` */
export function describeClones(agents: readonly SeenInstance[]): string {
  const machines = agents.slice(0, 2).map(({ instance, address }) => `machine ${machineOf(instance)} at ${address}`);
  const [first, second] = agents.map(({ instance }) => machineOf(instance));
  return `Two agents use this device's key in turn: ${machines.join(' and ')}${first === second ? ' (one machine, or a copy of its whole disk)' : ''}`;
}
