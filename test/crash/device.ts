import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, open, readdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pause } from './wait.ts';

/** A device's disk, and an agent process on it that a supervisor restarts after its end. */
export type Device = Awaited<ReturnType<typeof openDevice>>;

const MAIN = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));
const SUPERVISOR_PAUSE_MS = 100;

/** @param refuses whether its health check fails for a host that ends in `.invalid` */
export async function openDevice(folder: string, id: string, serverUrl: string, credentials: string[], refuses: boolean) {
  const root = join(folder, id);
  await mkdir(join(root, 'hooks'), { recursive: true });
  await installHook(root, 'stop', 'exit 0');
  await installHook(root, 'reload', 'exit 0');
  await installHook(root, 'check', refuses ? '! grep -q "\\.invalid" "$BELLWETHER_RELEASE/app.json"' : 'exit 0');
  const log = await open(join(folder, `${id}.log`), 'a');
  const args = [MAIN, '--server', serverUrl, '--root', root, '--device-id', id, ...credentials];
  let child: ChildProcess | undefined;
  let cuts = 0;
  const start = (fault = '') => {
    const started = spawn(process.execPath, args, {
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: process.env.PATH, BELLWETHER_AGENT_RETRY_SECONDS: '0.2', BELLWETHER_AGENT_FAULT: fault },
    });
    child = started;
    started.once('exit', (_code, signal) => {
      if (signal === 'SIGKILL' && fault !== '') cuts += 1;
      // This is still the current process, so it ended by itself.
      void pause(SUPERVISOR_PAUSE_MS).then(() => child === started && start());
    });
  };
  const kill = async () => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise<void>((done) => running.once('exit', () => done()));
    running.kill('SIGKILL');
    await ended;
  };
  return {
    id,
    root,
    /** @param fault the point of a single power cut */
    start,
    kill,
    /** Number of power cuts at a named point. */
    cuts: () => cuts,
    /** Contents by path, as the device's software reads them; null before the first release. @throws when `current` points at no whole release */
    current: () => readCurrent(root),
    backups: async () => (await readdir(join(root, 'backups'))).filter((name) => !name.endsWith('.tmp')).length,
    async close(): Promise<void> {
      await kill();
      await log.close();
    },
  };
}

async function installHook(root: string, name: string, script: string): Promise<void> {
  await writeFile(join(root, 'hooks', name), `#!/bin/sh\n${script}\n`);
  await chmod(join(root, 'hooks', name), 0o755);
}

async function readCurrent(root: string): Promise<Record<string, string> | null> {
  const names = await readdir(root);
  if (!names.includes('current')) return null;
  const release = await realpath(join(root, 'current'));
  if (dirname(release) !== (await realpath(join(root, 'releases'))) || !/^[0-9a-f]{64}$/.test(basename(release)))
    throw new Error(`current leads to "${release}", must be a release`);
  return readFiles(release);
}

/** Contents of all files below a folder, by path. */
export async function readFiles(folder: string, prefix = ''): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (entry.isDirectory()) Object.assign(files, await readFiles(folder, path));
    else files[path] = await readFile(join(folder, path), 'utf8');
  }
  return files;
}
