import type { Integration } from '../integration.ts';

/** `new`: no sync has ended yet. */
export const INTEGRATION_STATES = ['new', 'ok', 'failing', 'stale', 'blocked', 'disabled'] as const;
export type IntegrationState = (typeof INTEGRATION_STATES)[number];

type Judged = Pick<Integration, 'isActive' | 'blockedReason' | 'staleSince' | 'failures' | 'lastSuccessAt'>;

/** The one word for an integration: the fact that a person must act on first. */
export function stateOf({ isActive, blockedReason, staleSince, failures, lastSuccessAt }: Judged): IntegrationState {
  if (!isActive) return 'disabled';
  if (blockedReason !== null) return 'blocked';
  if (staleSince !== null) return 'stale';
  if (failures > 0) return 'failing';
  return lastSuccessAt === null ? 'new' : 'ok';
}
