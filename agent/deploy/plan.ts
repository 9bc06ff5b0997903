import type { DesiredState } from '../../src/wire/agent.ts';
import type { AgentState, Attempt } from './state.ts';

/** The next action of a device without an attempt under way, by its desired state. */
export type Plan =
  | { do: 'nothing' }
  /**
   * `retry`: the same deployment failed for a reason that may pass, so the agent waits before it tries again. `beginBefore`: a busy device may
   * defer the attempt until then, RFC 3339; null: it may not.
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

/** A bundle stays quarantined while it is desired, or while nothing is desired. */
export function quarantineUnder(desired: DesiredState, quarantined: string[]): string[] {
  const { bundle } = desired;
  return bundle === null ? quarantined : quarantined.filter((digest) => digest === bundle.digest);
}

/** Whether `desired` names another deployment, so that a running delivery can stop. */
export function supersedes(desired: DesiredState, attempt: Attempt): boolean {
  return desired.deploymentId !== attempt.deploymentId;
}

/**
 * Decides how an attempt continues after a start of the agent. The agent resumes it after one interruption. After a second one since the
 * first change of the device, it gives the attempt up: the bundle itself may bring the device down. Interrupted downloads do not count.
 * @param swapped whether `current` points at the attempt's bundle
 */
export function resumeAttempt(attempt: Attempt, stoppedCleanly: boolean, swapped: boolean): Attempt {
  if (attempt.phase === 'delivering' || attempt.phase === 'going_back') return attempt;
  const interruptions = attempt.interruptions + (stoppedCleanly ? 0 : 1);
  // The confirm timeout begins with the swap, however long the power was off.
  if (attempt.phase === 'swapping' && !swapped) return { ...attempt, interruptions, phase: 'prepared', swappedAt: null };
  return { ...attempt, interruptions };
}

export function isGivenUp(attempt: Attempt): boolean {
  return attempt.interruptions >= 2 && attempt.phase !== 'delivering' && attempt.phase !== 'going_back';
}

/**
 * Time since a swap by an earlier process, ms, by the device's own clock. A clock that was set back gives 0.
 */
export function elapsedSinceSwapMs(attempt: Attempt, now: Date): number {
  return attempt.swappedAt === null ? 0 : Math.max(0, now.getTime() - Date.parse(attempt.swappedAt));
}
