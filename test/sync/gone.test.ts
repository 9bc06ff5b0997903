import { expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { NO_COUNTS } from '../../src/integration/integration.ts';
import { beginRun } from '../../src/integration/store/sync-log.ts';
import { openScene } from './support.ts';

test('no run begins for an integration that was removed meanwhile, and a run in progress ends without an error', async () => {
  const { service, id, depot, close } = await openScene({}, 5);
  try {
    const { sql } = service.database;
    const [{ organizationId } = { organizationId: '' }] = await sql<{ organizationId: string }[]>`
      select organization_id as "organizationId" from device_services where id = ${id}`;
    const removed = service.api('DELETE', `/integrations/${id}?force=true`);
    depot.faults.push({ path: /devices/, do: { is: 'run', what: () => {} } });
    expect((await removed).status).toBe(204);
    const run = {
      id: newId(),
      operation: 'walk',
      trigger: 'schedule',
      walk: 1,
      counts: NO_COUNTS,
      direction: 'import',
      owner: newId(),
    } as const;
    expect(await sql.begin((tx) => beginRun(tx, { organizationId, id }, run))).toBeUndefined();
    expect(await sql`select 1 from job_failures where queue = 'integration'`).toHaveLength(0);
  } finally {
    await close();
  }
});
