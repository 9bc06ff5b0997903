import { execFileSync } from 'node:child_process';

/** Of util-linux, as `unshare`. */
const NSENTER = '/usr/bin/nsenter';

/** Whether this machine allows a test to create a mount namespace, such as a container has. */
export const canUnshare = succeeds('unshare', ['-rm', 'true']);

/** Words before a command line, so that it runs in a new mount namespace after `script`. */
export function afterMounting(script: string): string[] {
  return ['unshare', '-rm', 'sh', '-c', `${script} && exec "$@"`, 'sh'];
}

/** Runs a script in the mount namespace of such a process. */
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
