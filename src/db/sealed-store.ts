import type { Db } from './connect.ts';

/** A column of sealed texts. The noun that owns the table names its columns; `id` and `context` are SQL over a row of it. */
export type SealedColumn = {
  table: string;
  /** Names the row, in an order that batches follow. */
  id: string;
  column: string;
  /** What the text was sealed as: see who seals it. */
  context: string;
};

export type SealedText = { id: string; sealed: string; context: string };

/** Held while keys rotate: a second rotation would remove the key that the first one seals with. */
const ROTATION_LOCK = 7_236_002;

/** Takes the lock of a rotation for the connection's life. `isMigrated`: the service has started on the database. */
export async function takeRotationLock(sql: Db): Promise<{ isMigrated: boolean; isTaken: boolean }> {
  const [row] = await sql<[{ isMigrated: boolean; isTaken: boolean }]>`
    select to_regclass('signing_keys') is not null as "isMigrated", pg_try_advisory_lock(${ROTATION_LOCK}) as "isTaken"`;
  return row;
}

/** Nobody else writes these tables until the transaction ends. */
export async function lockTables(tx: Db, tables: readonly string[]): Promise<void> {
  await tx`lock table ${tx([...tables])} in share row exclusive mode`;
}

/** Texts of rows after `after` that another key sealed, in the order of their ids. Locks the rows until the transaction ends. */
export async function textsSealedOtherwise(
  tx: Db,
  { table, id, column, context }: SealedColumn,
  after: string,
  keyId: string,
  limit: number,
): Promise<SealedText[]> {
  return tx<SealedText[]>`
    select ${tx.unsafe(id)} as id, ${tx(column)} as sealed, ${tx.unsafe(context)} as context from ${tx(table)}
    where ${tx.unsafe(id)} > ${after} and ${tx(column)} is not null and ${tx(column)} not like ${sealedWith(keyId)}
    order by 1 limit ${limit} for update`;
}

export async function replaceSealedTexts(
  tx: Db,
  { table, id, column }: SealedColumn,
  texts: readonly Pick<SealedText, 'id' | 'sealed'>[],
): Promise<void> {
  await tx`
    update ${tx(table)} set ${tx(column)} = new.sealed
    from unnest(${texts.map((text) => text.id)}::text[], ${texts.map((text) => text.sealed)}::text[]) as new (key, sealed)
    where ${tx.unsafe(id)} = new.key`;
}

/** Matches, for LIKE, what the key sealed. Key ids are hexadecimal: nothing in them means anything to LIKE. */
export function sealedWith(keyId: string): string {
  return `v1.${keyId}.%`;
}
