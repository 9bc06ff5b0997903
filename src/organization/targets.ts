import type { Db } from '../db/connect.ts';
import { invalid } from '../errors.ts';
import { haveTargets } from './store.ts';

/** @throws Problem `invalid_request` for a site or source that the organization does not have */
export async function checkTargets(
  tx: Db,
  organizationId: string,
  wanted: { siteId: string | null; sourceId: string | null },
): Promise<void> {
  const found = await haveTargets(tx, organizationId, wanted);
  if (!found.site)
    throw invalid(`Cannot use site "${wanted.siteId}": there is none of that id`, [{ pointer: '/siteId', detail: 'no such site' }]);
  if (!found.source)
    throw invalid(`Cannot use source "${wanted.sourceId}": there is none of that id`, [{ pointer: '/sourceId', detail: 'no such source' }]);
}
