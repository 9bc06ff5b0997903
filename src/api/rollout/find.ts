import type { Db } from '../../db/connect.ts';
import { notFound } from '../../errors.ts';
import type { Rollout } from '../../rollout/rollout.ts';
import { rolloutOf } from '../../rollout/store/store.ts';

/** @throws Problem `not_found` */
export async function findRollout(sql: Db, organizationId: string, id: string): Promise<Rollout> {
  const rollout = await rolloutOf(sql, organizationId, id);
  if (rollout === undefined) throw notFound('rollout', id);
  return rollout;
}
