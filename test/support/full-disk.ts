import { execFile } from 'node:child_process';
import { accessSync } from 'node:fs';
import { promisify } from 'node:util';

/**
 * A disk without room for a byte, as far as one process sees: whatever it writes to a file fails (EFBIG), by a limit that needs no rights and
 * that its parent can lift again. Needs `prlimit` of util-linux.
 */
const PRLIMIT = ['/usr/bin/prlimit', '/bin/prlimit'].find(exists);
export const canFillDisk = PRLIMIT !== undefined;

/** Words to put before a command line, so that the disk is full from its beginning. */
export const onFullDisk = [PRLIMIT ?? 'prlimit', '--fsize=0:unlimited'];

export async function fillDisk(pid: number): Promise<void> {
  await limit(pid, '0:');
}

export async function makeRoom(pid: number): Promise<void> {
  await limit(pid, 'unlimited:');
}

async function limit(pid: number, soft: string): Promise<void> {
  await promisify(execFile)(PRLIMIT ?? 'prlimit', ['--pid', String(pid), `--fsize=${soft}`], { timeout: 60_000 });
}

function exists(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}
