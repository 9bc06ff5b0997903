import { execFile } from 'node:child_process';
import { accessSync } from 'node:fs';
import { promisify } from 'node:util';

/**
 * A full disk for one process: each write to a file fails (EFBIG). The limit needs no privileges, and the parent can lift it again. It needs
 * `prlimit` of util-linux.
 */
const PRLIMIT = ['/usr/bin/prlimit', '/bin/prlimit'].find(exists);
export const canFillDisk = PRLIMIT !== undefined;

/** Words before a command line, so that the disk is full from the start of the process. */
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
