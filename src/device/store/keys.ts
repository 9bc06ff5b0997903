import type { Db } from '../../db/connect.ts';

/** Channel that notifies every process that device keys stopped working. */
export const KEYS_CHANNEL = 'bellwether_keys';

/** Notifies all processes at commit that keys stopped working. */
export async function announceEndedKeys(tx: Db): Promise<void> {
  await tx`select pg_notify(${KEYS_CHANNEL}, '')`;
}

/** Reads the device of each key by its hash, in the order of the hashes; undefined for keys that are unknown, expired or deleted. */
export async function devicesOfKeys(
  sql: Db,
  hashes: readonly Buffer[],
): Promise<({ organizationId: string; deviceId: string } | undefined)[]> {
  const names = hashes.map((hash) => hash.toString('hex'));
  const rows = await sql<{ organizationId: string; deviceId: string; name: string }[]>`
    select d.organization_id as "organizationId", d.device_id as "deviceId", k.name
    from unnest(${names}::text[]) as k (name) join device_keys d on d.hash = decode(k.name, 'hex')
    join organizations o on o.id = d.organization_id and o.disabled_at is null
    where d.expires_at is null or d.expires_at > now()`;
  const found = new Map(rows.map(({ name, ...device }) => [name, device]));
  return names.map((name) => found.get(name));
}

export async function insertDeviceKey(
  tx: Db,
  organizationId: string,
  deviceId: string,
  key: { hash: Buffer; last4: string },
): Promise<void> {
  await tx`insert into device_keys (organization_id, device_id, hash, last4) values (${organizationId}, ${deviceId}, ${key.hash}, ${key.last4})`;
}

/** Inserts the first keys of many devices. */
export async function insertDeviceKeys(
  tx: Db,
  organizationId: string,
  keys: readonly { deviceId: string; hash: Buffer; last4: string }[],
): Promise<void> {
  await tx`
    insert into device_keys (organization_id, device_id, hash, last4)
    select ${organizationId}::uuid, id, decode(hash, 'hex'), last4
    from unnest(${keys.map((k) => k.deviceId)}::text[], ${keys.map((k) => k.hash.toString('hex'))}::text[], ${keys.map((k) => k.last4)}::text[])
         as new (id, hash, last4)`;
}

/** Lets the present keys expire after `graceSeconds`, so that a rotation needs no outage. After that only the newest key works. */
export async function expireOlderKeys(tx: Db, organizationId: string, deviceId: string, graceSeconds: number): Promise<void> {
  await tx`
    update device_keys set expires_at = least(expires_at, now() + make_interval(secs => ${graceSeconds}))
    where organization_id = ${organizationId} and device_id = ${deviceId}`;
}

export type EnrolmentToken = {
  organizationId: string;
  id: string;
  siteId: string | null;
  sourceId: string | null;
  labels: Record<string, string>;
};

type NewEnrolmentToken = EnrolmentToken & {
  hash: Buffer;
  last4: string;
  uses: number;
  expiresAt: Date;
  /** The token also admits devices that are registered already. */
  reenrol: boolean;
};

/** Whether each hash, in their order, belongs to an enrolment token that has not expired. The token may be used up. */
export async function enrolmentTokensAmong(sql: Db, hashes: readonly Buffer[]): Promise<boolean[]> {
  const names = hashes.map((hash) => hash.toString('hex'));
  const rows = await sql<{ name: string }[]>`
    select k.name from unnest(${names}::text[]) as k (name) join enrolment_tokens t on t.hash = decode(k.name, 'hex') and t.expires_at > now()
    join organizations o on o.id = t.organization_id and o.disabled_at is null`;
  const found = new Set(rows.map(({ name }) => name));
  return names.map((name) => found.has(name));
}

/**
 * Handles a device that lost its connection before it could store its first key. The token registered the device, and no request has used its key
 * since. Its keys stop working, since no device has them. If the enrolling agent sent its machine, another machine cannot take the device's place.
 */
export async function reclaimEnrolment(
  tx: Db,
  hash: Buffer,
  deviceId: string,
  machine: string | null,
): Promise<{ organizationId: string } | undefined> {
  const [row] = await tx<{ organizationId: string }[]>`
    select d.organization_id as "organizationId" from enrolment_tokens t
    join devices d on d.organization_id = t.organization_id and d.enrolment_token_id = t.id and d.id = ${deviceId}
    where t.hash = ${hash} and t.expires_at > now() and d.last_seen_at is null
      and (d.instance is null or split_part(d.instance, '.', 1) = ${machine}) for update of d`;
  if (row !== undefined) await tx`delete from device_keys where organization_id = ${row.organizationId} and device_id = ${deviceId}`;
  return row;
}

/** Takes one use of a valid token; undefined when the token is unknown, used up or expired. */
export async function useEnrolmentToken(tx: Db, hash: Buffer): Promise<EnrolmentToken | undefined> {
  const [row] = await tx<EnrolmentToken[]>`
    update enrolment_tokens set uses_left = uses_left - 1 where hash = ${hash} and uses_left > 0 and expires_at > now()
    returning organization_id as "organizationId", id, site_id as "siteId", source_id as "sourceId", labels`;
  return row;
}

export async function insertEnrolmentToken(tx: Db, token: NewEnrolmentToken): Promise<void> {
  await tx`
    insert into enrolment_tokens (organization_id, id, hash, last4, site_id, source_id, labels, uses_left, expires_at, reenrol)
    values (${token.organizationId}, ${token.id}, ${token.hash}, ${token.last4}, ${token.siteId}, ${token.sourceId}, ${tx.json(token.labels)},
            ${token.uses}, ${token.expiresAt}, ${token.reenrol})`;
}

export type StoredEnrolmentToken = Omit<NewEnrolmentToken, 'hash' | 'uses'> & { usesLeft: number; createdAt: Date };

/** Reads the tokens that have not expired, by id. A used-up one is still good for the devices that it registered. */
export async function listEnrolmentTokens(
  sql: Db,
  organizationId: string,
  afterId: string,
  limit: number,
): Promise<StoredEnrolmentToken[]> {
  return sql<StoredEnrolmentToken[]>`
    select organization_id as "organizationId", id, last4, site_id as "siteId", source_id as "sourceId", labels, uses_left as "usesLeft",
      expires_at as "expiresAt", reenrol, created_at as "createdAt"
    from enrolment_tokens where organization_id = ${organizationId} and id > ${afterId} and expires_at > now() order by id limit ${limit}`;
}

/** @returns false if there is no such token */
export async function deleteEnrolmentToken(tx: Db, organizationId: string, id: string): Promise<boolean> {
  const result = await tx`delete from enrolment_tokens where organization_id = ${organizationId} and id = ${id}`;
  return result.count === 1;
}

/** Enrolment tokens of a site that is deleted; the caller knows that they admit no device any more. */
export async function forgetSiteOfTokens(tx: Db, organizationId: string, siteId: string): Promise<void> {
  await tx`update enrolment_tokens set site_id = null where organization_id = ${organizationId} and site_id = ${siteId}`;
}
