import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { z } from 'zod';
import { createDebounce } from '../src/async/debounce.ts';
import { type Closable, closeOnce } from '../src/async/lifecycle.ts';
import { createRerun } from '../src/async/rerun.ts';
import { isDatabaseAway } from '../src/db/away.ts';
import { filledWorkspaces } from '../src/device/fleet-store.ts';
import { messageOf } from '../src/errors.ts';
import { transact } from '../src/event/transact.ts';
import { parseRemote } from '../src/git/remote.ts';
import { localSources } from '../src/source/store.ts';
import type { Controller } from './context.ts';
import { checkWorkspace } from './reconcile/workspace.ts';

/** Details of chokidar's raw events: the watched directory. They lack it when chokidar polls (`CHOKIDAR_USEPOLLING`); then the event's path is that directory. */
const RawDetails = z.object({ watchedPath: z.string().optional() });
/** Changes arrive in bursts: one check after a burst is enough. */
const DEBOUNCE_MS = 100;
/** Interval at which the watched paths are compared with the sources. */
const RESCAN_MS = 2_000;
/** The system limits inotify watches. In workspaces beyond this number only the agent's own check finds tampering. */
const MAX_WATCHED_WORKSPACES = 2_000;

/**
 * Watches the repositories of local sources, so that a commit wakes its source within a second. Also watches the workspaces, so that manual changes are
 * found at once.
 */
export async function startWatching(controller: Controller, workspacesRoot: string): Promise<Closable> {
  const wakes = createDebounce(DEBOUNCE_MS);
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
  // The watch of a directory reports changes of its files. Watches of single files would be most of the cost.
  const workspaces = watch([], { ignoreInitial: true, followSymlinks: false, ignored: (_path, stats) => stats?.isFile() === true });
  const watched = new Set<string>();
  const check = (name: string) =>
    wakes.run(`workspace ${name}`, () => checkWorkspace(controller, name).catch((error: unknown) => warn(controller, error)));
  workspaces.on('raw', (_event, path, details) =>
    check(relative(workspacesRoot, RawDetails.parse(details).watchedPath ?? path).split(sep)[0] ?? ''),
  );
  const rescan = async () => {
    await Promise.all([
      followLocalSources(controller, repositories, sourcesByPath),
      followWorkspaces(controller, workspaces, workspacesRoot, watched, check),
    ]).catch((error: unknown) => warn(controller, error));
  };
  await rescan();
  const rescans = createRerun(rescan);
  const timer = setInterval(() => void rescans.ask(), RESCAN_MS);
  return {
    close: closeOnce(async () => {
      clearInterval(timer);
      await rescans.idle();
      await Promise.all([repositories.close(), workspaces.close()]);
      await wakes.close();
    }),
  };
}

async function followLocalSources(controller: Controller, watcher: FSWatcher, sourcesByPath: Map<string, string>): Promise<void> {
  if (!controller.config.ALLOW_LOCAL_SOURCES) return;
  const wanted = new Map<string, string>();
  for (const { id, url } of await localSources(controller.store.sql)) {
    const remote = parseRemote(url, { allowHttp: false, allowLocal: true });
    if (remote.kind === 'local') wanted.set(remote.path, id);
  }
  for (const path of sourcesByPath.keys()) if (!wanted.has(path)) watcher.unwatch(path);
  for (const path of wanted.keys()) if (!sourcesByPath.has(path)) watcher.add([path, `${path}/.git`]);
  sourcesByPath.clear();
  for (const [path, id] of wanted) sourcesByPath.set(path, id);
}

/** Watches the `releases` folder of each existing workspace: manual changes happen below it. */
async function followWorkspaces(
  controller: Controller,
  watcher: FSWatcher,
  root: string,
  watched: Set<string>,
  check: (name: string) => void,
): Promise<void> {
  const names = await filledWorkspaces(controller.store.sql, MAX_WATCHED_WORKSPACES);
  // The workspaces of other instances are on their disks.
  const here = new Set(await readdir(root));
  const wanted = new Set(names.filter((name) => here.has(name)));
  for (const name of watched) if (!wanted.has(name)) watcher.unwatch(join(root, name, 'releases'));
  const added = [...wanted].filter((name) => !watched.has(name));
  watcher.add(added.map((name) => join(root, name, 'releases')));
  // Finds changes from before the watch began.
  for (const name of added) check(name);
  watched.clear();
  for (const name of wanted) watched.add(name);
}

function warn(controller: Controller, error: unknown): void {
  controller.log[isDatabaseAway(error) ? 'debug' : 'warn'](
    { err: error },
    `failed to process file changes; polls and the agents' own checks find them: ${messageOf(error)}`,
  );
}
