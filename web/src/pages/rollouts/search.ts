import { listOf, natural, oneOf, searchOf, text } from '../../app/search.ts';

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

export const RolloutsSearch = searchOf({ state: listOf(ROLLOUT_STATES), source: text });

export const RolloutSearch = searchOf({
  tab: oneOf(['waves', 'devices', 'causes', 'diff', 'events']),
  outcome: text,
  wave: natural,
  cause: text,
});
