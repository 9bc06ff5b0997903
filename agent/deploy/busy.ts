import { z } from 'zod';
import type { Agent } from '../context.ts';
import { deferredReport, logReport } from '../reports.ts';
import { isInstalled, runHook, runningContext } from './hooks.ts';
import type { Attempt } from './state.ts';

/** This hook's exit code is 0 if the device may be changed now and 75 if it is busy. The device's owner installs it; it never comes from Git. */
const HOOK = 'may-update';
/** EX_TEMPFAIL of sysexits.h. */
const BUSY_EXIT_CODE = 75;
const DEFAULT_BUSY_MS = 60_000;
/** Shortest wait, so that a hook which names a very short time does not load the device. */
const SHORTEST_BUSY_MS = 5_000;
const REASON_LENGTH = 500;

const WithOffset = z.iso.datetime({ offset: true });

/**
 * Runs the hook that decides whether the attempt may begin, if the policy allows a delay and the hook is installed. The agent reports a busy
 * device. Any other failure of the hook does not delay the update: a broken hook would keep the device on old files for good.
 * @returns when to run the hook again, at `beginBefore` at the latest; null: begin
 * @throws the signal's reason; an error of the disk
 */
export async function checkBusy(
  agent: Agent,
  { deploymentId }: Attempt,
  beginBefore: string | null,
  signal: AbortSignal,
): Promise<Date | null> {
  if (!(await isInstalled(HOOK, agent.root.hooks))) return null;
  const deadline = Date.parse(beginBefore ?? '');
  if (!(deadline > agent.clock.now().getTime())) {
    const why = beginBefore === null ? 'this deployment allows no delay' : `this deployment had to begin before ${beginBefore}`;
    await logAndReport(agent, 'info', deploymentId, `The hook "${HOOK}" was skipped: ${why}.`);
    return null;
  }
  const result = await runHook(HOOK, runningContext(agent), agent.config.hookTimeoutSeconds * 1000, signal);
  if (result.ok) return null;
  if (result.exitCode !== BUSY_EXIT_CODE) {
    const output = result.output === '' ? '' : `:\n${result.output}`;
    await logAndReport(agent, 'warn', deploymentId, `The deployment begins although the busy check failed: ${result.why}${output}`);
    return null;
  }
  const { until, reason } = readBusy(result.stdout, agent.clock.now(), new Date(deadline));
  agent.log('info', 'deployment deferred: the device is busy', { deploymentId, until: until.toISOString(), reason });
  await agent.outbox.add([deferredReport(agent, deploymentId, until, reason)]);
  return until;
}

/**
 * Parses the output of a busy device's hook. A last line `until <RFC 3339>` or `for <seconds>` names the wait (60 s without it); the other
 * lines are the reason.
 * `until` is at least 5 s from `now`, and never after `deadline`.
 */
export function readBusy(stdout: string, now: Date, deadline: Date): { until: Date; reason: string } {
  const lines = stdout.trim().split('\n');
  const asked = readUntil(lines.at(-1) ?? '', now);
  const untilMs = Math.max(asked ?? now.getTime() + DEFAULT_BUSY_MS, now.getTime() + SHORTEST_BUSY_MS);
  const reason = asked === null ? lines : lines.slice(0, -1);
  return {
    until: new Date(Math.min(untilMs, deadline.getTime())),
    reason: reason.join('\n').trim().slice(0, REASON_LENGTH).toWellFormed(),
  };
}

/** Ms since the epoch, or null. */
function readUntil(line: string, now: Date): number | null {
  const [, until, seconds] = /^(?:until (\S+)|for (\d{1,12}(?:\.\d+)?))\s*$/.exec(line) ?? [];
  if (seconds !== undefined) return now.getTime() + Number(seconds) * 1000;
  return WithOffset.safeParse(until).success ? Date.parse(until ?? '') : null;
}

async function logAndReport(agent: Agent, level: 'info' | 'warn', deploymentId: string, message: string): Promise<void> {
  agent.log(level, message, { deploymentId });
  await agent.outbox.add([logReport(agent, level, message, deploymentId)]);
}
