import { readFileSync } from 'node:fs';
import { access, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Closable } from '../async/lifecycle.ts';
import { pause } from '../async/pause.ts';
import { expecting } from '../errors.ts';
import { connect } from './connect.ts';

/** Server process of an embedded PostgreSQL, started by this run or left by an earlier one. */
export type Postmaster = { pid: number; socketDir: string; pgData: string };

export const USER = 'bellwether';
const CHECK_EVERY_MS = 500;

/** Returns the server that `postmaster.pid` names, if that process is alive and answers. PostgreSQL itself handles a stale file. */
export async function runningPostmaster(pgData: string): Promise<Postmaster | undefined> {
  const named = await namedPostmaster(pgData);
  return named !== undefined && alive(named.pid) && (await answers(named)) ? named : undefined;
}

export async function namedPostmaster(pgData: string): Promise<Postmaster | undefined> {
  const lines = (await readFile(join(pgData, 'postmaster.pid'), 'utf8').catch(expecting('', 'ENOENT'))).split('\n');
  const [pid, socketDir] = [Number(lines[0]), lines[4] ?? ''];
  return pid > 0 && socketDir !== '' ? { pid, socketDir, pgData } : undefined;
}

export async function answers(postmaster: Postmaster): Promise<boolean> {
  if (!(await exists(join(postmaster.socketDir, '.s.PGSQL.5432')))) return false;
  const sql = connect(urlOf(postmaster, 'postgres'), { max: 1 });
  try {
    await sql`select 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** `ended` resolves soon after the process has ended. It polls the process id, since the process may not be a child of this one. */
export function watchPostmaster({ pid }: Postmaster): { ended: Promise<void> } & Closable {
  const gone = Promise.withResolvers<void>();
  const timer = setInterval(() => {
    if (alive(pid)) return;
    clearInterval(timer);
    gone.resolve();
  }, CHECK_EVERY_MS);
  timer.unref();
  return { ended: gone.promise, close: async () => clearInterval(timer) };
}

/** Requests a fast shutdown: PostgreSQL rolls back open transactions and ends cleanly. */
export async function stop(postmaster: Postmaster): Promise<void> {
  if (alive(postmaster.pid)) process.kill(postmaster.pid, 'SIGINT');
  const deadline = Date.now() + 8_000;
  // PostgreSQL removes its lock file last. The process itself may remain as a zombie where nothing reaps orphans.
  const stopped = async () => !alive(postmaster.pid) || !(await exists(join(postmaster.pgData, 'postmaster.pid')));
  while (!(await stopped()) && Date.now() < deadline) await pause(20);
  if (!(await stopped())) process.kill(postmaster.pid, 'SIGQUIT');
  await rm(postmaster.socketDir, { recursive: true, force: true });
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return !isZombie(pid);
}

/** An orphan that was not reaped keeps its process id although it has ended. */
function isZombie(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

export function urlOf(postmaster: Postmaster, database: string): string {
  return `postgresql://${USER}@localhost/${database}?host=${encodeURIComponent(postmaster.socketDir)}`;
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
