import { z } from 'zod';
import type { Agent } from '../context.ts';
import { deferredReport, logReport } from '../reports.ts';
import { isInstalled, runHook, runningContext } from './hooks.ts';
import type { Attempt } from './state.ts';

/** The hook by which a device says whether it may be changed now: 0 = now, 75 = busy. It comes from the device's owner, never from Git. */
const HOOK = 'may-update';
/** EX_TEMPFAIL of sysexits.h. */
const BUSY_EXIT_CODE = 75;
const DEFAULT_BUSY_MS = 60_000;
/** A hook that asks to be asked again and again does not keep the device busy with that. */
const SHORTEST_BUSY_MS = 5_000;
const REASON_LENGTH = 500;

const WithOffset = z.iso.datetime({ offset: true });

/**
 * Asks the device whether the attempt may begin, where its policy lets it wait and it has the hook for that. "Not now" is reported. A hook that
 * fails in any other way keeps nothing from its update: a broken one would keep the device on old files for good.
 * @returns when to ask again, at `beginBefore` at the latest; null: begin
 * @throws the signal's reason; an error of the disk
 */
export async function askDevice(
  agent: Agent,
  { deploymentId }: Attempt,
  beginBefore: string | null,
  signal: AbortSignal,
): Promise<Date | null> {
  if (!(await isInstalled(HOOK, agent.root.hooks))) return null;
  const deadline = Date.parse(beginBefore ?? '');
  if (!(deadline > agent.clock.now().getTime())) {
    const why = beginBefore === null ? 'this deployment may not be put off' : `it may be put off until ${beginBefore} and no longer`;
    await tell(agent, 'info', deploymentId, `The hook "${HOOK}" is not asked: ${why}.`);
    return null;
  }
  const result = await runHook(HOOK, runningContext(agent), agent.config.hookTimeoutSeconds * 1000, signal);
  if (result.ok) return null;
  if (result.exitCode !== BUSY_EXIT_CODE) {
    const said = result.output === '' ? '' : `:\n${result.output}`;
    await tell(agent, 'warn', deploymentId, `The deployment begins, as nobody knows whether the device is busy: ${result.why}${said}`);
    return null;
  }
  const { until, reason } = readBusy(result.stdout, agent.clock.now(), new Date(deadline));
  agent.log('info', 'the device is busy', { deploymentId, until: until.toISOString(), reason });
  await agent.outbox.add([deferredReport(agent, deploymentId, until, reason)]);
  return until;
}

/**
 * What a busy device's hook wrote: a last line `until <RFC 3339>` or `for <seconds>` says how long (a minute without it), the rest why.
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

/** On the device and, with the next reports, on the server. */
async function tell(agent: Agent, level: 'info' | 'warn', deploymentId: string, message: string): Promise<void> {
  agent.log(level, message, { deploymentId });
  await agent.outbox.add([logReport(agent, level, message, deploymentId)]);
}
