import { retryJobsNow } from '../db/job-failures-store.ts';
import { type Store, transact, type Unit } from '../event/transact.ts';
import type { Actor } from '../organization/organization.ts';
import { audit } from './store.ts';

type Job = Parameters<typeof retryJobsNow>[1][number];
type Change = { action: string; subject: string; commitOid?: string | null; detail?: Record<string, unknown> };

/** The caller of an operation, with the id of the request that it sent. */
export type Caller = { actor: Actor; requestId: string };

/** Runs a caller's change in one transaction with its line in the audit log. */
export async function audited<T>({ actor, requestId }: Caller, store: Store, change: Change, work: (unit: Unit) => Promise<T>): Promise<T> {
  return transact(store, async (unit) => {
    const jobs: Job[] = [];
    const enqueue: Unit['enqueue'] = (queue, key) => {
      jobs.push({ queue, key });
      unit.enqueue(queue, key);
    };
    const result = await work({ ...unit, enqueue });
    await retryJobsNow(unit.tx, jobs);
    await audit(unit.tx, {
      organizationId: actor.organizationId,
      actor: `token:${actor.name}`,
      ...change,
      outcome: 'ok',
      detail: { ...change.detail, requestId },
    });
    return result;
  });
}
