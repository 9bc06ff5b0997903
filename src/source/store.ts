import type { Db } from '../db/connect.ts';
import { falseIfTaken } from '../db/unique.ts';
import { RolloutPolicy } from '../policy/policy.ts';
import { ForgeSettings } from './forge-settings.ts';
import type { Source, SourceStatus } from './source.ts';
import { HookOptions } from './webhook/options.ts';

const columns = (sql: Db) => sql`
  organization_id as "organizationId", id, name, url, ref, layout, auth_sealed as "authSealed", auth_hint as "authHint",
  webhook_provider as "webhookProvider", webhook_secret_sealed as "webhookSecretSealed", webhook_secret_last4 as "webhookSecretLast4",
  webhook_options as "webhookOptions", webhook_hook_id as "webhookHookId", hook_repository_id as "hookRepositoryId", forge, api_token_sealed as "apiTokenSealed", api_token_hint as "apiTokenHint",
  poll_interval_seconds as "pollIntervalSeconds", all_or_nothing as "allOrNothing", drift_policy as "driftPolicy", rollout_policy as "rolloutPolicy",
  policy_from as "policyFrom", report_status as "reportStatus", held_at as "heldAt", held_by as "heldBy", hold_reason as "holdReason",
  status, head_commit as "headCommit", prepared_commit as "preparedCommit", revision_id as "revisionId", last_checked_at as "lastCheckedAt",
  last_synced_at as "lastSyncedAt", error_code as "errorCode", error_detail as "errorDetail", failures, expected_commit as "expectedCommit",
  expected_before as "expectedBefore", expected_until as "expectedUntil", next_check_at as "nextCheckAt", hook_received_at as "hookReceivedAt", version, created_at as "createdAt", updated_at as "updatedAt",
  moved_to as "movedTo", coalesce(quiet_until > now(), false) as "isQuiet"`;

type Row = Omit<Source, 'rolloutPolicy' | 'webhookOptions' | 'forge'> & { rolloutPolicy: unknown; webhookOptions: unknown; forge: unknown };

function parse(row: Row): Source {
  return {
    ...row,
    rolloutPolicy: RolloutPolicy.parse(row.rolloutPolicy),
    webhookOptions: row.webhookOptions === null ? null : HookOptions.parse(row.webhookOptions),
    forge: row.forge === null ? null : ForgeSettings.parse(row.forge),
  };
}

/** For the controller, whose jobs carry ids only. Routes use `sourceOf`. */
export async function sourceById(sql: Db, id: string): Promise<Source | undefined> {
  const [row] = await sql<Row[]>`select ${columns(sql)} from sources where id = ${id}`;
  return row === undefined ? undefined : parse(row);
}

/** Reads sources of enabled organizations, in the order of the ids. For hooks, whose URL names a source only. */
export async function enabledSources(sql: Db, ids: readonly string[]): Promise<(Source | undefined)[]> {
  const rows = await sql<Row[]>`
    select ${columns(sql)} from sources where id = any(${[...new Set(ids)]}::uuid[])
      and organization_id in (select o.id from organizations o where o.disabled_at is null)`;
  const found = new Map(rows.map((row) => [row.id, parse(row)]));
  return ids.map((id) => found.get(id));
}

export async function isSourceHeld(sql: Db, organizationId: string, id: string): Promise<boolean> {
  const rows = await sql`select 1 from sources where organization_id = ${organizationId} and id = ${id} and held_at is not null`;
  return rows.length > 0;
}

export async function sourceOf(sql: Db, organizationId: string, id: string): Promise<Source | undefined> {
  const [row] = await sql<Row[]>`select ${columns(sql)} from sources where organization_id = ${organizationId} and id = ${id}`;
  return row === undefined ? undefined : parse(row);
}

export async function sourcesOf(sql: Db, organizationId: string, ids: readonly string[]): Promise<Source[]> {
  const rows = await sql<
    Row[]
  >`select ${columns(sql)} from sources where organization_id = ${organizationId} and id = any(${[...new Set(ids)]}::uuid[])`;
  return rows.map(parse);
}

/** Locks the row until the transaction ends. */
export async function lockSource(tx: Db, id: string): Promise<Source | undefined> {
  const [row] = await tx<Row[]>`select ${columns(tx)} from sources where id = ${id} for update`;
  return row === undefined ? undefined : parse(row);
}

export async function listSources(sql: Db, organizationId: string, afterId: string | null, limit: number): Promise<Source[]> {
  const rows = await sql<Row[]>`
    select ${columns(sql)} from sources where organization_id = ${organizationId} ${afterId === null ? sql`` : sql`and id > ${afterId}`} order by id limit ${limit}`;
  return rows.map(parse);
}

export type SourceSettings = Pick<
  Source,
  | 'organizationId'
  | 'id'
  | 'name'
  | 'url'
  | 'ref'
  | 'layout'
  | 'authSealed'
  | 'authHint'
  | 'webhookProvider'
  | 'webhookSecretSealed'
  | 'webhookSecretLast4'
  | 'webhookOptions'
  | 'webhookHookId'
  | 'forge'
  | 'apiTokenSealed'
  | 'apiTokenHint'
  | 'pollIntervalSeconds'
  | 'allOrNothing'
  | 'driftPolicy'
  | 'rolloutPolicy'
  | 'policyFrom'
  | 'reportStatus'
>;

/** @returns false when the organization has a source of that name */
export async function insertSource(tx: Db, s: SourceSettings): Promise<boolean> {
  const result = await tx`
    insert into sources (organization_id, id, name, url, ref, layout, auth_sealed, auth_hint, webhook_provider, webhook_secret_sealed, webhook_secret_last4, webhook_options,
      webhook_hook_id, forge, api_token_sealed, api_token_hint, poll_interval_seconds, all_or_nothing, drift_policy, rollout_policy, policy_from, report_status)
    values (${s.organizationId}, ${s.id}, ${s.name}, ${s.url}, ${s.ref}, ${s.layout}, ${s.authSealed}, ${s.authHint}, ${s.webhookProvider},
      ${s.webhookSecretSealed}, ${s.webhookSecretLast4}, ${s.webhookOptions === null ? null : tx.json(s.webhookOptions)},
      ${s.webhookHookId}, ${s.forge === null ? null : tx.json(s.forge)}, ${s.apiTokenSealed}, ${s.apiTokenHint}, ${s.pollIntervalSeconds}, ${s.allOrNothing}, ${s.driftPolicy}, ${tx.json(s.rolloutPolicy)}, ${s.policyFrom}, ${s.reportStatus})
    on conflict (organization_id, name) do nothing`;
  return result.count === 1;
}

/**
 * Writes the settings. With another repository, ref or layout, the old head is forgotten. A new name does the same if templates may have
 * rendered the old one into files.
 * @returns false when another source of the organization has the name; the transaction must then be rolled back
 */
export async function updateSource(tx: Db, s: SourceSettings, followsAnother: boolean): Promise<boolean> {
  const updating = tx`
    update sources set name = ${s.name}, url = ${s.url}, ref = ${s.ref}, layout = ${s.layout}, auth_sealed = ${s.authSealed}, auth_hint = ${s.authHint},
      webhook_provider = ${s.webhookProvider}, webhook_secret_sealed = ${s.webhookSecretSealed}, webhook_secret_last4 = ${s.webhookSecretLast4},
      webhook_options = ${s.webhookOptions === null ? null : tx.json(s.webhookOptions)}, webhook_hook_id = ${s.webhookHookId},
      hook_repository_id = case when url = ${s.url} then hook_repository_id end,
      forge = ${s.forge === null ? null : tx.json(s.forge)}, api_token_sealed = ${s.apiTokenSealed}, api_token_hint = ${s.apiTokenHint},
      poll_interval_seconds = ${s.pollIntervalSeconds}, all_or_nothing = ${s.allOrNothing}, drift_policy = ${s.driftPolicy}, rollout_policy = ${tx.json(s.rolloutPolicy)},
      policy_from = ${s.policyFrom}, report_status = ${s.reportStatus},
      prepared_commit = case when ${followsAnother} or (per_device and name <> ${s.name}) then null else prepared_commit end,
      head_commit = case when ${followsAnother} or (per_device and name <> ${s.name}) then null else head_commit end,
      status = case when ${followsAnother} or (per_device and name <> ${s.name}) then 'new' else status end,
      moved_to = case when url = ${s.url} then moved_to end, quiet_until = null,
      failures = 0, next_check_at = now(), version = version + 1, updated_at = now()
    where organization_id = ${s.organizationId} and id = ${s.id}`;
  return updating.then(() => true, falseIfTaken);
}

/** Records which webhook at the host has the current secret. */
export async function noteWebhook(tx: Db, { organizationId, id }: Pick<Source, 'organizationId' | 'id'>, hookId: string): Promise<void> {
  await tx`update sources set webhook_hook_id = ${hookId} where organization_id = ${organizationId} and id = ${id}`;
}

/** Records the host's id of the repository that hooks name. */
export async function noteHookRepository(
  sql: Db,
  { organizationId, id }: Pick<Source, 'organizationId' | 'id'>,
  hostId: string,
): Promise<void> {
  await sql`update sources set hook_repository_id = ${hostId} where organization_id = ${organizationId} and id = ${id}`;
}

/** The caller has unbound its devices before: see `unbindSource` of devices. */
export async function deleteSource(tx: Db, organizationId: string, id: string): Promise<void> {
  await tx`delete from sources where organization_id = ${organizationId} and id = ${id}`;
}

/** Records that the remote still serves the prepared commit. One statement for many sources. */
export async function noteUnchanged(sql: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`update sources set last_checked_at = now(), failures = 0 where id = any(${[...ids]}::uuid[])`;
}

export type CheckOutcome = {
  status: SourceStatus;
  headCommit?: string | null;
  error: { code: string; detail: string } | null;
  failures: number;
  nextCheckInSeconds: number;
  /** The host accepts no more requests for this long. */
  quietSeconds?: number | undefined;
  /** The head is prepared and stored. */
  synced?: { commit: string | null; revisionId: string };
  /** Stop waiting for the commit that a hook named. */
  arrived: boolean;
};

/** Records a check. If a hook arrived meanwhile and names another commit, the source is due at once. */
export async function recordCheck(tx: Db, source: Pick<Source, 'id' | 'expectedCommit'>, outcome: CheckOutcome): Promise<void> {
  const synced = outcome.synced;
  const quietUntil = tx`now() + make_interval(secs => ${outcome.quietSeconds ?? null})`;
  await tx`
    update sources set status = ${outcome.status}, last_checked_at = now(),
      head_commit = ${outcome.headCommit === undefined ? tx`head_commit` : outcome.headCommit},
      error_code = ${outcome.error?.code ?? null}, error_detail = ${outcome.error?.detail ?? null}, failures = ${outcome.failures},
      prepared_commit = ${synced === undefined ? tx`prepared_commit` : synced.commit}, revision_id = ${synced === undefined ? tx`revision_id` : synced.revisionId},
      last_synced_at = ${synced === undefined ? tx`last_synced_at` : tx`now()`},
      expected_commit = case when ${outcome.arrived} and expected_commit is not distinct from ${source.expectedCommit} then null else expected_commit end,
      quiet_until = ${quietUntil},
      next_check_at = greatest(${quietUntil}, case when expected_commit is distinct from ${source.expectedCommit} then now()
        else now() + make_interval(secs => ${outcome.nextCheckInSeconds}) end)
    where id = ${source.id}`;
}

/**
 * Records that a check failed. If another check ended while this one ran, its newer outcome stays, and this failure only makes the source due
 * earlier. This happens when a poll runs while a hook triggers a check.
 *
 * @returns whether the failure counts
 */
export async function recordFailedCheck(
  tx: Db,
  source: Pick<Source, 'id' | 'expectedCommit' | 'lastCheckedAt'>,
  outcome: CheckOutcome,
): Promise<boolean> {
  // A Date has milliseconds, PostgreSQL microseconds.
  const [newer] = await tx`
    update sources set next_check_at = least(next_check_at, now() + make_interval(secs => ${outcome.nextCheckInSeconds}))
    where id = ${source.id} and date_trunc('milliseconds', last_checked_at) is distinct from ${source.lastCheckedAt} returning 1`;
  if (newer === undefined) await recordCheck(tx, source, outcome);
  return newer === undefined;
}

/** Makes the source due within `seconds`. */
export async function checkSourceWithin(sql: Db, id: string, seconds: number): Promise<void> {
  await sql`update sources set next_check_at = least(next_check_at, now() + make_interval(secs => ${seconds})) where id = ${id}`;
}

/** Makes the source due after `seconds`, since the check had no result. */
export async function putOffCheck(sql: Db, id: string, seconds: number): Promise<void> {
  await sql`update sources set next_check_at = now() + make_interval(secs => ${seconds}) where id = ${id}`;
}

/** Makes the sources that failed because of this host due within some seconds, whatever their back-off. */
export async function recheckSourcesOf(sql: Db, organizationId: string, origin: string): Promise<void> {
  await sql`
    update sources set next_check_at = least(next_check_at, greatest(quiet_until, now() + random() * interval '5 seconds'))
    where organization_id = ${organizationId} and status = 'failing' and starts_with(url, ${`${origin}/`})
      and error_code in ('git_unreachable', 'git_timeout', 'git_server_error', 'git_host_unavailable')`;
}

/** Records the address to which the host redirects the source's URL; null: there is none. */
export async function noteMoved(sql: Db, id: string, movedTo: string | null): Promise<void> {
  await sql`update sources set moved_to = ${movedTo} where id = ${id}`;
}

/** Lifts the pause that the host asked for, since a user demands a check. */
export async function endQuiet(tx: Db, id: string): Promise<void> {
  await tx`update sources set quiet_until = null where id = ${id}`;
}

/** Sets the status unless the source waits for a commit or its check failed: those states take precedence. */
export async function setSteadyStatus(tx: Db, id: string, status: SourceStatus): Promise<void> {
  await tx`update sources set status = ${status} where id = ${id} and status in ('ok', 'partial', 'invalid')`;
}

/** Records whether the bundles of the source's folders may depend on the bound devices. */
export async function noteFleet(
  tx: Db,
  id: string,
  { perDevice, devicePatterns }: { perDevice: boolean; devicePatterns: string[] | null },
): Promise<void> {
  await tx`
    update sources set per_device = ${perDevice}, device_patterns = ${devicePatterns}::text[]
    where id = ${id} and (per_device <> ${perDevice} or device_patterns is distinct from ${devicePatterns}::text[])`;
}

/** A check that a hook triggered is claimed again after this long, unless its outcome has been recorded: the process that claimed it died. */
const HOOK_CLAIM_SECONDS = 30;

/**
 * Claims up to `limit` sources that are due, oldest first, and postpones each by its interval ± 10 %. If the claiming process dies, the source
 * becomes due again after that. Safe across processes (SKIP LOCKED).
 */
export async function claimDueSources(sql: Db, limit: number): Promise<Source[]> {
  const rows = await sql<Row[]>`
    update sources set next_check_at = now() + make_interval(secs => case
      when hook_received_at > coalesce(last_checked_at, '-infinity') then least(poll_interval_seconds, ${HOOK_CLAIM_SECONDS})
      else poll_interval_seconds * (0.9 + random() * 0.2) end)
    where id in (select id from sources where next_check_at <= now()
        and organization_id not in (select o.id from organizations o where o.disabled_at is not null) order by next_check_at limit ${limit} for update skip locked)
    returning ${columns(sql)}`;
  return rows.map(parse);
}

export async function sourceCounts(sql: Db): Promise<{ status: SourceStatus; count: number }[]> {
  return sql`select status, count(*)::int as count from sources group by status`;
}

/** A hold as it is stored. Several holds in a row keep the time of the first and the user and reason of the last. */
export type Hold = { at: Date; by: string; reason: string };

/** Holds the source, so that automation changes none of its devices; null lifts the hold. @returns the stored hold */
export async function holdSource(tx: Db, id: string, hold: Pick<Hold, 'by' | 'reason'> | null): Promise<Hold | undefined> {
  const [row] = await tx<Hold[]>`
    update sources set held_at = ${hold === null ? null : tx`coalesce(held_at, now())`}, held_by = ${hold?.by ?? null}, hold_reason = ${hold?.reason ?? null},
      updated_at = now() where id = ${id} returning held_at as at, held_by as by, hold_reason as reason`;
  return hold === null ? undefined : row;
}

/** Sealed texts of the table, for a rotation of the secret key; `source/credentials.ts` seals them. */
export const SEALED_SOURCES = [
  { table: 'sources', id: 'id::text', column: 'auth_sealed', context: `'source:' || id || ':auth'` },
  { table: 'sources', id: 'id::text', column: 'webhook_secret_sealed', context: `'source:' || id || ':webhook'` },
  { table: 'sources', id: 'id::text', column: 'api_token_sealed', context: `'source:' || id || ':api-token'` },
] as const;

/** Sources whose repository is a folder of this machine. */
export async function localSources(sql: Db): Promise<{ id: string; url: string }[]> {
  return sql<{ id: string; url: string }[]>`select id, url from sources where url like '/%' or url like 'file:%'`;
}

/** Ids of all sources of all organizations. */
export async function sourceIds(sql: Db): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`select id from sources`;
  return rows.map((row) => row.id);
}

/** `id` comes from an event's text and need not be a valid id. */
export async function sourceNameOf(sql: Db, organizationId: string, id: string): Promise<string | undefined> {
  const [row] = await sql<{ name: string }[]>`select name from sources where organization_id = ${organizationId} and id::text = ${id}`;
  return row?.name;
}

/** Returns the layout of the source's folders, and the patterns of device folders that its head declares. */
export async function folderRulesOf(
  sql: Db,
  organizationId: string,
  id: string,
): Promise<{ layout: Source['layout']; patterns: string[] | null } | undefined> {
  const [row] = await sql<{ layout: Source['layout']; patterns: string[] | null }[]>`
    select layout, device_patterns as patterns from sources where organization_id = ${organizationId} and id = ${id}`;
  return row;
}
