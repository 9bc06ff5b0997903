import { isNoSpace } from '../../src/wire/no-space.ts';
import { messageOf } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { describeDiskTrouble, isRootUnusable } from '../disk/disk-trouble.ts';
import { hasRelease, pointCurrent, readManifest, releaseFolder, restoreFiles, runningDigest, tidy } from '../disk/release.ts';
import { deploymentReport, reportNotices } from '../reports.ts';
import { runHook } from './hooks.ts';
import type { Attempt } from './state.ts';

/** Rolls the device back to the release before the attempt, and ends the attempt. @throws an error, after which the next call resumes it */
export async function rollBack(agent: Agent, attempt: Attempt, signal: AbortSignal): Promise<void> {
  const { fault } = agent;
  const { deploymentId, number, previous, failure } = attempt;
  fault('before_swap_back');
  const blocked = await returnToPrevious(agent, attempt);
  fault('after_swap_back');
  const trouble = blocked ?? (attempt.touched ? await runAfterAgain(agent, attempt, signal) : null);
  fault('after_back_hook');
  const detail = [failure?.detail, trouble].filter(Boolean).join('\n');
  const report = await deploymentReport(agent, attempt, 'rolled_back', { code: failure?.code, detail });
  fault('before_rolled_back');
  await agent.journal.write(
    (state) => ({
      attempt: null,
      finished: { deploymentId, number, retryable: failure?.retryable ?? false },
      quarantined: failure?.quarantine ? [...new Set([...state.quarantined, attempt.digest])].slice(-16) : state.quarantined,
    }),
    [report],
  );
  fault('after_rolled_back');
  agent.log('warn', 'rolled back to the previous release', { deploymentId, digest: previous });
  await finish(agent);
}

/**
 * Points `current` at the previous release, and restores its files if somebody removed them.
 * @returns why this needs a person who repairs the root, if the attempt's bundle does not run either. The attempt then ends; the next one
 * tries again.
 * @throws an error of the disk while `current` points at the attempt's bundle
 */
async function returnToPrevious({ root, config }: Agent, { previous, digest }: Attempt): Promise<string | null> {
  try {
    const manifest = previous === null || (await hasRelease(root, previous)) ? null : await readManifest(root, previous);
    if (previous !== null && manifest !== null)
      await restoreFiles(
        root,
        previous,
        manifest.files.map(({ path }) => path),
        config.maxBundleBytes,
      );
    await pointCurrent(root, previous);
    return null;
  } catch (error) {
    if (isNoSpace(error) || (await runningDigest(root).catch(() => digest)) === digest) throw error;
    return isRootUnusable(error) ? describeDiskTrouble(error) : `Cannot point "current" at the previous release: ${messageOf(error)}`;
  }
}

/** Runs the `after` hook of the restored bundle. If it names none, the failed bundle's one runs, because its `before` may have stopped something. */
async function runAfterAgain(agent: Agent, attempt: Attempt, signal: AbortSignal): Promise<string | null> {
  const { previous } = attempt;
  const manifest = previous === null ? null : await readManifest(agent.root, previous);
  const name = manifest?.apply.hooks.after ?? attempt.apply?.hooks.after;
  if (name === undefined) return null;
  const release = previous === null ? agent.root.folder : releaseFolder(agent.root, previous);
  const context = {
    hooksFolder: agent.root.hooks,
    release,
    previous: releaseFolder(agent.root, attempt.digest),
    deviceId: agent.identity.deviceId,
  };
  const result = await runHook(name, context, agent.config.hookTimeoutSeconds * 1000, signal);
  return result.ok ? null : `After the rollback, ${result.why}`;
}

/** After an attempt: sends reports again, triggers a check of the files, and removes releases that are no longer needed. */
export async function finish(agent: Agent): Promise<void> {
  agent.outbox.hold(false);
  agent.checkFiles.ring();
  await reportNotices(agent);
  const { running, previous } = agent.journal.state;
  await tidy(agent.root, [running, previous]).catch((error: unknown) =>
    agent.log('warn', 'failed to remove old releases; the next deployment tries again', { error: messageOf(error) }),
  );
}
