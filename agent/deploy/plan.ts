import type { DesiredState } from '../../src/wire/agent.ts';
import type { AgentState, Attempt } from './state.ts';

/** What the desired state asks of a device that is in `state` and busy with nothing. */
export type Plan =
  | { do: 'nothing' }
  /**
   * `retry`: the same deployment failed for want of something that may come, so it is not tried at once. `beginBefore`: until when a busy
   * device may put it off, RFC 3339; null: it may not.
   */
  | { do: 'apply'; attempt: Attempt; retry: boolean; beginBefore: string | null }
  /** The bundle failed here before. */
  | { do: 'refuse'; deploymentId: string; number: number };

export function planNext(desired: DesiredState | null, state: Readonly<AgentState>): Plan {
  if (desired === null || desired.bundle === null || desired.deploymentId === null) return { do: 'nothing' };
  const { bundle, deploymentId } = desired;
  const again = state.finished?.deploymentId === deploymentId;
  if (again && !state.finished?.retryable) return { do: 'nothing' };
  if (state.quarantined.includes(bundle.digest) && !desired.force) return { do: 'refuse', deploymentId, number: 1 };
  const number = again ? (state.finished?.number ?? 0) + 1 : 1;
  const attempt: Attempt = {
    deploymentId,
    ...bundle,
    previous: state.running,
    number,
    phase: 'delivering',
    interruptions: 0,
    swappedAt: null,
    touched: false,
    apply: null,
    failure: null,
  };
  return { do: 'apply', attempt, retry: again, beginBefore: desired.beginBefore };
}

/** A bundle stays in quarantine for as long as it, or nothing, is desired. */
export function quarantineUnder(desired: DesiredState, quarantined: string[]): string[] {
  const { bundle } = desired;
  return bundle === null ? quarantined : quarantined.filter((digest) => digest === bundle.digest);
}

/** True when `desired` makes a delivery that still runs pointless. */
export function supersedes(desired: DesiredState, attempt: Attempt): boolean {
  return desired.deploymentId !== attempt.deploymentId;
}

/**
 * How an attempt goes on after a start of the agent. A first interruption resumes it; a second one, since the device began to be changed,
 * gives it up: the bundle may be what brings the device down. Downloading may be interrupted any number of times.
 * @param swapped whether `current` points at the attempt's bundle
 */
export function resumeAttempt(attempt: Attempt, stoppedCleanly: boolean, swapped: boolean): Attempt {
  if (attempt.phase === 'delivering' || attempt.phase === 'going_back') return attempt;
  const interruptions = attempt.interruptions + (stoppedCleanly ? 0 : 1);
  // Not yet swapped: the confirm timeout has not begun, however long the power was off.
  if (attempt.phase === 'swapping' && !swapped) return { ...attempt, interruptions, phase: 'prepared', swappedAt: null };
  return { ...attempt, interruptions };
}

export function isGivenUp(attempt: Attempt): boolean {
  return attempt.interruptions >= 2 && attempt.phase !== 'delivering' && attempt.phase !== 'going_back';
}

/**
 * Time that has passed since the swap, ms, when another process made it: by the device's own clock, of which one that was set back counts
 * as no time.
 */
export function elapsedSinceSwapMs(attempt: Attempt, now: Date): number {
  return attempt.swappedAt === null ? 0 : Math.max(0, now.getTime() - Date.parse(attempt.swappedAt));
}
