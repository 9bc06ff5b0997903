import type { Context } from 'hono';
import { audit } from '../audit/store.ts';
import { retryJobsNow } from '../db/job-failures.ts';
import { type Store, transact, type Unit } from '../db/transact.ts';
import type { Env } from './api.ts';

type Job = Parameters<typeof retryJobsNow>[1][number];
type Act = { action: string; subject: string; commitOid?: string | null; detail?: Record<string, unknown> };

/** Runs a person's or program's act in one transaction with its line in the audit log. */
export async function act<T>(c: Context<Env>, store: Store, what: Act, work: (unit: Unit) => Promise<T>): Promise<T> {
  const actor = c.get('actor');
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
      ...what,
      outcome: 'ok',
      detail: { ...what.detail, requestId: c.get('requestId') },
    });
    return result;
  });
}
