import { lstat, open, truncate } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { Problem } from '../../src/wire/problem.ts';
import type { Log } from '../log.ts';
import { isCode } from './files.ts';
import { setAside } from './set-aside.ts';

export type RootLock = { close(): void };

/** Result codes of SQLite: https://www.sqlite.org/rescode.html */
const BUSY = 5;
const CANNOT_OPEN = 14;
const NOT_A_DATABASE = 26;
const IO_ERROR = 10;

const TRIES = 3;

/**
 * Locks the root for this process by a kernel lock on a file in it (fcntl). The lock works through symbolic links, bind mounts and containers,
 * and ends with the process in any case. Node itself has no file locks, but its SQLite has. The file stays empty.
 * @throws Problem `root_in_use`; an error of the disk
 */
export async function lockRoot(path: string, log: Log): Promise<RootLock> {
  for (let tries = 1; ; tries += 1) {
    const code = tryLock(path);
    if (typeof code !== 'number') return code;
    if (code === BUSY) throw new Problem('root_in_use', `Cannot start: another agent runs on this root and holds "${path}"; stop it first`);
    if (tries === TRIES || code === IO_ERROR) return withoutLock(path, code, log);
    if (code === NOT_A_DATABASE) await truncate(path);
    else if (code === CANNOT_OPEN) await clearWay(path, log);
  }
}

/** @returns the lock, or SQLite's code of the failure */
function tryLock(path: string): RootLock | number {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    if (database?.isOpen) database.close();
    if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number') return error.errcode & 0xff;
    throw error;
  }
}

/** Sets aside an entry that is not a file. @throws the error of a plain open, which has more detail than SQLite's */
async function clearWay(path: string, log: Log): Promise<void> {
  const info = await lstat(path).catch(() => null);
  if (info !== null && !info.isFile()) {
    log('warn', 'an entry in the place of the lock file was set aside', { path, as: await setAside(path) });
    return;
  }
  await (await open(path, 'a')).close();
}

/** Some network file systems have no locks. */
async function withoutLock(path: string, code: number, log: Log): Promise<RootLock> {
  try {
    await (await open(path, 'r+')).close();
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
  log('error', 'failed to lock the root: its file system has no locks; make sure that only one agent uses it', { path, sqliteCode: code });
  return { close: () => undefined };
}
