import { z } from 'zod';

export type RolloutState =
  | 'planned'
  | 'awaiting_approval'
  | 'running'
  | 'paused'
  | 'completed'
  | 'aborted'
  | 'reverting'
  | 'reverted'
  | 'superseded';

export const ROLLOUT_TRANSITIONS: Readonly<Record<RolloutState, readonly RolloutState[]>> = {
  planned: ['awaiting_approval', 'running', 'completed', 'superseded', 'aborted'],
  awaiting_approval: ['running', 'superseded', 'aborted'],
  running: ['paused', 'completed', 'aborted', 'superseded'],
  paused: ['running', 'aborted', 'superseded'],
  aborted: ['reverting'],
  reverting: ['reverted'],
  completed: [],
  reverted: [],
  superseded: [],
};

export function rolloutStatesBefore(to: RolloutState): RolloutState[] {
  return (Object.keys(ROLLOUT_TRANSITIONS) as RolloutState[]).filter((from) => ROLLOUT_TRANSITIONS[from].includes(to));
}

/** How a revision goes to the devices of a source. */
export const RolloutPolicy = z.strictObject({ strategy: z.literal('all_at_once').default('all_at_once') });
export type RolloutPolicy = z.infer<typeof RolloutPolicy>;

export type Rollout = {
  organizationId: string;
  id: string;
  sourceId: string;
  revisionId: string;
  state: RolloutState;
  policy: RolloutPolicy;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
};
