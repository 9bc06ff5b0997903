import { isNoSpace } from '../../src/wire/no-space.ts';
import { messageOf } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { describeDiskTrouble, isRootUnusable } from '../disk/disk-trouble.ts';
import { hasRelease, pointCurrent, readManifest, releaseFolder, restoreFiles, runningDigest, tidy } from '../disk/release.ts';
import { deploymentReport, reportNotices } from '../reports.ts';
import { runHook } from './hooks.ts';
import type { Attempt } from './state.ts';

/** Brings the device back to what ran before the attempt, and ends the attempt. @throws an error that leaves it where it is, to be taken up again */
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
  agent.log('warn', 'went back to what ran before', { deploymentId, digest: previous });
  await finish(agent);
}

/**
 * Points `current` at what ran before, whose files are restored if somebody removed them.
 * @returns why that cannot be done until a person repairs the root, when the attempt's bundle does not run either: then the attempt ends, and the next one
 * tries again
 * @throws while the attempt's bundle is in place
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
    return isRootUnusable(error) ? describeDiskTrouble(error) : `"current" cannot be pointed at what ran before: ${messageOf(error)}`;
  }
}

/** The hook of the bundle that runs again; if it names none, that of the failed one, whose `before` may have stopped something. */
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
  return result.ok ? null : `After going back, ${result.why}`;
}

/** After an attempt: reports may be sent, the files are compared, and what nobody needs is removed. */
export async function finish(agent: Agent): Promise<void> {
  agent.outbox.hold(false);
  agent.lookAtFiles.ring();
  await reportNotices(agent);
  const { running, previous } = agent.journal.state;
  await tidy(agent.root, [running, previous]).catch((error: unknown) => agent.log('warn', 'cannot tidy up', { error: messageOf(error) }));
}
