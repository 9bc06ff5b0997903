import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Readable } from 'node:stream';
import { COMPILE_CACHE } from '../../wire/compile-cache.ts';

/** A program of ours in its own process. */
export type Started = {
  name: string;
  /** With `keepOutput`, what it writes to stdout; the rest goes to the log file. */
  stdout: Readable | null;
  /** How it ended, in words. */
  ended: Promise<string>;
  /** SIGTERM, and SIGKILL for one that takes too long. */
  close(): Promise<void>;
};

export type ProcessOptions = {
  name: string;
  /** Script and arguments for this Node. */
  args: string[];
  env: Record<string, string>;
  logFile: string;
  keepOutput?: boolean;
};

/** More than the service and the agents allow themselves. */
const STOP_TIMEOUT_MS = 30_000;
const PATH = '/usr/local/bin:/usr/bin:/bin';

/**
 * Starts it in a process group of its own, so that Ctrl-C in a terminal reaches the demonstration alone, which ends all in order. It
 * inherits nothing of the environment: a DATABASE_URL of the user's is not the demonstration's.
 */
export async function startProcess(options: ProcessOptions): Promise<Started> {
  const log = await open(options.logFile, 'a', 0o600);
  try {
    const child = spawn(process.execPath, options.args, {
      detached: true,
      env: { PATH, TMPDIR: tmpdir(), NODE_COMPILE_CACHE: COMPILE_CACHE, ...options.env },
      stdio: ['ignore', options.keepOutput ? 'pipe' : log.fd, log.fd],
    });
    const ended = endOf(child);
    return { name: options.name, stdout: child.stdout, ended, close: () => stop(child, ended) };
  } finally {
    await log.close();
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((done) => {
    child.once('error', (error) => done(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => done(signal === null ? `ended with code ${code}` : `ended with ${signal}`));
  });
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  child.kill('SIGTERM');
  const limit = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(limit);
  // A program that ended early may leave processes that it started.
  if (child.pid !== undefined) killGroup(child.pid);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The usual case: nobody is left.
  }
}
