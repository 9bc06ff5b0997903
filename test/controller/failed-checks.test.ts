import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBulkhead } from '../../controller/reconcile/bulkhead.ts';
import { reconcileSource, recordFailure } from '../../controller/reconcile/source.ts';
import { Problem } from '../../src/errors.ts';
import { sourceById } from '../../src/source/store.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { folder } from '../support/scene.ts';
import { openService, type TestService } from '../support/service.ts';

let host: TestGitHost;
let service: TestService;

beforeAll(async () => {
  host = await openGitHost();
  // The API alone: a source is looked at when the test says so.
  service = await openService({ ROLE: 'api' });
});

afterAll(async () => {
  await service.close();
  await host.close();
});

test('a look that fails after a newer one has ended says nothing against the source; it is only looked at again soon', async () => {
  const url = await host.createRepository('a');
  const head = await host.commit('a', folder({ vlan: 1 }));
  const { id } = (await service.api('POST', '/sources', { name: 'a', url, layout: 'repo', pollIntervalSeconds: 3600 })).body;
  const { services } = service.app;
  const { sql } = service.database;
  const now = async () => (await service.api('GET', `/sources/${id}`)).body;
  const look = () => reconcileSource(services, createBulkhead({ workers: 2, slowAtOnce: 1 }), id);
  await look();
  expect(await now()).toMatchObject({ headCommit: head, failures: 0 });
  // Two looks that begin now. A date of JavaScript leaves out the microseconds of the last one's time.
  await sql`update sources set last_checked_at = '2026-01-02T03:04:05.678999Z' where id = ${id}`;
  const [early, late] = [(await sourceById(sql, id))!, (await sourceById(sql, id))!];
  const silent = new Problem('git_timeout', 'no complete answer within 5000 ms');

  await recordFailure(services, early, silent);
  expect(await now()).toMatchObject({ status: 'failing', failures: 1, lastError: { code: 'git_timeout' } });
  await look();
  const well = await now();
  expect(well).toMatchObject({ status: 'ok', failures: 0, lastError: null });

  await recordFailure(services, late, silent);
  const after = await now();
  expect(after).toEqual({ ...well, nextCheckAt: expect.any(String) });
  expect(Date.parse(after.nextCheckAt)).toBeLessThan(Date.parse(well.nextCheckAt));
});
