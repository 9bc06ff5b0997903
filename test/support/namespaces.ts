import { execFileSync } from 'node:child_process';

/** Of util-linux, as `unshare`. */
const NSENTER = '/usr/bin/nsenter';

/** Whether this machine lets a test make a mount namespace of its own, as a container has one. */
export const canUnshare = succeeds('unshare', ['-rm', 'true']);

/** Words to put before a command line: it runs in a mount namespace of its own, in which `script` ran first. */
export function afterMounting(script: string): string[] {
  return ['unshare', '-rm', 'sh', '-c', `${script} && exec "$@"`, 'sh'];
}

/** Runs a script in the mount namespace of a process that was started so. */
export function inNamespaceOf(pid: number, script: string): void {
  execFileSync(NSENTER, ['-t', String(pid), '-U', '-m', '--preserve-credentials', 'sh', '-c', script], { timeout: 60_000 });
}

export function succeeds(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore', timeout: 60_000 });
    return true;
  } catch {
    return false;
  }
}
