import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HookName } from '../../src/wire/bundle.ts';
import { messageOf } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { releaseFolder } from '../disk/release.ts';

export type HookContext = {
  hooksFolder: string;
  /** The hook's release, which is also its working directory. */
  release: string;
  previous: string | null;
  deviceId: string;
};

/**
 * `output` is the end of the hook's stdout and stderr; `stdout` is the end of its stdout. `exitCode` is null when the hook was not installed,
 * did not start or was killed.
 */
export type HookResult = { ok: true; output: string } | { ok: false; why: string; exitCode: number | null; stdout: string; output: string };

type Ended = { why: string | null; exitCode: number | null; stdout: string; output: string };

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** The agent keeps the end of a hook's output, because errors are written last. Bytes. */
const OUTPUT_TAIL_BYTES = 3000;
/** Wait for a hook's output after its end, ms: a process that it left behind may still hold its pipes. */
const DRAIN_MS = 100;

/**
 * Runs `hooks/<name>`, which the device's owner installed, in its own process group. The agent kills the whole group when the hook takes too
 * long or the signal fires. A hook must be idempotent, because the agent runs it again after a power cut. A hook that starts a daemon must
 * redirect the daemon's output.
 * @throws the signal's reason
 */
export async function runHook(name: string, context: HookContext, timeoutMs: number, signal: AbortSignal): Promise<HookResult> {
  const path = join(context.hooksFolder, name);
  const fault = await installationFault(name, path);
  if (fault !== null) return { ok: false, why: fault, exitCode: null, stdout: '', output: '' };
  signal.throwIfAborted();
  const { why, ...result } = await runProcess(path, context, timeoutMs, signal);
  signal.throwIfAborted();
  return why === null ? { ok: true, output: result.output } : { ok: false, why: `the hook "${name}" ${why}`, ...result };
}

/** Whether the device's owner installed anything under this name. `runHook` reports its faults. */
export async function isInstalled(name: string, hooksFolder: string): Promise<boolean> {
  return access(join(hooksFolder, name)).then(
    () => true,
    () => false,
  );
}

/** For a hook that concerns the running release, not a new one. */
export function runningContext({ root, journal, identity }: Agent): HookContext {
  const { running, previous } = journal.state;
  return {
    hooksFolder: root.hooks,
    release: running === null ? root.folder : releaseFolder(root, running),
    previous: previous === null ? null : releaseFolder(root, previous),
    deviceId: identity.deviceId,
  };
}

async function installationFault(name: string, path: string): Promise<string | null> {
  if (!HookName.safeParse(name).success) return `"${name}" is not a hook's name`;
  try {
    if (!(await stat(path)).isFile()) return `the hook "${name}" is not a file`;
  } catch {
    return `the hook "${name}" is not installed on this device`;
  }
  return access(path, constants.X_OK).then(
    () => null,
    () => `the hook "${name}" is not executable`,
  );
}

function runProcess(path: string, context: HookContext, timeoutMs: number, signal: AbortSignal): Promise<Ended> {
  return new Promise((done) => {
    const tail = createTail();
    const stdout = createTail();
    const child = spawn(path, [], {
      cwd: context.release,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH,
        BELLWETHER_RELEASE: context.release,
        BELLWETHER_PREVIOUS: context.previous ?? '',
        BELLWETHER_DEVICE_ID: context.deviceId,
      },
    });
    let killedBecause: string | null = null;
    const kill = (why: string) => {
      killedBecause = why;
      killGroup(child);
    };
    const timer = setTimeout(() => kill(`took longer than ${timeoutMs / 1000} s and was killed`), timeoutMs);
    const onAbort = () => kill('was stopped');
    signal.addEventListener('abort', onAbort, { once: true });
    const finish = (why: string | null, exitCode: number | null) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      child.stdout.destroy();
      child.stderr.destroy();
      const isKilled = killedBecause !== null;
      done({ why: killedBecause ?? why, exitCode: isKilled ? null : exitCode, stdout: stdout.text(), output: tail.text() });
    };
    child.stdout.on('data', tail.push);
    child.stdout.on('data', stdout.push);
    child.stderr.on('data', tail.push);
    child.once('error', (error) => finish(`cannot be started: ${messageOf(error)}`, null));
    child.once('exit', (code, killedBy) => {
      const why = code === 0 ? null : `ended with ${code === null ? `signal ${killedBy}` : `code ${code}`}`;
      const drained = setTimeout(() => finish(why, code), DRAIN_MS);
      child.once('close', () => {
        clearTimeout(drained);
        finish(why, code);
      });
    });
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function createTail() {
  let kept = Buffer.alloc(0);
  return {
    push(chunk: Buffer) {
      kept = Buffer.concat([kept, chunk]).subarray(-OUTPUT_TAIL_BYTES);
    },
    // PostgreSQL stores no NUL: the server would refuse a report with one.
    text: () => kept.toString('utf8').replaceAll('\0', '\uFFFD').trim(),
  };
}
