import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isNoSpace } from '../../src/wire/no-space.ts';
import { messageOf } from '../../src/wire/problem.ts';

/** File system errors that only a person can repair, with the remedy. Until then the agent retries with growing pauses. */
const REMEDIES: Readonly<Record<string, string>> = {
  EROFS: 'the file system is read-only: remount it writable',
  EACCES: 'the agent may not write there: give the root to the user that runs the agent',
  EPERM: 'the system forbids the change: give the root to the user that runs the agent, and remove immutable flags (chattr -i)',
  EBUSY: 'it is a mount point or in use by the system: unmount it',
  EIO: 'the disk reports errors: check or replace it',
  ELOOP: 'symbolic links form a loop: remove them',
};

/** A firewall makes these calls fail with EPERM and EACCES, too. */
const NETWORK_CALLS = new Set(['connect', 'bind', 'send', 'getaddrinfo']);

/** Whether the error passes once somebody frees disk space or repairs the agent's root. */
export function isDiskTrouble(error: unknown): boolean {
  return isNoSpace(error) || remedyOf(error) !== null;
}

/** Whether somebody must repair the root. A full disk does not count. */
export function isRootUnusable(error: unknown): boolean {
  return remedyOf(error) !== null;
}

/** Names the fault and its remedy. */
export async function describeDiskTrouble(error: unknown): Promise<string> {
  const remedy = remedyOf(error);
  if (remedy === null) return `The device's disk is full, the agent changes nothing until there is space: ${messageOf(error)}`;
  return `The agent cannot use its root, ${remedy}: ${messageOf(error)}${await ownership(error)}`;
}

function remedyOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const { code, syscall } = error as NodeJS.ErrnoException;
  const isOfDisk = syscall !== undefined && !NETWORK_CALLS.has(syscall);
  if (code !== undefined && isOfDisk && Object.hasOwn(REMEDIES, code)) return REMEDIES[code] ?? null;
  return error.cause === undefined ? null : remedyOf(error.cause);
}

/** The owner of an entry that cannot be written, if the ownership is the reason. */
async function ownership(error: unknown): Promise<string> {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'EACCES' || process.getuid === undefined) return '';
  const { path } = error as NodeJS.ErrnoException;
  if (path === undefined) return '';
  const info = (await lstat(path).catch(() => null)) ?? (await lstat(dirname(path)).catch(() => null));
  return info === null ? '' : ` (it belongs to uid ${info.uid}, the agent runs as uid ${process.getuid()})`;
}
