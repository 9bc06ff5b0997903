import { lstat, mkdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Log } from '../log.ts';
import { lockRoot } from './lock.ts';
import { setAside } from './set-aside.ts';

/**
 * Where an agent keeps things below its root:
 *
 * - `current` → `releases/<digest>`, what the device's software reads
 * - `hooks/<name>`, executables that the device's owner installs
 * - `backups/<n>-<digest>`, real copies of `current` from before the last changes; `drifted/` the same from before a repair
 * - `bundles/<digest>.tar` and `.json`: verified archive and manifest of each release, from which tampered files are restored
 * - `staging/`: downloads that have not been verified
 * - `identity.json`, `state.json`, `outbox.jsonl`, `agent.lock`
 * - `<name>.set-aside-<time>`: what stood in the place of one of these and was not the agent's. The agent never deletes it.
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
  /** Entries that the agent set aside and has not reported yet. */
  notices: string[];
  /** Renames what is not the agent's and stands in its way. `why` begins the line about it. */
  setAside(path: string, why: string): Promise<void>;
  close(): void;
};

/** @throws Problem `root_in_use` when another agent runs on it; an error of the disk */
export async function openRoot(path: string, log: Log): Promise<Root> {
  const folder = resolve(path);
  const at = (name: string) => join(folder, name);
  const notices: string[] = [];
  const root: Root = {
    folder,
    current: at('current'),
    hooks: at('hooks'),
    releases: at('releases'),
    backups: at('backups'),
    drifted: at('drifted'),
    bundles: at('bundles'),
    staging: at('staging'),
    identity: at('identity.json'),
    state: at('state.json'),
    outbox: at('outbox.jsonl'),
    notices,
    async setAside(path, why) {
      const as = await setAside(path);
      log('warn', why, { path, as });
      notices.push(`${why}: "${path}" was renamed to "${as}"`);
    },
    close: () => lock.close(),
  };
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const lock = await lockRoot(at('agent.lock'), log);
  try {
    await ensureFolders(root);
    return root;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Creates the missing folders. Sets aside anything else in their places: a file, a link that leads nowhere. */
export async function ensureFolders(root: Root): Promise<void> {
  for (const name of ['hooks', 'releases', 'backups', 'drifted', 'bundles', 'staging'] as const) {
    const path = root[name];
    if ((await stat(path).catch(() => null))?.isDirectory()) continue;
    if ((await lstat(path).catch(() => null)) !== null) await root.setAside(path, `"${name}" was no folder`);
    await mkdir(path, { recursive: true, mode: name === 'hooks' || name === 'releases' ? 0o755 : 0o700 });
  }
}
