import type { Db } from '../db/connect.ts';
import type { PublicKeyJwk } from '../wire/agent.ts';

export type StoredSigningKey = { kid: string; publicJwk: unknown; privateSealed: string };

/** Returns the organization's signing key: the first one that was stored. */
export async function signingKeyOf(sql: Db, organizationId: string): Promise<StoredSigningKey | undefined> {
  const [row] = await sql<StoredSigningKey[]>`
    select kid, public_jwk as "publicJwk", private_sealed as "privateSealed" from signing_keys
    where organization_id = ${organizationId} order by created_at, kid limit 1`;
  return row;
}

/** Stores the key unless the organization has one. Safe across processes: all of them use the first stored key. */
export async function insertFirstSigningKey(
  sql: Db,
  organizationId: string,
  { kid, publicJwk, privateSealed }: { kid: string; publicJwk: PublicKeyJwk; privateSealed: string },
): Promise<void> {
  await sql`
    insert into signing_keys (organization_id, kid, public_jwk, private_sealed)
    select ${organizationId}, ${kid}, ${sql.json(publicJwk)}, ${privateSealed}
    from (select pg_advisory_xact_lock(hashtextextended(${`signing:${organizationId}`}, 0))) as lock
    where not exists (select 1 from signing_keys where organization_id = ${organizationId})`;
}

/** Sealed texts of the table, for a rotation of the secret key. */
export const SEALED_SIGNING_KEYS = [
  {
    table: 'signing_keys',
    id: `organization_id || ' ' || kid`,
    column: 'private_sealed',
    context: `'signing-key:' || organization_id || ':' || kid`,
  },
] as const;
