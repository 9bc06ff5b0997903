import type { Db } from '../../db/connect.ts';
import type { Integration } from '../integration.ts';

const columns = (sql: Db) => sql`
  organization_id as "organizationId", id, slug, name, service_type as type, config as settings, credentials_sealed as "credentialsSealed",
  credentials_hint as "credentialsHint", hook_secret_sealed as "hookSecretSealed", hook_secret_last4 as "hookSecretLast4",
  is_active as "isActive", is_primary as "isPrimary", direction, strategy, fields, field_rules as "fieldRules", auto_sync as "autoSync",
  interval_seconds as "intervalSeconds", next_run_at as "nextRunAt", requested_by as "requestedBy", last_run_at as "lastRunAt",
  last_success_at as "lastSuccessAt", failures, error_code as "errorCode", error_detail as "errorDetail", blocked_reason as "blockedReason",
  stale_since as "staleSince", walks::int as walks, version, created_at as "createdAt", updated_at as "updatedAt"`;

const mayRun = (sql: Db) => sql`
  organization_id in (select o.id from organizations o where o.disabled_at is null and o.device_sync_enabled)`;

type Key = Pick<Integration, 'organizationId' | 'id'>;

/** For jobs and hooks, which name an integration only. @returns undefined for one of a disabled organization */
export async function integrationById(sql: Db, id: string): Promise<Integration | undefined> {
  const [row] = await sql<Integration[]>`
    select ${columns(sql)} from device_services
    where id = ${id} and organization_id in (select o.id from organizations o where o.disabled_at is null)`;
  return row;
}

/** The same for many ids, in their order. */
export async function integrationsByIds(sql: Db, ids: readonly string[]): Promise<(Integration | undefined)[]> {
  const rows = await sql<Integration[]>`
    select ${columns(sql)} from device_services
    where id = any(${[...new Set(ids)]}::uuid[]) and organization_id in (select o.id from organizations o where o.disabled_at is null)`;
  const found = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => found.get(id));
}

/** @param slugOrId such as `golioth_2`, or the UUID */
export async function integrationOf(sql: Db, organizationId: string, slugOrId: string): Promise<Integration | undefined> {
  const [row] = await sql<Integration[]>`
    select ${columns(sql)} from device_services where organization_id = ${organizationId} and (slug = ${slugOrId} or id::text = ${slugOrId})`;
  return row;
}

export async function primaryOf(sql: Db, organizationId: string): Promise<Integration | undefined> {
  const [row] = await sql<
    Integration[]
  >`select ${columns(sql)} from device_services where organization_id = ${organizationId} and is_primary`;
  return row;
}

/** Locks the row until the transaction ends. */
export async function lockIntegration(tx: Db, organizationId: string, slugOrId: string): Promise<Integration | undefined> {
  const [row] = await tx<Integration[]>`
    select ${columns(tx)} from device_services
    where organization_id = ${organizationId} and (slug = ${slugOrId} or id::text = ${slugOrId}) for update`;
  return row;
}

/** Oldest first. */
export async function listIntegrations(sql: Db, organizationId: string, afterId: string | null, limit: number): Promise<Integration[]> {
  return sql<Integration[]>`
    select ${columns(sql)} from device_services
    where organization_id = ${organizationId} ${afterId === null ? sql`` : sql`and id > ${afterId}`} order by id limit ${limit}`;
}

export async function countIntegrations(sql: Db, organizationId: string): Promise<number> {
  const [row] = await sql<
    [{ count: number }]
  >`select count(*)::int as count from device_services where organization_id = ${organizationId}`;
  return row.count;
}

export async function integrationTypes(sql: Db, organizationId: string): Promise<string[]> {
  const rows = await sql<{ type: string }[]>`
    select distinct service_type as type from device_services where organization_id = ${organizationId}`;
  return rows.map(({ type }) => type);
}

/** Orders the creations and removals of one organization: each one sees which slugs are free, and which integration is the primary. */
export async function lockIntegrationsOf(tx: Db, organizationId: string): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended(${`integrations:${organizationId}`}, 0))`;
}

export type NewIntegration = Pick<
  Integration,
  | 'organizationId'
  | 'id'
  | 'name'
  | 'type'
  | 'settings'
  | 'isActive'
  | 'direction'
  | 'strategy'
  | 'fields'
  | 'fieldRules'
  | 'autoSync'
  | 'intervalSeconds'
>;
export type SealedCredentials = Pick<Integration, 'credentialsSealed' | 'credentialsHint'>;
export type SealedHookSecret = Pick<Integration, 'hookSecretSealed' | 'hookSecretLast4'>;

/**
 * Stores an integration whose slug is the type with the lowest free count. The first one of an organization is its primary. A sync that runs by
 * itself is due at once. The caller holds `lockIntegrationsOf`.
 */
export async function insertIntegration(tx: Db, s: NewIntegration & SealedCredentials & SealedHookSecret): Promise<Integration> {
  const [row] = await tx<Integration[]>`
    insert into device_services (organization_id, id, slug, name, service_type, config, credentials_sealed, credentials_hint, hook_secret_sealed,
      hook_secret_last4, is_active, is_primary, direction, strategy, fields, field_rules, auto_sync, interval_seconds, next_run_at)
    select ${s.organizationId}, ${s.id}, free.slug, ${s.name}, ${s.type}, ${tx.json(s.settings)}, ${s.credentialsSealed},
      ${tx.json(s.credentialsHint)}, ${s.hookSecretSealed}, ${s.hookSecretLast4}, ${s.isActive},
      not exists (select 1 from device_services where organization_id = ${s.organizationId}), ${s.direction}, ${s.strategy}, ${s.fields},
      ${tx.json(s.fieldRules)}, ${s.autoSync}, ${s.intervalSeconds}, case when ${s.isActive && s.autoSync} then now() end
    from (
      select ${s.type} || case when n > 1 then '_' || n else '' end as slug
      from generate_series(1, 1 + (select count(*) from device_services where organization_id = ${s.organizationId})) n
      where not exists (select 1 from device_services
        where organization_id = ${s.organizationId} and slug = ${s.type} || case when n > 1 then '_' || n else '' end)
      order by n limit 1
    ) free
    returning ${columns(tx)}`;
  if (row === undefined) throw new Error('insert returned no row');
  return row;
}

/**
 * Writes the settings of an integration, all but its credentials. New settings of the platform end a block, since the refused address may have been
 * the reason, and make the next sync due at once. Otherwise the next sync keeps its time, or gets the one of the new interval.
 */
export async function updateIntegration(tx: Db, s: NewIntegration): Promise<Integration> {
  const isNew = tx`config <> ${tx.json(s.settings)}`;
  const [row] = await tx<Integration[]>`
    update device_services set name = ${s.name}, config = ${tx.json(s.settings)}, is_active = ${s.isActive}, direction = ${s.direction},
      strategy = ${s.strategy}, fields = ${s.fields}, field_rules = ${tx.json(s.fieldRules)}, auto_sync = ${s.autoSync},
      interval_seconds = ${s.intervalSeconds},
      blocked_reason = case when ${isNew} then null else blocked_reason end, failures = case when ${isNew} then 0 else failures end,
      error_code = case when ${isNew} then null else error_code end, error_detail = case when ${isNew} then null else error_detail end,
      next_run_at = case
        when not ${s.isActive && s.autoSync} then null
        when ${isNew} then now()
        when blocked_reason is not null then null
        when next_run_at is null or interval_seconds <> ${s.intervalSeconds}
          then greatest(now(), coalesce(last_run_at + make_interval(secs => ${s.intervalSeconds}), now()))
        else next_run_at end,
      stale_since = case when ${s.isActive && s.autoSync} then stale_since end, version = version + 1, updated_at = now()
    where organization_id = ${s.organizationId} and id = ${s.id} returning ${columns(tx)}`;
  if (row === undefined) throw new Error(`integration ${s.id} vanished`);
  return row;
}

/** Replaces the credentials. Base values, assignments and history stay. The block ends, and a sync that runs by itself is due at once. */
export async function replaceCredentials(tx: Db, { organizationId, id }: Key, credentials: SealedCredentials): Promise<Integration> {
  const [row] = await tx<Integration[]>`
    update device_services set credentials_sealed = ${credentials.credentialsSealed}, credentials_hint = ${tx.json(credentials.credentialsHint)},
      blocked_reason = null, failures = 0, error_code = null, error_detail = null, next_run_at = case when is_active and auto_sync then now() end,
      version = version + 1, updated_at = now()
    where organization_id = ${organizationId} and id = ${id} returning ${columns(tx)}`;
  if (row === undefined) throw new Error(`integration ${id} vanished`);
  return row;
}

export async function replaceHookSecret(tx: Db, { organizationId, id }: Key, secret: SealedHookSecret): Promise<Integration> {
  const [row] = await tx<Integration[]>`
    update device_services set hook_secret_sealed = ${secret.hookSecretSealed}, hook_secret_last4 = ${secret.hookSecretLast4},
      version = version + 1, updated_at = now()
    where organization_id = ${organizationId} and id = ${id} returning ${columns(tx)}`;
  if (row === undefined) throw new Error(`integration ${id} vanished`);
  return row;
}

/** Makes it the only primary. @returns false when it is the primary already */
export async function setPrimary(tx: Db, { organizationId, id }: Key): Promise<boolean> {
  // Two statements: the index of the primaries is checked row by row.
  await tx`
    update device_services set is_primary = false, version = version + 1, updated_at = now()
    where organization_id = ${organizationId} and is_primary and id <> ${id}`;
  const result = await tx`
    update device_services set is_primary = true, version = version + 1, updated_at = now()
    where organization_id = ${organizationId} and id = ${id} and not is_primary`;
  return result.count === 1;
}

/** Removes it with its assignments, log and conflicts. The caller holds `lockIntegrationsOf`. @returns the oldest one that is left */
export async function deleteIntegration(tx: Db, { organizationId, id }: Key): Promise<Integration | undefined> {
  await tx`delete from device_services where organization_id = ${organizationId} and id = ${id}`;
  const [next] = await listIntegrations(tx, organizationId, null, 1);
  return next;
}

/**
 * Claims due integrations, those that are overdue longest first: their next run moves on by an interval, so that a run in progress is not claimed
 * again. `noteRun` sets the time that counts. Safe across processes (SKIP LOCKED).
 */
export async function claimDueIntegrations(sql: Db, limit: number): Promise<Key[]> {
  return sql<Key[]>`
    update device_services s set next_run_at = now() + make_interval(secs => s.interval_seconds)
    from (
      select organization_id, id from device_services
      where is_active and auto_sync and blocked_reason is null and next_run_at <= now() and ${mayRun(sql)}
      order by next_run_at limit ${limit} for update skip locked
    ) due
    where s.organization_id = due.organization_id and s.id = due.id
    returning s.organization_id as "organizationId", s.id`;
}

/** Makes the next run of the schedule due within this time. */
export async function runWithin(tx: Db, { organizationId, id }: Key, seconds: number): Promise<void> {
  await tx`
    update device_services set next_run_at = now() + make_interval(secs => ${seconds})
    where organization_id = ${organizationId} and id = ${id} and next_run_at > now() + make_interval(secs => ${seconds})`;
}

/** Records who asked for the next run. @param by `token:<name>`, `hook` */
export async function requestRuns(tx: Db, organizationId: string, ids: readonly string[], by: string): Promise<void> {
  await tx`
    update device_services set requested_by = ${by} where organization_id = ${organizationId} and id = any(${[...ids]}::uuid[])`;
}

/** @returns who asked for the run that begins now; null: the schedule. The next run is the schedule's again. */
export async function takeRequest(tx: Db, { organizationId, id }: Key): Promise<string | null> {
  const [row] = await tx<{ by: string }[]>`
    update device_services s set requested_by = null
    from (select requested_by from device_services where organization_id = ${organizationId} and id = ${id} for update) before
    where s.organization_id = ${organizationId} and s.id = ${id} and before.requested_by is not null returning before.requested_by as by`;
  return row?.by ?? null;
}

/** A run's end, as it is stored. `nextInSeconds`: null for an integration that nothing is asked of any more. */
export type RunEnd =
  | { ok: true; nextInSeconds: number }
  | { ok: false; nextInSeconds: number | null; code: string; detail: string; blockedReason: string | null };

/** An integration as it was when a call began: credentials that came since are not refused yet. */
type Used = Key & Pick<Integration, 'credentialsSealed'>;

const isUsed = (sql: Db, { credentialsSealed }: Used) => sql`credentials_sealed is not distinct from ${credentialsSealed}`;

/**
 * Records the end of a run. Does not change the version: runs are no changes of the settings. A failure ends no block, and blocks only credentials that
 * the run used.
 */
export async function writeRunEnd(tx: Db, used: Used, end: RunEnd): Promise<Integration | undefined> {
  const { organizationId, id } = used;
  const next = tx`now() + make_interval(secs => ${end.nextInSeconds}::double precision)`;
  const [row] = await tx<Integration[]>`
    update device_services set last_run_at = now(), ${
      end.ok
        ? tx`last_success_at = now(), failures = 0, error_code = null, error_detail = null, blocked_reason = null, stale_since = null,
            next_run_at = case when is_active and auto_sync then ${next} end`
        : tx`failures = failures + 1, error_code = ${end.code}, error_detail = ${end.detail},
            blocked_reason = case when ${isUsed(tx, used)} then coalesce(${end.blockedReason}, blocked_reason) else blocked_reason end,
            next_run_at = case
              when not is_active or not auto_sync or (blocked_reason is not null and ${isUsed(tx, used)}) then null
              when ${end.nextInSeconds}::double precision is not null then ${next}
              when ${isUsed(tx, used)} then null
              else now() end`
    }
    where organization_id = ${organizationId} and id = ${id} returning ${columns(tx)}`;
  return row;
}

/** Blocks an integration outside a run. @returns false when it is blocked already, or has other credentials by now */
export async function block(tx: Db, used: Used, code: string, detail: string): Promise<boolean> {
  const result = await tx`
    update device_services set blocked_reason = ${detail}, error_code = ${code}, error_detail = ${detail}, failures = failures + 1, next_run_at = null
    where organization_id = ${used.organizationId} and id = ${used.id} and blocked_reason is null and ${isUsed(tx, used)}`;
  return result.count === 1;
}

/** Ends a block, since the platform takes the stored credentials again. @returns false when it was not blocked */
export async function unblock(tx: Db, { organizationId, id }: Key): Promise<boolean> {
  const result = await tx`
    update device_services set blocked_reason = null, next_run_at = case when is_active and auto_sync then now() end
    where organization_id = ${organizationId} and id = ${id} and blocked_reason is not null`;
  return result.count === 1;
}

/**
 * Marks integrations that had no success for `staleSeconds`, or for one and a half intervals where that is longer: one that syncs once a day is
 * not stale in between. @returns the newly marked ones
 */
export async function markStale(tx: Db, staleSeconds: number): Promise<Integration[]> {
  return tx<Integration[]>`
    update device_services set stale_since = now()
    where is_active and auto_sync and stale_since is null and ${mayRun(tx)}
      and coalesce(last_success_at, created_at) < now() - make_interval(secs => greatest(${staleSeconds}, interval_seconds * 1.5))
    returning ${columns(tx)}`;
}

/** Counts a full walk that begins. @returns its number, from 1 */
export async function nextWalk(tx: Db, { organizationId, id }: Key): Promise<number> {
  const [row] = await tx<{ walks: number }[]>`
    update device_services set walks = walks + 1 where organization_id = ${organizationId} and id = ${id} returning walks::int as walks`;
  if (row === undefined) throw new Error(`integration ${id} vanished`);
  return row.walks;
}

export type ListedState = Pick<
  Integration,
  'id' | 'slug' | 'type' | 'isActive' | 'failures' | 'blockedReason' | 'staleSince' | 'lastSuccessAt'
>;

/** States of all enabled organizations' integrations, for health and metrics. */
export async function integrationStates(sql: Db, limit: number): Promise<ListedState[]> {
  return sql<ListedState[]>`
    select id, slug, service_type as type, is_active as "isActive", failures, blocked_reason as "blockedReason", stale_since as "staleSince",
      last_success_at as "lastSuccessAt"
    from device_services where organization_id in (select o.id from organizations o where o.disabled_at is null) order by id limit ${limit}`;
}

/** Sealed texts of the table, for a rotation of the secret key; `integration/credentials.ts` seals them. */
export const SEALED_INTEGRATIONS = [
  { table: 'device_services', id: 'id::text', column: 'credentials_sealed', context: `'integration:' || id || ':credentials'` },
  { table: 'device_services', id: 'id::text', column: 'hook_secret_sealed', context: `'integration:' || id || ':hook'` },
] as const;
