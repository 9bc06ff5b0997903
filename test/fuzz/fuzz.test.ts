import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../support/database.ts';
import { readOperations } from './description.ts';
import { ADMIN_TOKEN } from './golden.ts';
import { fuzz } from './run.ts';
import { closeConnections } from './send.ts';
import { startService } from './service.ts';
import { openWorld } from './world.ts';

test('no request to any operation of /openapi.json breaks the service, and every answer is as described', {
  timeout: 600_000,
}, async () => {
  await using opened = new AsyncDisposableStack();
  const database = await openTestDatabase();
  opened.defer(() => database.close());
  const dataDir = await mkdtemp(join(tmpdir(), 'bellwether-fuzz-'));
  opened.defer(() => rm(dataDir, { recursive: true, force: true }));
  const service = await startService({ DATA_DIR: dataDir, DATABASE_URL: database.url, BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN });
  opened.defer(() => service.close());
  const world = await openWorld(service.url, database.url);
  opened.defer(() => world.close());
  opened.defer(closeConnections);
  const operations = await readOperations(service.url);
  expect(operations.length).toBeGreaterThan(60);

  const goOn = () => false;
  const { findings, requests, uncovered } = await fuzz({
    ...{ url: service.url, operations, world, goOn },
    ...{ seed: 1, requestsPerRound: 3, lanes: 4 },
  });

  expect(findings).toEqual([]);
  expect(service.complaints).toEqual([]);
  expect(requests).toBeGreaterThan(operations.length * 3);
  // Each operation takes effect at least once. Otherwise the test would prove nothing about it.
  expect(uncovered).toEqual([]);
  expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
});
