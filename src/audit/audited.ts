import type { Db } from '../db/connect.ts';
import { retryJobsNow } from '../db/job-failures-store.ts';
import { type Store, transact, type Unit } from '../event/transact.ts';
import { type Actor, auditName } from '../organization/organization.ts';
import { audit } from './store.ts';

type Job = Parameters<typeof retryJobsNow>[1][number];
type Change = { action: string; subject: string; commitOid?: string | null; detail?: Record<string, unknown> };

/** The caller of an operation, with the id of the request that it sent. */
export type Caller = { actor: Actor; requestId: string };

/** Runs a caller's change in one transaction with its line in the audit log. `change` may depend on the result, such as a name that the work makes. */
export async function audited<T>(
  { actor, requestId }: Caller,
  store: Store,
  change: Change | ((result: T) => Change),
  work: (unit: Unit) => Promise<T>,
): Promise<T> {
  return transact(store, async (unit) => {
    const jobs: Job[] = [];
    const enqueue: Unit['enqueue'] = (queue, key) => {
      jobs.push({ queue, key });
      unit.enqueue(queue, key);
    };
    const result = await work({ ...unit, enqueue });
    await retryJobsNow(unit.tx, jobs);
    const made = typeof change === 'function' ? change(result) : change;
    await audit(unit.tx, {
      organizationId: actor.organizationId,
      actor: auditName(actor),
      ...made,
      outcome: 'ok',
      detail: { ...made.detail, requestId },
    });
    return result;
  });
}

/** Records an attempt that changed nothing: a test, or a change that another system refused. */
export async function auditAttempt({ actor, requestId }: Caller, sql: Db, change: Change, outcome: 'ok' | 'failed'): Promise<void> {
  await audit(sql, {
    organizationId: actor.organizationId,
    actor: auditName(actor),
    ...change,
    outcome,
    detail: { ...change.detail, requestId },
  });
}
