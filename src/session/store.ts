import type { Db } from '../db/connect.ts';
import { type Actor, type Role, TOKENS_CHANNEL } from '../organization/organization.ts';
import { IDLE_SECONDS, LINK_SECONDS, MAX_SESSIONS, type Session, sessionSeconds } from './session.ts';

/** `isUse`: false for a check by the service itself, which keeps no session alive. */
export type SessionKey = { hash: Buffer; isUse: boolean };

type Row = Actor & { hash: string; sessionId: string; endsAt: Date; expiresAt: Date; stale: boolean };

/** The holder of a session or link, from its row `held` and its token `t`. */
const holder = (sql: Db) => sql`
  held.organization_id as "organizationId", held.role, case when held.token_id is null then 'user' else 'token' end as kind,
  coalesce(held.token_id::text, held.subject) as id, coalesce(t.name, held.name) as name, coalesce(t.email, held.email) as email`;

/** Whether the holder may still act. `issuer`: the identity provider's; null: the service has none. */
const isHolder = (sql: Db, issuer: string | null) => sql`
  o.disabled_at is null and case when held.token_id is null then held.subject ^@ (${issuer}::text || ' ') else t.revoked_at is null end`;

/**
 * Returns the session of each key, in the order of the keys; undefined for unknown ones and those that are over, of revoked tokens and of disabled
 * organizations. Records their use, at most once a minute.
 */
export async function sessionsOf(sql: Db, issuer: string | null, keys: readonly SessionKey[]): Promise<(Session | undefined)[]> {
  const names = keys.map(({ hash }) => hash.toString('hex'));
  const used = new Set(keys.flatMap(({ isUse }, at) => (isUse ? [names[at]] : [])));
  const rows = await sql<Row[]>`
    select k.name as hash, held.id as "sessionId", ${holder(sql)}, held.expires_at as "expiresAt",
      least(held.expires_at, held.last_used_at + make_interval(secs => ${IDLE_SECONDS})) as "endsAt",
      held.last_used_at < now() - interval '1 minute' as stale
    from unnest(${names}::text[]) as k (name) join sessions held on held.hash = decode(k.name, 'hex')
    join organizations o on o.id = held.organization_id left join tokens t on t.id = held.token_id
    where held.expires_at > now() and held.last_used_at > now() - make_interval(secs => ${IDLE_SECONDS}) and ${isHolder(sql, issuer)}`;
  const stale = rows.filter((row) => row.stale && used.has(row.hash)).map((row) => row.sessionId);
  if (stale.length > 0) await sql`update sessions set last_used_at = now() where id = any(${stale}::uuid[])`;
  const found = new Map(rows.map((row) => [row.hash, sessionOf(row)]));
  return names.map((name) => found.get(name));
}

function sessionOf({ hash: _hash, sessionId, endsAt, expiresAt, stale: _stale, ...actor }: Row): Session {
  return { id: sessionId, actor, endsAt, expiresAt };
}

/** `notAfter`: the end of the session that made the link with which this one begins. */
export type NewSession = { id: string; hash: Buffer; actor: Actor; notAfter: Date | null };

/** Ends the oldest sessions of the actor beyond `MAX_SESSIONS`. */
export async function insertSession(tx: Db, { id, hash, actor, notAfter }: NewSession): Promise<Session> {
  const { organizationId, role } = actor;
  const { tokenId, subject, name, email } = identityOf(actor);
  const [row] = await tx<Pick<Session, 'endsAt' | 'expiresAt'>[]>`
    insert into sessions as held (id, organization_id, hash, token_id, subject, name, email, role, expires_at)
    values (${id}, ${organizationId}, ${hash}, ${tokenId}, ${subject}, ${name}, ${email}, ${role},
      least(now() + make_interval(secs => ${sessionSeconds(actor)}), ${notAfter}))
    returning expires_at as "expiresAt", least(expires_at, last_used_at + make_interval(secs => ${IDLE_SECONDS})) as "endsAt"`;
  if (row === undefined) throw new Error('insert returned no row');
  const surplus = await tx`
    delete from sessions where id in (
      select id from sessions where organization_id = ${organizationId} and (token_id = ${tokenId} or subject = ${subject})
      order by id = ${id} desc, last_used_at desc offset ${MAX_SESSIONS})`;
  if (surplus.count > 0) await announceEnd(tx);
  return { id, actor, ...row };
}

/** The columns that name a holder: a token's name and email stand in its own row. */
function identityOf({ kind, id, name, email }: Actor) {
  return kind === 'token' ? { tokenId: id, subject: null, name: null, email: null } : { tokenId: null, subject: id, name, email };
}

/** @returns false if there is no such session */
export async function endSession(tx: Db, organizationId: string, id: string): Promise<boolean> {
  const result = await tx`delete from sessions where organization_id = ${organizationId} and id = ${id}`;
  await announceEnd(tx);
  return result.count === 1;
}

/** Every process checks its live connections. */
async function announceEnd(tx: Db): Promise<void> {
  await tx`select pg_notify(${TOKENS_CHANNEL}, '')`;
}

export async function insertLink(
  tx: Db,
  link: { hash: Buffer; actor: Actor; role: Role; sessionExpiresAt: Date | null },
): Promise<{ expiresAt: Date }> {
  const { tokenId, subject, name, email } = identityOf(link.actor);
  const [row] = await tx<{ expiresAt: Date }[]>`
    insert into session_links (hash, organization_id, token_id, subject, name, email, role, expires_at, session_expires_at)
    values (${link.hash}, ${link.actor.organizationId}, ${tokenId}, ${subject}, ${name}, ${email}, ${link.role},
      now() + make_interval(secs => ${LINK_SECONDS}), ${link.sessionExpiresAt}) returning expires_at as "expiresAt"`;
  if (row === undefined) throw new Error('insert returned no row');
  return row;
}

/** Uses the link up. @returns undefined if there is none, it is over, or its holder may not act any more */
export async function takeLink(
  tx: Db,
  issuer: string | null,
  hash: Buffer,
): Promise<{ actor: Actor; sessionExpiresAt: Date | null } | undefined> {
  const [row] = await tx<(Actor & { sessionExpiresAt: Date | null })[]>`
    with held as (delete from session_links where hash = ${hash} returning *)
    select ${holder(tx)}, held.session_expires_at as "sessionExpiresAt"
    from held join organizations o on o.id = held.organization_id left join tokens t on t.id = held.token_id
    where held.expires_at > now() and ${isHolder(tx, issuer)}`;
  if (row === undefined) return undefined;
  const { sessionExpiresAt, ...actor } = row;
  return { actor, sessionExpiresAt };
}

/** Removes sessions and links that are over. @returns how many */
export async function pruneSessions(sql: Db): Promise<number> {
  const sessions = await sql`
    delete from sessions where expires_at <= now() or last_used_at <= now() - make_interval(secs => ${IDLE_SECONDS})
      or token_id in (select id from tokens where revoked_at is not null)`;
  const links = await sql`delete from session_links where expires_at <= now()`;
  return sessions.count + links.count;
}
