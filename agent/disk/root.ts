import { lstat, mkdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Log } from '../log.ts';
import { lockRoot } from './lock.ts';
import { setAside } from './set-aside.ts';

/**
 * Folders and files below an agent's root:
 *
 * - `current` → `releases/<digest>`, the files that the device's software reads
 * - `hooks/<name>`, executables that the device's owner installs
 * - `backups/<n>-<digest>`, real copies of `current` from before the last changes; `drifted/` holds copies from before a repair
 * - `bundles/<digest>.tar` and `.json`: verified archive and manifest of each release, from which the agent restores changed files
 * - `staging/`: downloads before their verification
 * - `identity.json`, `state.json`, `outbox.jsonl`, `agent.lock`
 * - `<name>.set-aside-<time>`: a foreign entry that was in the place of one of these. The agent never deletes it.
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
  /** Renames a foreign entry that is in the agent's way. `why` begins its log line and its report. */
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

/** Creates the missing folders. It sets anything else in their places aside: a file, a dangling link. */
export async function ensureFolders(root: Root): Promise<void> {
  for (const name of ['hooks', 'releases', 'backups', 'drifted', 'bundles', 'staging'] as const) {
    const path = root[name];
    if ((await stat(path).catch(() => null))?.isDirectory()) continue;
    if ((await lstat(path).catch(() => null)) !== null) await root.setAside(path, `"${name}" was not a folder`);
    await mkdir(path, { recursive: true, mode: name === 'hooks' || name === 'releases' ? 0o755 : 0o700 });
  }
}
