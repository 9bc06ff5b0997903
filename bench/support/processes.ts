import { type ChildProcess, type ForkOptions, fork, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { COMPILE_CACHE } from '../../src/wire/compile-cache.ts';

/** A started program of this repository. `end` sends SIGTERM, waits, and kills the program after a time limit. */
export type Program = { child: ChildProcess; pid: number; output(): string; end(): Promise<void>; [Symbol.asyncDispose](): Promise<void> };

export type ProgramOptions = {
  env?: Record<string, string>;
  args?: string[];
  /** For Node itself. */
  nodeArgs?: readonly string[];
  /** Writes a CPU profile into this folder when it ends. */
  profileDir?: string | undefined;
  /** Starts it with a channel for messages. */
  messages?: boolean;
};

const END_TIMEOUT_MS = 15_000;
const TAIL_CHARACTERS = 8_000;
/** USER_HZ of Linux on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Only Git and shells of the machine; no other part of the caller's environment. */
const PATH = '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin';

/** Starts a file of this repository with the same Node. */
export function startProgram(file: string, options: ProgramOptions = {}): Program {
  const path = fileURLToPath(new URL(`../../${file}`, import.meta.url));
  const profiling = options.profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profileDir}`];
  const execArgv = [...(options.nodeArgs ?? []), ...profiling];
  const settings = {
    env: { PATH, NODE_COMPILE_CACHE: COMPILE_CACHE, ...options.env },
    execArgv,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  } satisfies ForkOptions;
  const child = options.messages
    ? fork(path, options.args ?? [], settings)
    : spawn(process.execPath, [...execArgv, path, ...(options.args ?? [])], { env: settings.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let tail = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      tail = (tail + chunk.toString('utf8')).slice(-TAIL_CHARACTERS);
    });
  }
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const end = async (): Promise<void> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
    await closed;
    clearTimeout(timer);
  };
  return { child, pid: child.pid ?? 0, output: () => tail, end, [Symbol.asyncDispose]: end };
}

/** Resolves with the first result of `find` for a line of the program's stdout. @throws when the program ends first, or after `timeoutMs` */
export function lineOf<T>({ child, output }: Program, find: (line: string) => T | undefined, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    let rest = '';
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      child.stdout?.off('data', take);
      child.off('close', ended);
      act();
    };
    const take = (chunk: Buffer): void => {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const found = find(line);
        if (found === undefined) continue;
        settle(() => resolve(found));
        return;
      }
    };
    const ended = () => settle(() => reject(new Error(`The program ended too early:\n${output()}`)));
    const timer = setTimeout(
      () => settle(() => reject(new Error(`The program was not ready within ${timeoutMs} ms:\n${output()}`))),
      timeoutMs,
    );
    child.stdout?.on('data', take);
    child.once('close', ended);
  });
}

/** User and system time of a process and its threads so far; 0 without /proc. */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = await statOf(pid);
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** The same as `cpuSeconds` for the process and its children, including ended ones. */
export async function familyCpuSeconds(pid: number): Promise<number> {
  let total = await ownAndEndedChildren(pid);
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = await statOf(Number(entry));
    if (Number(fields[1]) === pid) total += await ownAndEndedChildren(Number(entry));
  }
  return total;
}

/** User and system time of the ended children of this process. */
export async function endedChildrenCpuSeconds(): Promise<number> {
  const fields = await statOf(process.pid);
  return (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) / TICKS_PER_SECOND;
}

async function ownAndEndedChildren(pid: number): Promise<number> {
  const fields = await statOf(pid);
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

/** Fields of /proc/<pid>/stat, starting with the state (the third, proc(5)), because the name before it may contain blanks. */
async function statOf(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** `VmHWM` (the peak) or `VmRSS` (now) of a process, MB; 0 without /proc. */
export async function memoryMb(pid: number, what: 'VmHWM' | 'VmRSS'): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Math.round(Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 102.4) / 10;
}
