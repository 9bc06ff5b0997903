import type { Context } from 'hono';
import { audit } from '../audit/store.ts';
import { type Store, transact, type Unit } from '../db/transact.ts';
import type { Env } from './api.ts';

type Act = { action: string; subject: string; commitOid?: string | null; detail?: Record<string, unknown> };

/** Runs a person's or program's act in one transaction with its line in the audit log. */
export async function act<T>(c: Context<Env>, store: Store, what: Act, work: (unit: Unit) => Promise<T>): Promise<T> {
  const actor = c.get('actor');
  return transact(store, async (unit) => {
    const result = await work(unit);
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
