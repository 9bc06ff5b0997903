import type { Db } from './connect.ts';

/** A column of sealed texts. The noun that owns the table lists its columns. `id` and `context` are SQL expressions over a row. */
export type SealedColumn = {
  table: string;
  /** Identifies the row. Batches follow its order. */
  id: string;
  column: string;
  /** Context with which the text was sealed; the code that seals it defines it. */
  context: string;
};

export type SealedText = { id: string; sealed: string; context: string };

/** Advisory lock of a key rotation. A second rotation at the same time would remove the key that the first one seals with. */
const ROTATION_LOCK = 7_236_002;

/** Takes the lock of a rotation until the connection ends. `isMigrated`: the service has started on this database before. */
export async function takeRotationLock(sql: Db): Promise<{ isMigrated: boolean; isTaken: boolean }> {
  const [row] = await sql<[{ isMigrated: boolean; isTaken: boolean }]>`
    select to_regclass('signing_keys') is not null as "isMigrated", pg_try_advisory_lock(${ROTATION_LOCK}) as "isTaken"`;
  return row;
}

/** Blocks all other writers of these tables until the transaction ends. */
export async function lockTables(tx: Db, tables: readonly string[]): Promise<void> {
  await tx`lock table ${tx([...tables])} in share row exclusive mode`;
}

/** Reads texts that another key sealed, from rows after `after`, in the order of their ids. It locks the rows until the transaction ends. */
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

/** LIKE pattern of texts that the key sealed. Key ids are hexadecimal and contain no LIKE wildcard. */
export function sealedWith(keyId: string): string {
  return `v1.${keyId}.%`;
}
