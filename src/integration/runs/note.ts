import { isProblem, Problem } from '../../errors.ts';
import { type Store, transact, type Unit } from '../../event/transact.ts';
import { eventOf, type Integration, type RunCounts, STALE_AFTER_SECONDS } from '../integration.ts';
import { block, lockIntegration, markStale, writeRunEnd } from '../store/services.ts';
import { decideRunEnd, isBlocking } from './end.ts';

/** `error`: what ended the run before its time. Failures of single devices are in the counts. */
export type RunOutcome = { counts: RunCounts } | { error: unknown };

/**
 * Records the end of a run with its events, and decides when the next one begins. Only the first of equal failures in a row is an event of its
 * own, so that an outage does not fill the log of events.
 * @param integration as it was when the run began
 */
export async function noteRun({ tx, emit }: Pick<Unit, 'tx' | 'emit'>, integration: Integration, outcome: RunOutcome): Promise<void> {
  // Refused before it began: the platform did not fail.
  if ('error' in outcome && isProblem(outcome.error, 'integration_blocked', 'integration_disabled')) return;
  const before = await lockIntegration(tx, integration.organizationId, integration.id);
  // It was removed meanwhile.
  if (before === undefined) return;
  const end = decideRunEnd(before, 'error' in outcome ? outcome.error : undefined);
  const after = (await writeRunEnd(tx, integration, end)) ?? before;
  const { name, failures } = before;
  if (end.ok) {
    if ('counts' in outcome) emit(eventOf(after, 'integration.synced', { name, counts: outcome.counts }));
    if (failures > 0 || before.staleSince !== null) emit(eventOf(after, 'integration.recovered', { name, failures }));
    return;
  }
  const { code, detail } = end;
  if (after.blockedReason !== null) {
    if (before.blockedReason === null) emit(eventOf(after, 'integration.blocked', { name, code, detail }));
  } else if (failures === 0 || before.errorCode !== code) {
    emit(eventOf(after, 'integration.sync_failed', { name, code, detail, failures: after.failures }));
  }
}

/**
 * Blocks an integration whose credentials the platform refused outside a run: for a command, a push or a view. Other errors have no effect.
 * @returns whether the error blocks
 */
export async function blockAfter(store: Store, integration: Integration, error: unknown): Promise<boolean> {
  if (!isBlocking(error) || !(error instanceof Problem)) return false;
  const { code, message: detail } = error;
  await transact(store, async ({ tx, emit }) => {
    if (await block(tx, integration, code, detail))
      emit(eventOf(integration, 'integration.blocked', { name: integration.name, code, detail }));
  });
  return true;
}

/** Marks integrations whose data are too old, with one event each. A recurring chore. */
export async function noteStale({ tx, emit }: Pick<Unit, 'tx' | 'emit'>): Promise<void> {
  for (const integration of await markStale(tx, STALE_AFTER_SECONDS)) {
    const { name, lastSuccessAt } = integration;
    emit(eventOf(integration, 'integration.stale', { name, ...(lastSuccessAt && { since: lastSuccessAt.toISOString() }) }));
  }
}
