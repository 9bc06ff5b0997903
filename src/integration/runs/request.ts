import type { Problem } from '../../errors.ts';
import type { Integration } from '../integration.ts';
import { integrationProblem } from '../problems.ts';

type State = { /** Whether the organization syncs at all. */ isEnabled: boolean; isRunning: boolean };

/** @returns why no sync of the integration can be requested now; undefined: one can */
export function refusalOfRun(
  { name, isActive, blockedReason }: Pick<Integration, 'name' | 'isActive' | 'blockedReason'>,
  { isEnabled, isRunning }: State,
): Problem | undefined {
  const sync = `Cannot sync integration "${name}"`;
  if (!isEnabled) return integrationProblem('integration_disabled', `${sync}: syncing is switched off as a whole; switch it on first`);
  if (!isActive) return integrationProblem('integration_disabled', `${sync}: it is switched off; switch it on first`);
  if (blockedReason !== null) return integrationProblem('integration_blocked', `${sync} until it gets new credentials: ${blockedReason}`);
  if (isRunning) return integrationProblem('integration_busy', `${sync}: a sync of it runs already; its status shows when it has ended`);
  return undefined;
}
