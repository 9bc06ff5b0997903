import { inject } from 'vitest';
import type { Closable } from '../../src/async/lifecycle.ts';
import { connect, type Sql } from '../../src/db/connect.ts';
import { type Notifier, openNotifier } from '../../src/db/notifier.ts';
import { openQueue } from '../../src/db/queue.ts';
import { checkEventsWith } from '../../src/event/store.ts';
import type { Store } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { createLog } from '../../src/log.ts';
import { ensureOrganization } from '../../src/organization/store.ts';
import { misfitOf } from './events.ts';

export type TestDatabase = Closable & { sql: Sql; url: string; notifier: Notifier };

/**
 * Checks every event that a test stores. An event that does not fit its type ends its transaction, and fails the test file when it closes its database:
 * the retry of a job could hide the first failure.
 */
const misfits: string[] = [];
checkEventsWith((event) => {
  const misfit = misfitOf(event);
  if (misfit === undefined) return;
  misfits.push(misfit);
  throw new Error(misfit);
});

/** A new, migrated, empty database on the run's PostgreSQL. `close` ends its connections and drops it. */
export async function openTestDatabase(): Promise<TestDatabase> {
  const server = inject('testDatabases');
  const url = await call(server, 'POST');
  const sql = connect(url, { max: 5, applicationName: 'test' });
  const notifier = openNotifier(url, createLog('silent'));
  return {
    sql,
    url,
    notifier,
    close: async () => {
      await Promise.all([notifier.close(), sql.end({ timeout: 1 })]);
      await call(`${server}${new URL(url).pathname}`, 'DELETE');
      const found = misfits.splice(0);
      if (found.length > 0) throw new Error([...new Set(found)].join('\n'));
    },
  };
}

/** The dependencies of transactions, on a new database with an organization. */
export async function openTestStore(): Promise<{ database: TestDatabase; store: Store; organizationId: string; close(): Promise<void> }> {
  const database = await openTestDatabase();
  const queue = await openQueue(database.url, database.sql, database.notifier, createLog('silent'));
  return {
    database,
    store: { sql: database.sql, queue },
    organizationId: await ensureOrganization(database.sql, newId(), 'o'),
    close: async () => {
      await queue.close();
      await database.close();
    },
  };
}

/** Number of sessions that wait for a lock of another one. */
export async function waitingForLocks(sql: Sql): Promise<number> {
  const [row] = await sql<
    [{ waiting: number }]
  >`select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
  return row.waiting;
}

async function call(url: string, method: string): Promise<string> {
  const response = await fetch(url, { method, signal: AbortSignal.timeout(60_000) });
  const body = await response.text();
  if (!response.ok) throw new Error(`Cannot ${method} a test database: ${body}`);
  return body;
}
