import type { Db } from '../db/connect.ts';

/** Caller of a request. Each caller has its own keys. */
export type Caller = { organizationId: string; actor: string };
export type Owner = Caller & { key: string };

export type StoredRequest = { requestHash: string; status: number | null; answerSealed: string | null; createdAt: Date };

/** How long a first request that ended without an answer blocks its key. */
const ABANDONED_AFTER_MS = 60_000;

/** @returns false when another request has the key */
export async function claimKey(sql: Db, owner: Owner, requestHash: string): Promise<boolean> {
  const result = await sql`
    insert into idempotency_keys (organization_id, actor, key, request_hash) values (${owner.organizationId}, ${owner.actor}, ${owner.key}, ${requestHash})
    on conflict (organization_id, actor, key) do update set created_at = now(), request_hash = excluded.request_hash
      where idempotency_keys.status is null and idempotency_keys.created_at < now() - make_interval(secs => ${ABANDONED_AFTER_MS / 1000})`;
  return result.count === 1;
}

export async function requestOfKey(sql: Db, owner: Owner): Promise<StoredRequest | undefined> {
  const [row] = await sql<StoredRequest[]>`
    select request_hash as "requestHash", status, answer_sealed as "answerSealed", created_at as "createdAt" from idempotency_keys
    where organization_id = ${owner.organizationId} and actor = ${owner.actor} and key = ${owner.key}`;
  return row;
}

export async function storeAnswer(sql: Db, owner: Owner, status: number, sealed: string): Promise<void> {
  await sql`
    update idempotency_keys set status = ${status}, answer_sealed = ${sealed}
    where organization_id = ${owner.organizationId} and actor = ${owner.actor} and key = ${owner.key}`;
}

/** Releases a claim without an answer, so that the client may send the same request again. */
export async function releaseKey(sql: Db, owner: Owner): Promise<void> {
  await sql`delete from idempotency_keys where organization_id = ${owner.organizationId} and actor = ${owner.actor} and key = ${owner.key} and status is null`;
}

/** Removes keys that are older than a day. @returns how many */
export async function pruneIdempotencyKeys(sql: Db): Promise<number> {
  const result = await sql`delete from idempotency_keys where created_at < now() - interval '1 day'`;
  return result.count;
}

/** Removes up to `limit` answers that another secret key sealed. They are kept for a day at most, so sealing them again is not worth it. @returns how many */
export async function dropAnswersNotSealedWith(sql: Db, sealedWith: string, limit: number): Promise<number> {
  const result = await sql`
    delete from idempotency_keys where ctid = any(array(
      select ctid from idempotency_keys where answer_sealed is not null and answer_sealed not like ${sealedWith} limit ${limit}))`;
  return result.count;
}
