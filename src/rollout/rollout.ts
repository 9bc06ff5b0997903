import type { RolloutPolicy } from '../policy/policy.ts';

export const ROLLOUT_STATES = [
  'planned',
  'awaiting_approval',
  'running',
  'paused',
  'completed',
  'aborted',
  'reverting',
  'reverted',
  'superseded',
] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];

export const ROLLOUT_TRANSITIONS: Readonly<Record<RolloutState, readonly RolloutState[]>> = {
  planned: ['awaiting_approval', 'running', 'paused', 'completed', 'superseded', 'aborted'],
  awaiting_approval: ['running', 'paused', 'completed', 'superseded', 'aborted'],
  running: ['awaiting_approval', 'paused', 'completed', 'aborted', 'superseded'],
  paused: ['running', 'aborted', 'superseded'],
  aborted: ['reverting'],
  reverting: ['reverted'],
  // an operator retries failed devices
  completed: ['running'],
  reverted: [],
  superseded: [],
};

export function rolloutStatesBefore(to: RolloutState): RolloutState[] {
  return ROLLOUT_STATES.filter((from) => ROLLOUT_TRANSITIONS[from].includes(to));
}

/** States in which the rollout may still start devices, now or after an operator's action. */
export const ACTIVE_STATES = ['planned', 'awaiting_approval', 'running', 'paused'] as const satisfies readonly RolloutState[];

export function isActive(state: RolloutState): boolean {
  return ACTIVE_STATES.some((active) => active === state);
}

/** `revision`: deploys a revision from Git. `rollback`: an operator deploys an older revision while the source is held. */
export type RolloutKind = 'revision' | 'rollback';

/** Why a rollout does nothing now. People read `detail`. */
export type Waiting = { code: string; detail: string };

export type Rollout = {
  organizationId: string;
  id: string;
  sourceId: string;
  revisionId: string;
  kind: RolloutKind;
  state: RolloutState;
  policy: RolloutPolicy;
  reason: string | null;
  createdBy: string;
  waiting: Waiting | null;
  nextLookAt: Date | null;
  endCode: string | null;
  endDetail: string | null;
  windowsOverriddenBy: string | null;
  version: number;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
};
