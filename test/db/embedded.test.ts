import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../src/db/connect.ts';
import { openEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { openQueue } from '../../src/db/queue.ts';
import { transact } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { createLog } from '../../src/log.ts';
import { ensureOrganization } from '../../src/organization/store.ts';
import { openTestDatabase } from '../support/database.ts';
import { eventually } from '../support/service.ts';

const log = createLog('silent');
let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'bellwether-embedded-'));
  await chmod(dataDir, 0o711);
});

afterAll(() => rm(dataDir, { recursive: true, force: true }));

test('the database keeps its data over a restart, and an incomplete directory is created again', async () => {
  // A start that was interrupted while it created the cluster leaves this.
  await mkdir(join(dataDir, 'postgres', 'base'), { recursive: true });
  await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '18\n');
  const first = await openEmbeddedPostgres(dataDir, log);
  const sql = connect(first.url);
  await sql`create table kept (x int)`;
  await sql.end();
  await first.close();
  const second = await openEmbeddedPostgres(dataDir, log);
  const again = connect(second.url);
  expect(await again`select count(*)::int as count from kept`).toEqual([{ count: 0 }]);
  await again.end();
  await second.close();
});

test('a killed postmaster is replaced, and its socket directory is removed', async () => {
  const sockets = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('bellwether-pg-')).sort();
  const before = await sockets();
  const first = await openEmbeddedPostgres(dataDir, log);
  const [mine] = (await sockets()).filter((name) => !before.includes(name));
  process.kill(first.pid, 'SIGKILL');
  const second = await openEmbeddedPostgres(dataDir, log);
  expect(second.pid).not.toBe(first.pid);
  expect(await sockets()).not.toContain(mine);
  await second.close();
});

test('a second owner of the directory is refused while the first one is alive', async () => {
  const first = await openEmbeddedPostgres(dataDir, log);
  await expect(openEmbeddedPostgres(dataDir, log)).rejects.toMatchObject({ code: 'data_dir_in_use' });
  await first.close();
});

test('migrations run once when several instances start at once', async () => {
  const database = await openTestDatabase();
  await database.sql`drop schema public cascade`;
  await database.sql`create schema public`;
  await Promise.all([1, 2, 3].map(() => migrate(database.url, log)));
  const names = await database.sql<{ name: string }[]>`select name from migrations order by name`;
  expect(new Set(names.map((row) => row.name)).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(3);
  // Their client does not wait for its connections to end, and an interrupted one throws.
  await eventually(
    'their connections are gone',
    async () =>
      (
        await database.sql`select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name = ''`
      ).length === 0,
  );
  await database.close();
});

test('a wake-up that a waiting job absorbed is not lost when that job runs before the commit', async () => {
  const database = await openTestDatabase();
  const queue = await openQueue(database.url, database.sql, database.notifier, log);
  const store = { sql: database.sql, queue };
  const { sql } = database;
  const organizationId = await ensureOrganization(sql, newId(), 'default');
  await sql`create table fact (x int)`;
  const seen: number[] = [];
  await queue.enqueue(sql, 'source', 'key');
  // Events wait for this lock. It keeps the transaction open after the waiting job absorbed its wake-up.
  const blocker = await sql.reserve();
  await blocker`select pg_advisory_lock(hashtextextended(${`events:${organizationId}`}, 0))`;
  const writing = transact(store, async ({ tx, enqueue, emit }) => {
    await tx`insert into fact values (1)`;
    enqueue('source', 'key');
    emit({ organizationId, type: 'source.synced', subject: 'source:x', data: { status: 'ok', commit: null } });
  });
  await eventually(
    'the transaction waits',
    async () => (await sql`select 1 from pg_locks where locktype = 'advisory' and not granted`).length > 0,
  );
  await queue.work('source', 1, async () => {
    const [row] = await sql<[{ count: number }]>`select count(*)::int as count from fact`;
    seen.push(row.count);
  });
  await eventually('the job has run too early', async () => seen.length > 0);
  expect(seen).toEqual([0]);
  await blocker`select pg_advisory_unlock(hashtextextended(${`events:${organizationId}`}, 0))`;
  blocker.release();
  await writing;
  await eventually('a check after the commit', async () => seen.includes(1));
  await queue.close();
  await database.close();
});
