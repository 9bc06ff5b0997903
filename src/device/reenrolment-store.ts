import type { Db } from '../db/connect.ts';
import type { DeviceStanding } from './events.ts';
import { standing, statusAfterSql } from './store/status.ts';

/** Request of a machine to enrol under the id of a registered device, and the operator's decision. */
export type Reenrolment = {
  /** Id of the machine; null where its agent does not send one. */
  machine: string | null;
  address: string | null;
  requestedAt: Date | null;
  lastRequestedAt: Date | null;
  allowedUntil: Date | null;
  allowedMachine: string | null;
  allowedBy: string | null;
};

const columns = (sql: Db) => sql`
  instance as machine, address, requested_at as "requestedAt", last_requested_at as "lastRequestedAt", allowed_until as "allowedUntil",
  allowed_instance as "allowedMachine", allowed_by as "allowedBy"`;

export async function reenrolmentOf(sql: Db, organizationId: string, deviceId: string): Promise<Reenrolment | undefined> {
  const [row] = await sql<Reenrolment[]>`
    select ${columns(sql)} from device_reenrolments where organization_id = ${organizationId} and device_id = ${deviceId}`;
  return row;
}

export type RegisteredDevice = {
  organizationId: string;
  tokenId: string;
  /** The token registered this device. Enrolling it again takes no further use of the token. */
  isOwnToken: boolean;
  /** The token admits registered devices without an operator. */
  admitsRegistered: boolean;
};

/** Reads and locks the registered device of that id in the organization of a valid token. A used-up token stays valid for the device that it registered. */
export async function registeredDevice(tx: Db, hash: Buffer, deviceId: string): Promise<RegisteredDevice | undefined> {
  const [row] = await tx<RegisteredDevice[]>`
    select t.organization_id as "organizationId", t.id as "tokenId", d.enrolment_token_id is not distinct from t.id as "isOwnToken",
      t.reenrol and (t.source_id is null or t.source_id = d.source_id) and (t.site_id is null or t.site_id = d.site_id) as "admitsRegistered"
    from enrolment_tokens t join devices d on d.organization_id = t.organization_id and d.id = ${deviceId}
    where t.hash = ${hash} and t.expires_at > now() and (t.uses_left > 0 or d.enrolment_token_id = t.id) for update of d`;
  return row;
}

/** A machine that pauses longer than this makes a new request. */
const SAME_REQUEST_SECONDS = 3_600;

/** @returns whether the request is new: the first one, one of another machine, or one after a long pause */
export async function noteRequest(
  tx: Db,
  organizationId: string,
  deviceId: string,
  { machine, address }: { machine: string | null; address: string },
): Promise<boolean> {
  const before = await reenrolmentOf(tx, organizationId, deviceId);
  const recently = Date.now() - SAME_REQUEST_SECONDS * 1000;
  const isNew = before?.lastRequestedAt == null || before.machine !== machine || before.lastRequestedAt.getTime() < recently;
  await tx`
    insert into device_reenrolments (organization_id, device_id, instance, address, requested_at, last_requested_at)
    values (${organizationId}, ${deviceId}, ${machine}, ${address}, now(), now())
    on conflict (organization_id, device_id) do update set instance = excluded.instance, address = excluded.address, last_requested_at = now(),
      requested_at = case when ${isNew} then now() else device_reenrolments.requested_at end`;
  return isNew;
}

/** Admits the machine of the last request. Without a request, it admits any machine with a valid token. */
export async function allowReenrolment(
  tx: Db,
  organizationId: string,
  deviceId: string,
  { seconds, by }: { seconds: number; by: string },
): Promise<void> {
  await tx`
    insert into device_reenrolments (organization_id, device_id, allowed_until, allowed_by)
    values (${organizationId}, ${deviceId}, now() + make_interval(secs => ${seconds}), ${by})
    on conflict (organization_id, device_id) do update set allowed_until = excluded.allowed_until, allowed_by = excluded.allowed_by,
      allowed_instance = device_reenrolments.instance`;
}

/** @returns false when there was no request to delete */
export async function forgetReenrolment(tx: Db, organizationId: string, deviceId: string): Promise<boolean> {
  const result = await tx`delete from device_reenrolments where organization_id = ${organizationId} and device_id = ${deviceId}`;
  return result.count === 1;
}

/** Resets a device for its enrolment: it deletes its keys and reported state. The device may enrol again with the same token until its first report. */
export async function resetForEnrolment(
  tx: Db,
  organizationId: string,
  deviceId: string,
  tokenId: string,
): Promise<DeviceStanding | undefined> {
  await tx`delete from device_keys where organization_id = ${organizationId} and device_id = ${deviceId}`;
  const [device] = await tx<DeviceStanding[]>`
    update devices d set enrolment_token_id = ${tokenId}, sync_status = ${statusAfterSql(tx, 'drift_gone')}, reported_bundle = null, reported_at = null, reported_sequence = 0, drifted_paths = null,
      last_seen_at = null, connectivity = 'unknown', version = version + 1, updated_at = now()
    where d.organization_id = ${organizationId} and d.id = ${deviceId}
    returning ${standing(tx)}`;
  return device;
}

export async function takeTokenUse(tx: Db, organizationId: string, tokenId: string): Promise<void> {
  await tx`update enrolment_tokens set uses_left = uses_left - 1 where organization_id = ${organizationId} and id = ${tokenId} and uses_left > 0`;
}
