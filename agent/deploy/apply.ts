import type { Report } from '../../src/wire/agent.ts';
import type { BundleManifest } from '../../src/wire/bundle.ts';
import { isNoSpace } from '../../src/wire/no-space.ts';
import { isProblem, messageOf, Problem } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { describeDiskTrouble, isRootUnusable } from '../disk/disk-trouble.ts';
import { backUp, findDrift, pointCurrent, readManifest, releaseFolder, restoreFiles, runningDigest } from '../disk/release.ts';
import { ensureFolders } from '../disk/root.ts';
import { deploymentReport } from '../reports.ts';
import { deliver } from '../server/delivery.ts';
import { pause } from '../time/signals.ts';
import { type HookResult, runHook } from './hooks.ts';
import { elapsedSinceSwapMs, isGivenUp, resumeAttempt } from './plan.ts';
import { finish, rollBack } from './roll-back.ts';
import type { Attempt, Failure, Phase } from './state.ts';

/**
 * The steps of one attempt. A power cut may interrupt a step at any instant; the next process then repeats it from its beginning. The
 * journal names the step. `current` always points at either the old or the new release.
 */
const STEPS: Record<Phase, (agent: Agent, attempt: Attempt, signal: AbortSignal) => Promise<void>> = {
  delivering,
  prepared: runBefore,
  swapping: swapAndCheck,
  confirming: confirm,
  going_back: rollBack,
};

/** Kept in memory with a monotonic time: a clock that somebody sets must not shorten or lengthen the wait for the server. */
const thisProcess = new WeakMap<Agent, { deploymentId: string; healthy: boolean; swappedAtMs: number }>();

/**
 * Runs the journal's attempt to its end. `superseded` stops an attempt that still downloads.
 * @throws the signal's reason; an error of the disk, after which the next call resumes the attempt
 */
export async function runAttempt(agent: Agent, superseded: AbortSignal, signal: AbortSignal): Promise<void> {
  for (let { attempt } = agent.journal.state; attempt !== null; { attempt } = agent.journal.state) {
    const { phase } = attempt;
    try {
      await STEPS[phase](agent, attempt, phase === 'delivering' ? AbortSignal.any([signal, superseded]) : signal);
    } catch (error) {
      signal.throwIfAborted();
      if (phase === 'going_back') throw error;
      if (phase === 'delivering' && superseded.aborted) await drop(agent, attempt);
      else await fail(agent, attempt, await failureOf(error, attempt));
    }
  }
}

export async function beginAttempt(agent: Agent, attempt: Attempt): Promise<void> {
  agent.log('info', 'deployment began', { deploymentId: attempt.deploymentId, digest: attempt.digest, number: attempt.number });
  const report = await deploymentReport(agent, attempt, 'delivering');
  await agent.journal.write(() => ({ attempt }), [report]);
}

/** Reports that the agent does not try a quarantined bundle again. */
export async function refuseAttempt(agent: Agent, deploymentId: string, number: number): Promise<void> {
  const why = { code: 'quarantined', detail: 'This bundle failed on this device before. Retry the deployment, or deploy another bundle.' };
  const named = { deploymentId, number };
  const reports = [await deploymentReport(agent, named, 'failed', why), await deploymentReport(agent, named, 'rolled_back', why)];
  await agent.journal.write(() => ({ finished: { ...named, retryable: false } }), reports);
}

/** Decides how an unfinished attempt continues. The caller runs it once at a start, before the agent sends anything. */
export async function resume(agent: Agent): Promise<void> {
  const { attempt, stoppedCleanly } = agent.journal.state;
  const resumed = attempt && resumeAttempt(attempt, stoppedCleanly, (await runningDigest(agent.root)) === attempt.digest);
  if (resumed?.phase === 'confirming') agent.outbox.hold(true);
  await agent.journal.write(() => ({ attempt: resumed, stoppedCleanly: false }));
  if (resumed === null) return;
  agent.log('warn', 'deployment was interrupted', {
    deploymentId: resumed.deploymentId,
    phase: resumed.phase,
    interruptions: resumed.interruptions,
  });
  if (!isGivenUp(resumed)) return;
  const detail = `The agent was interrupted twice during this deployment, last while ${resumed.phase}.`;
  await fail(agent, resumed, { code: 'interrupted', detail, quarantine: true, retryable: false });
}

async function delivering(agent: Agent, attempt: Attempt, signal: AbortSignal): Promise<void> {
  const { root, fault, config } = agent;
  const context = { ...agent, maxBundleBytes: config.maxBundleBytes };
  await ensureFolders(root);
  const manifest = (await reusedRelease(agent, attempt)) ?? (await deliver(context, attempt, signal));
  await backUp(root, root.backups, fault);
  fault('after_backup');
  if (attempt.digest === attempt.previous) await repairRunning(agent, manifest);
  signal.throwIfAborted();
  fault('before_prepared');
  await move(agent, { ...attempt, phase: 'prepared', apply: manifest.apply, touched: true }, [
    await deploymentReport(agent, attempt, 'applying'),
  ]);
  fault('after_prepared');
}

/** A release that is still on the disk and intact needs no download. */
async function reusedRelease(agent: Agent, { digest, previous }: Attempt): Promise<BundleManifest | null> {
  const manifest = await readManifest(agent.root, digest);
  if (manifest === null) return null;
  if (digest === previous) return manifest;
  return (await findDrift(releaseFolder(agent.root, digest), manifest)).length === 0 ? manifest : null;
}

async function repairRunning({ root, config }: Agent, manifest: BundleManifest): Promise<void> {
  const digest = await runningDigest(root);
  if (digest === null) return;
  const changed = await findDrift(releaseFolder(root, digest), manifest);
  if (changed.length > 0) await restoreFiles(root, digest, changed, config.maxBundleBytes);
}

async function runBefore(agent: Agent, attempt: Attempt, signal: AbortSignal): Promise<void> {
  await requireHook(agent, attempt, attempt.apply?.hooks.before, signal);
  agent.fault('after_before_hook');
  await move(agent, { ...attempt, phase: 'swapping', swappedAt: agent.system.now().toISOString() });
}

async function swapAndCheck(agent: Agent, attempt: Attempt, signal: AbortSignal): Promise<void> {
  const { root, fault, outbox } = agent;
  const here = { deploymentId: attempt.deploymentId, healthy: false, swappedAtMs: performance.now() };
  fault('before_swap');
  await pointCurrent(root, attempt.digest, () => fault('during_swap'));
  fault('after_swap');
  await requireHook(agent, attempt, attempt.apply?.hooks.after, signal);
  fault('after_after_hook');
  await requireHealth(agent, attempt, signal);
  thisProcess.set(agent, { ...here, healthy: true });
  fault('after_health');
  outbox.hold(true);
  fault('before_confirming');
  await move(agent, { ...attempt, phase: 'confirming' }, [await deploymentReport(agent, attempt, 'confirming')]);
  fault('after_confirming');
}

async function confirm(agent: Agent, attempt: Attempt, signal: AbortSignal): Promise<void> {
  const here = thisProcess.get(agent);
  const mine = here?.deploymentId === attempt.deploymentId ? here : null;
  const elapsedMs = mine === null ? elapsedSinceSwapMs(attempt, agent.system.now()) : performance.now() - mine.swappedAtMs;
  const leftMs = (attempt.apply?.confirmTimeoutSeconds ?? 60) * 1000 - elapsedMs;
  if (leftMs <= 0) throw confirmTimeout(attempt);
  const late = AbortSignal.timeout(Math.min(Math.ceil(leftMs), 2 ** 31 - 1));
  if (!mine?.healthy) await requireHealth(agent, attempt, signal);
  let wanted: boolean;
  try {
    wanted = await agent.outbox.confirm(attempt.deploymentId, AbortSignal.any([signal, late]));
  } catch (error) {
    signal.throwIfAborted();
    throw late.aborted ? confirmTimeout(attempt) : error;
  }
  agent.fault('after_confirmed');
  await commit(agent, attempt, wanted);
}

/** `wanted` is false when another deployment superseded this one. The healthy files stay, but the agent reports no success. */
async function commit(agent: Agent, attempt: Attempt, wanted: boolean): Promise<void> {
  const { deploymentId, number, digest } = attempt;
  const reports: Report[] = wanted ? [await deploymentReport(agent, attempt, 'succeeded')] : [];
  agent.fault('before_commit');
  await agent.journal.write(
    (state) => ({
      attempt: null,
      running: digest,
      previous: attempt.previous === digest ? state.previous : attempt.previous,
      finished: { deploymentId, number, retryable: false },
    }),
    reports,
  );
  agent.fault('after_commit');
  agent.log('info', wanted ? 'deployment succeeded' : 'deployment superseded after it was applied', { deploymentId, digest });
  await finish(agent);
}

async function fail(agent: Agent, attempt: Attempt, failure: Failure): Promise<void> {
  agent.log('error', 'deployment failed', { deploymentId: attempt.deploymentId, code: failure.code, detail: failure.detail });
  const report = await deploymentReport(agent, attempt, 'failed', failure);
  agent.fault('before_failure');
  await move(agent, { ...attempt, phase: 'going_back', failure }, [report]);
  agent.fault('after_failure');
}

async function drop(agent: Agent, attempt: Attempt): Promise<void> {
  agent.log('info', 'deployment superseded before it was applied', { deploymentId: attempt.deploymentId });
  await agent.journal.write(() => ({ attempt: null }));
}

async function move(agent: Agent, attempt: Attempt, reports: Report[] = []): Promise<void> {
  await agent.journal.write(() => ({ attempt }), reports);
}

async function requireHook(agent: Agent, attempt: Attempt, name: string | undefined, signal: AbortSignal): Promise<void> {
  if (name === undefined) return;
  const result = await runHook(name, hookContext(agent, attempt), agent.config.hookTimeoutSeconds * 1000, signal);
  if (!result.ok) throw new Problem('hook_failed', describe(result));
}

async function requireHealth(agent: Agent, attempt: Attempt, signal: AbortSignal): Promise<void> {
  const health = attempt.apply?.health;
  for (let tries = 1; health !== undefined; tries += 1) {
    const result = await runHook(health.hook, hookContext(agent, attempt), health.timeoutSeconds * 1000, signal);
    if (result.ok) break;
    if (tries >= health.attempts) throw new Problem('health_check_failed', describe(result));
    await pause(health.intervalSeconds * 1000, signal);
    signal.throwIfAborted();
  }
}

function hookContext(agent: Agent, attempt: Attempt) {
  const previous = attempt.previous === null ? null : releaseFolder(agent.root, attempt.previous);
  return { hooksFolder: agent.root.hooks, release: releaseFolder(agent.root, attempt.digest), previous, deviceId: agent.identity.deviceId };
}

function describe(result: Extract<HookResult, { ok: false }>): string {
  return `${result.why[0]?.toUpperCase()}${result.why.slice(1)}${result.output === '' ? '' : `:\n${result.output}`}`;
}

function confirmTimeout(attempt: Attempt): Problem {
  return new Problem(
    'confirm_timeout',
    `The server could not be reached to confirm within ${attempt.apply?.confirmTimeoutSeconds} s of the swap`,
  );
}

/** Quarantines the bundle if it caused the failure. A failure by the disk or the network is retried later. */
async function failureOf(error: unknown, attempt: Attempt): Promise<Failure> {
  const detail = messageOf(error);
  if (isNoSpace(error)) return { code: 'no_space', detail, quarantine: false, retryable: true };
  if (isRootUnusable(error)) return { code: 'root_unusable', detail: await describeDiskTrouble(error), quarantine: false, retryable: true };
  const code = error instanceof Problem ? error.code : 'apply_failed';
  if (isProblem(error, 'hook_failed', 'health_check_failed')) return { code, detail, quarantine: true, retryable: false };
  // After a power cut, the time may have passed while the device was off.
  if (isProblem(error, 'confirm_timeout')) return { code, detail, quarantine: attempt.interruptions === 0, retryable: false };
  return { code, detail, quarantine: false, retryable: true };
}
