import type { Db } from '../db/connect.ts';
import { falseIfTaken } from '../db/unique.ts';
import { type Actor, type Role, TOKENS_CHANNEL } from './organization.ts';

/** Returns the id of the organization with that name; creates it if there is none. Safe across processes. */
export async function ensureOrganization(tx: Db, id: string, name: string): Promise<string> {
  await tx`insert into organizations (id, name) values (${id}, ${name}) on conflict (name) do nothing`;
  const [row] = await tx<{ id: string }[]>`select id from organizations where name = ${name}`;
  if (row === undefined) throw new Error(`organization "${name}" vanished`);
  return row.id;
}

export type Organization = { id: string; name: string; createdAt: Date; disabledAt: Date | null };

const organizationColumns = (sql: Db) => sql`id, name, created_at as "createdAt", disabled_at as "disabledAt"`;

/** @returns undefined if there is an organization with that name */
export async function insertOrganization(tx: Db, id: string, name: string): Promise<Organization | undefined> {
  const [row] = await tx<Organization[]>`
    insert into organizations (id, name) values (${id}, ${name}) on conflict (name) do nothing returning ${organizationColumns(tx)}`;
  return row;
}

/** Ordered by name. */
export async function listOrganizations(sql: Db, afterName: string, limit: number): Promise<Organization[]> {
  return sql<Organization[]>`
    select ${organizationColumns(sql)} from organizations where name > ${afterName} collate "C" order by name collate "C" limit ${limit}`;
}

export async function organizationNamed(sql: Db, name: string): Promise<Organization | undefined> {
  const [row] = await sql<Organization[]>`select ${organizationColumns(sql)} from organizations where name = ${name}`;
  return row;
}

export async function organizationOf(sql: Db, id: string): Promise<Pick<Organization, 'id' | 'name'>> {
  const [row] = await sql<Pick<Organization, 'id' | 'name'>[]>`select id, name from organizations where id = ${id}`;
  if (row === undefined) throw new Error(`organization ${id} vanished`);
  return row;
}

/** Disables or enables an organization. While disabled, its tokens, device keys, enrolment tokens and webhooks are refused, and its sources are not polled. Its rows stay. */
export async function setDisabled(tx: Db, id: string, isDisabled: boolean): Promise<Organization> {
  const [row] = await tx<Organization[]>`
    update organizations set disabled_at = case when ${isDisabled} then coalesce(disabled_at, now()) end
    where id = ${id} returning ${organizationColumns(tx)}`;
  if (row === undefined) throw new Error(`organization ${id} vanished`);
  await tx`select pg_notify(${TOKENS_CHANNEL}, '')`;
  return row;
}

export type Token = { id: string; name: string; email: string | null; role: Role; last4: string; createdAt: Date; lastUsedAt: Date | null };

const columns = (sql: Db) => sql`id, name, email, role, last4, created_at as "createdAt", last_used_at as "lastUsedAt"`;

export async function insertToken(
  tx: Db,
  organizationId: string,
  token: { id: string; name: string; email?: string | null; role: Role; hash: Buffer; last4: string },
): Promise<Token> {
  const [row] = await tx<Token[]>`
    insert into tokens (organization_id, id, name, email, role, hash, last4)
    values (${organizationId}, ${token.id}, ${token.name}, ${token.email ?? null}, ${token.role}, ${token.hash}, ${token.last4}) returning ${columns(tx)}`;
  if (row === undefined) throw new Error('insert returned no row');
  return row;
}

/**
 * Returns the owner of each token, in the order of the hashes; undefined for unknown and revoked tokens, and those of disabled organizations.
 * Records their use, at most once a minute.
 */
export async function actorsOfTokens(sql: Db, hashes: readonly Buffer[]): Promise<(Actor | undefined)[]> {
  const names = hashes.map((hash) => hash.toString('hex'));
  const rows = await sql<(Actor & { hash: string; stale: boolean })[]>`
    select t.organization_id as "organizationId", t.role, 'token' as kind, t.id, t.name, t.email, k.name as hash,
      coalesce(t.last_used_at < now() - interval '1 minute', true) as stale
    from unnest(${names}::text[]) as k (name) join tokens t on t.hash = decode(k.name, 'hex')
    join organizations o on o.id = t.organization_id
    where t.revoked_at is null and o.disabled_at is null`;
  const stale = rows.filter((row) => row.stale).map((row) => row.id);
  if (stale.length > 0) await sql`update tokens set last_used_at = now() where id = any(${stale}::uuid[])`;
  const found = new Map(rows.map(({ hash, stale: _stale, ...actor }) => [hash, actor]));
  return names.map((name) => found.get(name));
}

export async function listTokens(sql: Db, organizationId: string, afterId: string, limit: number): Promise<Token[]> {
  return sql<Token[]>`
    select ${columns(sql)} from tokens where organization_id = ${organizationId} and revoked_at is null and id > ${afterId} order by id limit ${limit}`;
}

/** Locks the admin tokens until the transaction ends, so that two concurrent revocations cannot remove the last one. */
export async function isLastAdmin(tx: Db, organizationId: string, id: string): Promise<boolean> {
  const admins = await tx<{ id: string }[]>`
    select id from tokens where organization_id = ${organizationId} and role = 'admin' and revoked_at is null order by id for update`;
  return admins.length === 1 && admins[0]?.id === id;
}

/** @returns false if there is no such token, or it was already revoked */
export async function revokeToken(tx: Db, organizationId: string, id: string): Promise<boolean> {
  const result =
    await tx`update tokens set revoked_at = now() where organization_id = ${organizationId} and id = ${id} and revoked_at is null`;
  await tx`select pg_notify(${TOKENS_CHANNEL}, '')`;
  return result.count === 1;
}

/** Returns the site with that id, else the one with that name. */
export async function siteOf(sql: Db, organizationId: string, idOrName: string): Promise<{ id: string; name: string } | undefined> {
  const [row] = await sql<{ id: string; name: string }[]>`
    select id, name from sites where organization_id = ${organizationId} and (id::text = ${idOrName} or name = ${idOrName})
    order by id::text = ${idOrName} desc limit 1`;
  return row;
}

/** A hold as it is stored. Several holds in a row keep the time of the first and the user and reason of the last. */
export type SiteHold = { at: Date; by: string; reason: string };

/** Holds the site, so that automation changes none of its devices. @returns the stored hold; undefined if there is no such site */
export async function holdSite(
  tx: Db,
  organizationId: string,
  id: string,
  hold: Pick<SiteHold, 'by' | 'reason'>,
): Promise<SiteHold | undefined> {
  const [row] = await tx<SiteHold[]>`
    update sites set held_at = coalesce(held_at, now()), held_by = ${hold.by}, hold_reason = ${hold.reason}
    where organization_id = ${organizationId} and id = ${id} returning held_at as at, held_by as by, hold_reason as reason`;
  return row;
}

/** @returns false if there is no such site */
export async function releaseSite(tx: Db, organizationId: string, id: string): Promise<boolean> {
  const result = await tx`
    update sites set held_at = null, held_by = null, hold_reason = null where organization_id = ${organizationId} and id = ${id}`;
  return result.count === 1;
}

export async function siteHoldOf(
  sql: Db,
  organizationId: string,
  id: string,
): Promise<{ name: string; at: Date; by: string; reason: string } | null> {
  const [row] = await sql<{ name: string; at: Date; by: string; reason: string }[]>`
    select name, held_at as at, held_by as by, hold_reason as reason from sites
    where organization_id = ${organizationId} and id = ${id} and held_at is not null`;
  return row ?? null;
}

/** Ids of all organizations, including disabled ones. */
export async function organizationIds(sql: Db): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`select id from organizations`;
  return rows.map((row) => row.id);
}

/**
 * Stores the token as an admin token unless there is one: any admin token, or with `isConfigured` this very token, even if revoked. A lock until the
 * transaction ends ensures that processes that start together on an empty database create one token.
 * @returns whether it was stored
 */
export async function ensureAdminToken(
  tx: Db,
  organizationId: string,
  token: { id: string; hash: Buffer; last4: string; isConfigured: boolean },
): Promise<boolean> {
  await tx`select pg_advisory_xact_lock(hashtextextended(${`admin-token:${organizationId}`}, 0))`;
  const known = token.isConfigured
    ? await tx`select 1 from tokens where hash = ${token.hash}`
    : await tx`select 1 from tokens where organization_id = ${organizationId} and role = 'admin' and revoked_at is null limit 1`;
  if (known.length > 0) return false;
  await insertToken(tx, organizationId, { id: token.id, name: 'admin', role: 'admin', hash: token.hash, last4: token.last4 });
  return true;
}

export type Site = { id: string; name: string; hold: SiteHold | null; devices: number; createdAt: Date };

const siteColumns = (sql: Db) => sql`
  id, name, held_at as "heldAt", held_by as "heldBy", hold_reason as "holdReason", created_at as "createdAt",
  (select count(*)::int from devices d where d.organization_id = sites.organization_id and d.site_id = sites.id) as devices`;

type SiteRow = Omit<Site, 'hold'> & { heldAt: Date | null; heldBy: string | null; holdReason: string | null };

function siteFrom({ heldAt, heldBy, holdReason, ...row }: SiteRow): Site {
  return { ...row, hold: heldAt === null ? null : { at: heldAt, by: heldBy ?? '', reason: holdReason ?? '' } };
}

/** @returns the stored row; undefined if the organization has a site with that name */
export async function insertSite(tx: Db, organizationId: string, site: Pick<Site, 'id' | 'name'>): Promise<Site | undefined> {
  const [row] = await tx<SiteRow[]>`
    insert into sites (organization_id, id, name) values (${organizationId}, ${site.id}, ${site.name})
    on conflict (organization_id, name) do nothing returning ${siteColumns(tx)}`;
  return row && siteFrom(row);
}

/** Ordered by id, after `afterId`. */
export async function listSites(sql: Db, organizationId: string, afterId: string, limit: number): Promise<Site[]> {
  const rows = await sql<SiteRow[]>`
    select ${siteColumns(sql)} from sites where organization_id = ${organizationId} and id > ${afterId} order by id limit ${limit}`;
  return rows.map(siteFrom);
}

/** Locks the row until the transaction ends. */
export async function lockSite(tx: Db, organizationId: string, id: string): Promise<{ name: string } | undefined> {
  const [row] = await tx<{ name: string }[]>`select name from sites where organization_id = ${organizationId} and id = ${id} for update`;
  return row;
}

/** @returns undefined if another site has that name; the caller's transaction can then only be rolled back */
export async function renameSite(tx: Db, organizationId: string, { id, name }: Pick<Site, 'id' | 'name'>): Promise<Site | undefined> {
  // Two requests may give the name at the same time: the constraint alone decides.
  const rows = await tx<SiteRow[]>`
    update sites set name = ${name} where organization_id = ${organizationId} and id = ${id} returning ${siteColumns(tx)}`.catch(
    falseIfTaken,
  );
  const row = rows === false ? undefined : rows[0];
  return row && siteFrom(row);
}

/** The uses that would lose their site: devices, enrolment tokens that still admit devices, and notifications. The caller holds the lock of the row. */
export async function usesOfSite(tx: Db, organizationId: string, id: string): Promise<Record<SiteUse, number>> {
  const [uses] = await tx<[Record<SiteUse, number>]>`
    select (select count(*)::int from devices where organization_id = ${organizationId} and site_id = ${id}) as devices,
      (select count(*)::int from enrolment_tokens where organization_id = ${organizationId} and site_id = ${id}
        and uses_left > 0 and expires_at > now()) as "enrolment tokens",
      (select count(*)::int from notifications where organization_id = ${organizationId} and site_id = ${id}) as notifications`;
  return uses;
}

type SiteUse = 'devices' | 'enrolment tokens' | 'notifications';

export async function deleteSite(tx: Db, organizationId: string, id: string): Promise<void> {
  await tx`delete from sites where organization_id = ${organizationId} and id = ${id}`;
}

/** Whether the organization has this site and this source; null counts as present. */
export async function haveTargets(
  sql: Db,
  organizationId: string,
  { siteId, sourceId }: { siteId: string | null; sourceId: string | null },
): Promise<{ site: boolean; source: boolean }> {
  const [found] = await sql<[{ site: boolean; source: boolean }]>`
    select ${siteId}::uuid is null or exists (select 1 from sites where organization_id = ${organizationId} and id = ${siteId}) as site,
           ${sourceId}::uuid is null or exists (select 1 from sources where organization_id = ${organizationId} and id = ${sourceId}) as source`;
  return found;
}

/** Whether devices are synced with integrations at all. */
export async function isDeviceSyncEnabled(sql: Db, organizationId: string): Promise<boolean> {
  const [row] = await sql<{ enabled: boolean }[]>`select device_sync_enabled as enabled from organizations where id = ${organizationId}`;
  return row?.enabled ?? false;
}

/** The master switch of integrations: off stops every sync and removes nothing. @returns false when it is set so already */
export async function setDeviceSync(tx: Db, organizationId: string, isEnabled: boolean): Promise<boolean> {
  const result = await tx`
    update organizations set device_sync_enabled = ${isEnabled} where id = ${organizationId} and device_sync_enabled <> ${isEnabled}`;
  return result.count === 1;
}
