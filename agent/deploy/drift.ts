import { type FSWatcher, watch } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { backUp, findDrift, pointCurrent, readManifest, releaseFolder, restoreFiles, runningDigest } from '../disk/release.ts';
import { driftReport, reportNotices } from '../reports.ts';
import { deliver } from '../server/delivery.ts';
import { aroundMs } from '../time/backoff.ts';
import { pause } from '../time/signals.ts';

/** An editor often saves several times. The check waits until nothing changed for this long, ms. */
const QUIET_MS = 300;

export type DriftResult = { runningDigest: string | null; changed: string[]; healed: boolean };

/**
 * Compares `current` with its manifest at the start, when the file system announces a change, and every `driftSeconds`. The agent reports
 * each drift once. Under the policy `heal` it copies the changed files aside and restores them from the release's verified archive.
 * The archive costs the bundle's size on the disk and makes the repair possible without the network.
 */
export async function watchDrift(agent: Agent, signal: AbortSignal): Promise<void> {
  const bell = agent.checkFiles;
  const check = createDriftCheck(agent);
  const watched = createWatch(agent, () => bell.ring());
  while (!signal.aborted) {
    watched.follow(await runningDigest(agent.root));
    try {
      await check();
    } catch (error) {
      agent.log('warn', 'failed to check the running files; the next check follows', { error: messageOf(error) });
    }
    await bell.wait(signal, aroundMs(agent.config.driftSeconds, Math.random()));
    await pause(QUIET_MS, signal);
  }
  watched.follow(null);
}

/** Compares once, unless a deployment is under way. The same check does not report the same drift a second time. */
export function createDriftCheck(agent: Agent): () => Promise<DriftResult> {
  let reported = '';
  return () =>
    agent.exclusive(async () => {
      const { running, attempt, driftPolicy } = agent.journal.state;
      const manifest = running === null || attempt !== null ? null : await readManifest(agent.root, running);
      if (running === null || manifest === null) return { runningDigest: running, changed: [], healed: false };
      const linked = (await runningDigest(agent.root)) === running;
      const changed = linked ? await findDrift(releaseFolder(agent.root, running), manifest) : manifest.files.map(({ path }) => path);
      if (changed.length === 0) {
        reported = '';
        return { runningDigest: running, changed, healed: false };
      }
      const healed = driftPolicy === 'heal' && (await heal(agent, running, changed));
      const fact = JSON.stringify([running, changed, healed]);
      if (healed || fact !== reported) await agent.outbox.add([driftReport(agent, running, changed, healed)]);
      await reportNotices(agent);
      agent.log('warn', 'files of the running release were changed', { changed: changed.slice(0, 20), healed });
      reported = healed ? '' : fact;
      return { runningDigest: running, changed, healed };
    });
}

async function heal(agent: Agent, digest: string, changed: string[]): Promise<boolean> {
  const { root, config, fault } = agent;
  try {
    await backUp(root, root.drifted, fault);
    await requireArchive(agent, digest);
    const manifest = await readManifest(root, digest);
    const stillChanged = manifest === null ? changed : await findDrift(releaseFolder(root, digest), manifest);
    await restoreFiles(root, digest, stillChanged, config.maxBundleBytes);
    await pointCurrent(root, digest);
    return true;
  } catch (error) {
    agent.log('error', 'failed to restore the running files; they stay as they are', { digest, error: messageOf(error) });
    return false;
  }
}

/** Downloads an archive that somebody removed, from the address at which every server offers it. */
async function requireArchive(agent: Agent, digest: string): Promise<void> {
  const archive = join(agent.root.bundles, `${digest}.tar`);
  const isThere = await access(archive).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  const context = { ...agent, maxBundleBytes: agent.config.maxBundleBytes };
  await deliver(context, { digest, size: 0, url: `bundles/${digest}` }, AbortSignal.timeout(60_000));
}

/** Watches one release at a time. Without a watch (no inotify, too many folders) the periodic comparison remains. */
function createWatch(agent: Agent, onChange: () => void) {
  let followed: string | null = null;
  let watcher: FSWatcher | null = null;
  return {
    follow(digest: string | null) {
      if (digest === followed) return;
      watcher?.close();
      followed = digest;
      watcher = digest === null ? null : watchRelease(agent, digest, onChange);
    },
  };
}

function watchRelease(agent: Agent, digest: string, onChange: () => void): FSWatcher | null {
  try {
    const watcher = watch(releaseFolder(agent.root, digest), { recursive: true, persistent: false }, onChange);
    watcher.on('error', (error) =>
      agent.log('debug', 'failed to watch the running files; the periodic check remains', { error: messageOf(error) }),
    );
    return watcher;
  } catch (error) {
    agent.log('debug', 'failed to start watching the running files; the periodic check remains', { error: messageOf(error) });
    return null;
  }
}
