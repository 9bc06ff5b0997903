import { backoff } from '../async/backoff.ts';
import type { DeploymentState } from '../wire/deployment.ts';
import { retryOfDeployment } from '../wire/errors.ts';

export type { DeploymentState };

export type DeploymentKind = 'change' | 'rollback' | 'heal' | 'retry';

/**
 * The allowed next states of each state. Reports may skip steps, since a device that was offline sends only the last one, but never return to an earlier
 * step. The controller sets `timed_out` for a silent device; a late report replaces it by the real outcome.
 */
export const TRANSITIONS: Readonly<Record<DeploymentState, readonly DeploymentState[]>> = {
  queued: ['delivering', 'applying', 'confirming', 'succeeded', 'failed', 'superseded', 'cancelled', 'timed_out'],
  delivering: ['applying', 'confirming', 'succeeded', 'failed', 'superseded', 'cancelled', 'timed_out'],
  applying: ['confirming', 'succeeded', 'failed', 'superseded', 'cancelled', 'timed_out'],
  confirming: ['succeeded', 'failed', 'superseded', 'cancelled', 'timed_out'],
  failed: ['rolled_back'],
  timed_out: ['succeeded', 'failed', 'rolled_back'],
  succeeded: [],
  rolled_back: [],
  superseded: [],
  cancelled: [],
};

export const OPEN_STATES = ['queued', 'delivering', 'applying', 'confirming'] as const satisfies readonly DeploymentState[];

export function isOpen(state: DeploymentState): boolean {
  return OPEN_STATES.some((open) => open === state);
}

/** The states from which `to` can be reached. An UPDATE checks them in its WHERE, so that only one of two workers changes the state. */
export function statesBefore(to: DeploymentState): DeploymentState[] {
  return (Object.keys(TRANSITIONS) as DeploymentState[]).filter((from) => TRANSITIONS[from].includes(to));
}

/** Seconds that a device may stay in a step before its attempt times out. `confirming` adds the bundle's own confirm timeout. */
export const STEP_TIMEOUT_SECONDS: Readonly<Record<'delivering' | 'applying' | 'confirming', number>> = {
  delivering: 15 * 60,
  applying: 15 * 60,
  confirming: 5 * 60,
};

const MAX_ATTEMPTS = 5;
const RETRY_SECONDS = { base: 10, cap: 15 * 60 };

export type AfterFailure = { do: 'quarantine' } | { do: 'retry'; inSeconds: number } | { do: 'give_up' };

/**
 * Decides what follows a failed attempt. `random` in [0, 1) spreads the retries of many devices (full jitter on the upper half).
 * Automation never retries a bundle that the device itself found unhealthy.
 */
export function afterFailure(code: string, attempt: number, random: number, maxAttempts: number | null = null): AfterFailure {
  if (retryOfDeployment(code) === 'never') return { do: 'quarantine' };
  if (attempt >= (maxAttempts ?? MAX_ATTEMPTS)) return { do: 'give_up' };
  return { do: 'retry', inSeconds: Math.round(backoff(RETRY_SECONDS, attempt, random)) };
}
