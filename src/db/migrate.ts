import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import type { Log } from '../log.ts';

const MIGRATIONS_DIR = fileURLToPath(new URL('migrations', import.meta.url));

/**
 * Brings the schema up to date. It applies the numbered SQL files of `migrations/` once each, in order. An advisory lock allows several instances to
 * start at once. Never edit an applied file: a change is a new file.
 */
export async function migrate(databaseUrl: string, log: Log): Promise<void> {
  const quiet = {
    debug: () => {},
    info: () => {},
    warn: (message: string) => log.warn(message),
    error: (message: string) => log.error(message),
  };
  const applied = await runner({
    databaseUrl,
    dir: MIGRATIONS_DIR,
    migrationsTable: 'migrations',
    direction: 'up',
    singleTransaction: true,
    advisoryLockMode: 'wait',
    logger: quiet,
  });
  if (applied.length > 0) log.info({ migrations: applied.map((migration) => migration.name) }, 'database migrated');
}
