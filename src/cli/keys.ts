import type { Command } from 'commander';
import { SEALED_PUSHES } from '../adapter/pushes-store.ts';
import { pause } from '../async/pause.ts';
import { type Config, readConfig } from '../config.ts';
import { openSecretBox, type SecretBox } from '../crypto/secret-box.ts';
import { addSecretKey, keepOneSecretKey, loadSecretKeys } from '../crypto/secret-key.ts';
import { connect, type Sql, type Tx } from '../db/connect.ts';
import { openEmbeddedPostgres, runningEmbeddedPostgres } from '../db/embedded.ts';
import {
  lockTables,
  replaceSealedTexts,
  type SealedColumn,
  type SealedText,
  sealedWith,
  takeRotationLock,
  textsSealedOtherwise,
} from '../db/sealed-store.ts';
import { isProblem, Problem } from '../errors.ts';
import { dropAnswersNotSealedWith } from '../http/idempotency-store.ts';
import { SEALED_INTEGRATIONS } from '../integration/store/services.ts';
import { createLog } from '../log.ts';
import { SEALED_NOTIFICATIONS } from '../notification/store.ts';
import { SEALED_SIGNING_KEYS } from '../organization/signing-store.ts';
import { SEALED_SOURCES } from '../source/store.ts';

type Io = { env: Record<string, string | undefined>; out(text: string): void; settleMs?: number };

/** Adds `keys rotate`. */
export function registerKeysCommands(program: Command, io: Io): void {
  program
    .command('keys')
    .description("the service's secret key, which seals credentials in the database")
    .command('rotate')
    .description('seal everything with a new key and remove the old ones; the service may keep running; needs its environment')
    .action(async () => {
      const config = readConfig(io.env);
      const { resealed, dropped, unreadable } = await rotateKeys(config, io.settleMs);
      io.out(`sealed anew: ${resealed}; kept answers dropped: ${dropped}\n`);
      for (const context of unreadable) io.out(`no key opens ${context}: enter it again\n`);
      const configured = config.BELLWETHER_SECRET_KEY !== undefined;
      io.out(configured ? 'the first key of BELLWETHER_SECRET_KEY is the only one in use: remove the others\n' : 'old keys removed\n');
    });
}

export type Rotation = { resealed: number; dropped: number; unreadable: string[] };

/** Pause between the new key and the last pass, ms. By then, a running service has stored any text that it sealed with the old key. */
const SETTLE_MS = 5_000;

/**
 * Adds a new key to the key file (with configured keys: uses their first), seals every sealed text of the database with it, then removes the
 * old keys from the file. Running services read the file again before they seal, and when they find the new key. After an interruption every
 * text stays readable, and the command must run again. With configured keys it changes the database only.
 *
 * @throws Problem `rotation_in_progress`, `secret_key_invalid`, `not_set_up` when the service never started on the database
 */
export async function rotateKeys(config: Config, settleMs: number = SETTLE_MS): Promise<Rotation> {
  const database = await reachDatabase(config);
  const sql = connect(database.url, { max: 1, applicationName: 'bellwether keys' });
  try {
    await takeLock(sql);
    const { BELLWETHER_SECRET_KEY: value, DATA_DIR: dataDir } = config;
    const keys = value === undefined ? await addSecretKey(dataDir) : await loadSecretKeys({ value, dataDir });
    const [current] = keys;
    if (current === undefined) throw new Problem('secret_key_invalid', 'Cannot rotate keys: there are 0 keys, must be at least 1');
    const box = openSecretBox(keys);
    const rotation: Rotation = { resealed: 0, dropped: 0, unreadable: [] };
    await resealAll(sql, box, current.id, rotation);
    await pause(settleMs);
    await resealRest(sql, box, current.id, rotation);
    if (value === undefined) await keepOneSecretKey(dataDir, current);
    return { ...rotation, unreadable: [...new Set(rotation.unreadable)] };
  } finally {
    await sql.end({ timeout: 2 });
    await database.close();
  }
}

/** The configured database, the embedded one of the running service, or the embedded one started here. */
async function reachDatabase(config: Config): Promise<{ url: string; close(): Promise<void> }> {
  const configured = config.DATABASE_DIRECT_URL ?? config.DATABASE_URL;
  const log = createLog('error');
  const url = configured ?? (await runningEmbeddedPostgres(config.DATA_DIR, log));
  return url === undefined ? openEmbeddedPostgres(config.DATA_DIR, log) : { url, close: async () => {} };
}

/** Takes the lock until the connection ends. */
async function takeLock(sql: Sql): Promise<void> {
  const { isTaken, isMigrated } = await takeRotationLock(sql);
  if (!isTaken) throw new Problem('rotation_in_progress', 'Cannot rotate keys: another rotation is under way');
  if (!isMigrated) throw new Problem('not_set_up', 'Cannot rotate keys: the service has not started on this database yet');
}

const SEALED: readonly SealedColumn[] = [
  ...SEALED_SOURCES,
  ...SEALED_NOTIFICATIONS,
  ...SEALED_INTEGRATIONS,
  ...SEALED_PUSHES,
  ...SEALED_SIGNING_KEYS,
];
const SEALED_TABLES = [...new Set([...SEALED.map(({ table }) => table), 'idempotency_keys'])];

const BATCH = 200;

async function resealAll(sql: Sql, box: SecretBox, keyId: string, rotation: Rotation): Promise<void> {
  for (const place of SEALED) {
    let after: string | undefined = '';
    while (after !== undefined) {
      const from: string = after;
      // Short batches, so that a service that changes a source waits only briefly.
      after = (await sql.begin((tx) => resealBatch(tx, box, keyId, place, from, rotation))) as string | undefined;
    }
  }
  let dropped = BATCH;
  while (dropped === BATCH) {
    dropped = await dropAnswersNotSealedWith(sql, sealedWith(keyId), BATCH);
    rotation.dropped += dropped;
  }
}

/** Seals texts that arrived with an old key meanwhile. It locks out other writers, but only briefly, because few texts are left. */
async function resealRest(sql: Sql, box: SecretBox, keyId: string, rotation: Rotation): Promise<void> {
  await sql.begin(async (tx) => {
    await lockTables(tx, SEALED_TABLES);
    for (const place of SEALED) {
      let after: string | undefined = '';
      while (after !== undefined) after = await resealBatch(tx, box, keyId, place, after, rotation);
    }
    rotation.dropped += await dropAnswersNotSealedWith(tx, sealedWith(keyId), 1_000_000);
  });
}

/** Rows after `after`, in the order of their ids. @returns the last one's id while there may be more */
async function resealBatch(
  tx: Tx,
  box: SecretBox,
  keyId: string,
  column: SealedColumn,
  after: string,
  rotation: Rotation,
): Promise<string | undefined> {
  const rows = await textsSealedOtherwise(tx, column, after, keyId, BATCH);
  const fresh = rows.flatMap((row) => resealed(row, box, rotation));
  await replaceSealedTexts(tx, column, fresh);
  rotation.resealed += fresh.length;
  return rows.length === BATCH ? rows.at(-1)?.id : undefined;
}

/** A text that no key opens stays unchanged: it was lost before. */
function resealed({ id, sealed, context }: SealedText, box: SecretBox, rotation: Rotation): { id: string; sealed: string }[] {
  try {
    return [{ id, sealed: box.seal(box.open(sealed, context), context) }];
  } catch (error) {
    if (!isProblem(error, 'secret_unreadable')) throw error;
    rotation.unreadable.push(context);
    return [];
  }
}
