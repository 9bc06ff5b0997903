import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentState } from '../../agent/deploy/state.ts';
import { ENROLL_TOKEN } from '../support/agent-server.ts';

const MAIN = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));

export type AgentProcess = {
  child: ChildProcess;
  /** All its output to stderr so far. */
  log(): string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Kills the process, as a power cut would. */
  kill(): Promise<void>;
};

/** A device's disk in a temporary folder, on which real agent processes run one after the other. */
export type Device = Awaited<ReturnType<typeof createDevice>>;

export async function createDevice(serverUrl: string) {
  const root = await mkdtemp(join(tmpdir(), 'bellwether-device-'));
  const running = new Set<AgentProcess>();
  await mkdir(join(root, 'hooks'));
  return {
    root,
    path: (...names: string[]) => join(root, ...names),
    /** @param under words before its command line @param at its root; null: from the environment */
    start(
      env: Record<string, string> = {},
      args: string[] = ['--enroll', ENROLL_TOKEN, '--device-id', 'terminal-1'],
      under: readonly string[] = [],
      at: string | null = root,
    ): AgentProcess {
      const settings = { BELLWETHER_AGENT_RETRY_SECONDS: '0.2', ...env };
      const started = startProcess(
        [...under, process.execPath, MAIN, '--server', serverUrl, ...(at === null ? [] : ['--root', at]), ...args],
        settings,
      );
      running.add(started);
      started.ended.then(() => running.delete(started));
      return started;
    },
    /** Installs a shell script; `$ROOT` in it is the device's root. */
    async hook(name: string, script: string): Promise<void> {
      await writeFile(join(root, 'hooks', name), `#!/bin/sh\nROOT='${root}'\n${script}\n`);
      await chmod(join(root, 'hooks', name), 0o755);
    },
    /** Contents and modes by path, as the device's software reads them; null without a release. */
    async current(): Promise<Record<string, string> | null> {
      return readTree(join(root, 'current')).catch(() => null);
    },
    state: async () => AgentState.parse(JSON.parse(await readFile(join(root, 'state.json'), 'utf8'))),
    list: async (folder: string) => (await readdir(join(root, folder))).sort(),
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all([...running].map((started) => started.kill()));
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** `<mode> <content>` of each file, by path. */
export async function readTree(folder: string, prefix = ''): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(tree, await readTree(folder, path));
    else tree[path] = `${((await lstat(join(folder, path))).mode & 0o777).toString(8)} ${await readFile(join(folder, path), 'utf8')}`;
  }
  return tree;
}

function startProcess([command = '', ...args]: string[], env: Record<string, string>): AgentProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH, ...env } });
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString('utf8');
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((done) => {
    child.once('close', (code, signal) => done({ code, signal }));
  });
  return {
    child,
    log: () => log,
    ended,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
