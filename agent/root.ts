import { mkdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join, resolve } from 'node:path';
import { sha256Hex } from '../src/wire/bundle.ts';
import { Problem } from '../src/wire/problem.ts';
import { isCode } from './files.ts';

/**
 * Where an agent keeps things below its root:
 *
 * - `current` → `releases/<digest>`, what the device's software reads
 * - `hooks/<name>`, executables that the device's owner installs
 * - `backups/<n>-<digest>`, real copies of `current` from before the last changes; `drifted/` the same from before a repair
 * - `bundles/<digest>.tar` and `.json`: verified archive and manifest of each release, from which tampered files are restored
 * - `staging/`: downloads that have not been verified
 * - `identity.json`, `state.json`, `outbox.jsonl`
 */
export type Root = {
  folder: string;
  current: string;
  hooks: string;
  releases: string;
  backups: string;
  drifted: string;
  bundles: string;
  staging: string;
  identity: string;
  state: string;
  outbox: string;
  close(): Promise<void>;
};

/** Creates the folders and takes the root for this process. @throws Problem `root_in_use` when another agent runs on it. */
export async function openRoot(path: string): Promise<Root> {
  const folder = resolve(path);
  const at = (name: string) => join(folder, name);
  const folders = {
    hooks: at('hooks'),
    releases: at('releases'),
    backups: at('backups'),
    drifted: at('drifted'),
    bundles: at('bundles'),
    staging: at('staging'),
  };
  await mkdir(folder, { recursive: true, mode: 0o755 });
  for (const [name, path] of Object.entries(folders)) {
    await mkdir(path, { recursive: true, mode: name === 'hooks' || name === 'releases' ? 0o755 : 0o700 });
  }
  const lock = await takeRoot(folder);
  return {
    folder,
    ...folders,
    current: at('current'),
    identity: at('identity.json'),
    state: at('state.json'),
    outbox: at('outbox.jsonl'),
    close: () => new Promise((done) => (lock === null ? done() : lock.close(() => done()))),
  };
}

/** A socket name in Linux's abstract namespace: one owner at a time, and the kernel frees it however the process ends. */
function takeRoot(folder: string): Promise<Server | null> {
  if (process.platform !== 'linux') return Promise.resolve(null);
  return new Promise((done, fail) => {
    const lock = createServer((socket) => socket.destroy());
    lock.unref();
    lock.once('error', (cause) =>
      fail(
        isCode(cause, 'EADDRINUSE')
          ? new Problem('root_in_use', `Cannot start in "${folder}": another agent runs there`, { cause })
          : cause,
      ),
    );
    lock.listen(`\0bellwether-agent:${sha256Hex(folder).slice(0, 32)}`, () => done(lock));
  });
}
