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
  // The API alone: the test checks the source itself.
  service = await openService({ ROLE: 'api' });
});

afterAll(async () => {
  await service.close();
  await host.close();
});

test('a check that fails after a newer one has ended does not change the source; it is only checked again soon', async () => {
  const url = await host.createRepository('a');
  const head = await host.commit('a', folder({ vlan: 1 }));
  const { id } = (await service.api('POST', '/sources', { name: 'a', url, layout: 'repo', pollIntervalSeconds: 3600 })).body;
  const { services } = service.app;
  const { sql } = service.database;
  const now = async () => (await service.api('GET', `/sources/${id}`)).body;
  const check = () => reconcileSource(services, createBulkhead({ workers: 2, slowAtOnce: 1 }), id);
  await check();
  expect(await now()).toMatchObject({ headCommit: head, failures: 0 });
  // Two checks that begin now. A JavaScript date drops the microseconds of the last check's time.
  await sql`update sources set last_checked_at = '2026-01-02T03:04:05.678999Z' where id = ${id}`;
  const [early, late] = [(await sourceById(sql, id))!, (await sourceById(sql, id))!];
  const silent = new Problem('git_timeout', 'no complete answer within 5000 ms');

  await recordFailure(services, early, silent);
  expect(await now()).toMatchObject({ status: 'failing', failures: 1, lastError: { code: 'git_timeout' } });
  await check();
  const healthy = await now();
  expect(healthy).toMatchObject({ status: 'ok', failures: 0, lastError: null });

  await recordFailure(services, late, silent);
  const after = await now();
  expect(after).toEqual({ ...healthy, nextCheckAt: expect.any(String) });
  expect(Date.parse(after.nextCheckAt)).toBeLessThan(Date.parse(healthy.nextCheckAt));
});
