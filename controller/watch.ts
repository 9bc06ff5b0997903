import { relative, sep } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { transact } from '../src/db/transact.ts';
import { messageOf } from '../src/errors.ts';
import { parseRemote } from '../src/git/remote.ts';
import type { Controller } from './context.ts';
import { checkWorkspace } from './reconcile/workspace.ts';

/** Changes come in bursts: one look after them is enough. */
const SETTLE_MS = 100;
/** Which paths are watched is compared with the sources this often. */
const RESCAN_MS = 2_000;
/** inotify watches are a limited good: beyond this many workspaces tampering is found by the agent's own check alone. */
const MAX_WATCHED_WORKSPACES = 2_000;

/**
 * Watches the repositories of local sources (a commit wakes the source within a second) and the workspaces (tampering by hand is checked at
 * once).
 */
export async function startWatching(controller: Controller, workspacesRoot: string): Promise<{ close(): Promise<void> }> {
  const wakes = createDebounce(SETTLE_MS);
  const repositories = watch([], { ignoreInitial: true, depth: 8, ignored: (path) => path.includes(`${sep}objects${sep}`) });
  const sourcesByPath = new Map<string, string>();
  repositories.on('all', (_event, path) => {
    for (const [root, sourceId] of sourcesByPath) {
      if (!path.startsWith(root)) continue;
      wakes.run(`source ${sourceId}`, () =>
        transact(controller.store, async ({ enqueue }) => enqueue('source', sourceId)).catch((error: unknown) => warn(controller, error)),
      );
    }
  });
  const rescan = () => followLocalSources(controller, repositories, sourcesByPath).catch((error: unknown) => warn(controller, error));
  await rescan();
  const timer = setInterval(rescan, RESCAN_MS);
  const workspaces = watchWorkspaces(controller, workspacesRoot, wakes);
  return {
    close: async () => {
      clearInterval(timer);
      await Promise.all([repositories.close(), workspaces.close()]);
      await wakes.close();
    },
  };
}

async function followLocalSources(controller: Controller, watcher: FSWatcher, sourcesByPath: Map<string, string>): Promise<void> {
  if (!controller.config.ALLOW_LOCAL_SOURCES) return;
  const rows = await controller.store.sql<
    { id: string; url: string }[]
  >`select id, url from sources where url like '/%' or url like 'file:%'`;
  const wanted = new Map<string, string>();
  for (const { id, url } of rows) {
    const remote = parseRemote(url, { allowHttp: false, allowLocal: true });
    if (remote.kind === 'local') wanted.set(remote.path, id);
  }
  for (const path of sourcesByPath.keys()) if (!wanted.has(path)) watcher.unwatch(path);
  for (const path of wanted.keys()) if (!sourcesByPath.has(path)) watcher.add([path, `${path}/.git`]);
  sourcesByPath.clear();
  for (const [path, id] of wanted) sourcesByPath.set(path, id);
}

function watchWorkspaces(controller: Controller, root: string, wakes: Debounce): FSWatcher {
  const seen = new Set<string>();
  // Below a workspace, only what `current` can lead to: releases and the link itself.
  const ignored = (path: string) => {
    const [name, part] = relative(root, path).split(sep);
    if (name === undefined || name === '') return false;
    if (!seen.has(name) && seen.size >= MAX_WATCHED_WORKSPACES) return true;
    seen.add(name);
    return part !== undefined && part !== 'releases' && part !== 'current';
  };
  const watcher = watch(root, { ignoreInitial: true, followSymlinks: false, ignored });
  watcher.on('all', (_event, path) => {
    const [name] = relative(root, path).split(sep);
    if (name === undefined || !/^[0-9a-f]{32}$/.test(name)) return;
    wakes.run(`workspace ${name}`, () => checkWorkspace(controller, name).catch((error: unknown) => warn(controller, error)));
  });
  return watcher;
}

function warn(controller: Controller, error: unknown): void {
  controller.log.warn({ err: error }, `watching: ${messageOf(error)}`);
}

type Debounce = { run(key: string, work: () => Promise<void>): void; close(): Promise<void> };

/** Runs the latest `work` of a key once `settleMs` passed without another. */
function createDebounce(settleMs: number): Debounce {
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Set<Promise<void>>();
  return {
    run: (key, work) => {
      clearTimeout(timers.get(key));
      const start = () => {
        timers.delete(key);
        const done: Promise<void> = work().finally(() => running.delete(done));
        running.add(done);
      };
      timers.set(key, setTimeout(start, settleMs));
    },
    close: async () => {
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all(running);
    },
  };
}
