import type { Db } from '../../db/connect.ts';
import { notFound } from '../../errors.ts';
import type { Source } from '../../source/source.ts';
import { lockSource, sourceOf } from '../../source/store.ts';

/** @throws Problem `not_found`, also for a source of another organization */
export async function findSource(sql: Db, organizationId: string, id: string): Promise<Source> {
  const source = await sourceOf(sql, organizationId, id);
  if (source === undefined) throw notFound('source', id);
  return source;
}

/** Locks the row until the transaction ends. @throws Problem as `findSource` */
export async function lockFoundSource(tx: Db, organizationId: string, id: string): Promise<Source> {
  const source = await lockSource(tx, id);
  if (source === undefined || source.organizationId !== organizationId) throw notFound('source', id);
  return source;
}
