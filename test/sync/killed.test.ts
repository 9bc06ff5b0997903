import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lineOf, startProgram } from '../../bench/support/processes.ts';
import { openTestDatabase } from '../support/database.ts';
import { serveDepot } from '../support/depot.ts';
import { ADMIN_TOKEN, clientOf } from '../support/service.ts';
import { createDepot, until } from './support.ts';

const DEVICES = 10_000;

test('a sync whose process is killed goes on from its page in another process, without a device twice', { timeout: 120_000 }, async () => {
  const depot = await serveDepot({ devices: DEVICES, latencyMs: 40 });
  const database = await openTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'bellwether-killed-'));
  const start = async (name: string) => {
    const env = {
      PORT: '0',
      DATA_DIR: join(folder, name),
      DATABASE_URL: database.url,
      BELLWETHER_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
      BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN,
      ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
      GIT_WORKERS: '1',
      LOG_LEVEL: 'error',
    };
    const program = startProgram('test/sync/service-child.ts', { env });
    const url = await lineOf(program, (line) => (line.startsWith('http://') ? line : undefined), 60_000);
    return { program, api: clientOf(url, ADMIN_TOKEN) };
  };
  const first = await start('first');
  const id = await createDepot(first, depot, {});
  await first.api('POST', `/integrations/${id}/sync`);
  const cutOff = await until('some pages to be taken', async () => {
    const [row] = await database.sql<{ cursor: string | null; run: string }[]>`
      select cursor, run_id as run from device_sync_log where device_id is null and cursor is not null`;
    return row;
  });
  first.program.child.kill('SIGKILL');
  await first.program.end();
  const askedBefore = depot.requests.length;
  const second = await start('second');
  try {
    // The job of the killed process runs again as well: one more sync may follow.
    const run = await until('the sync that was cut off to end', async () => {
      const { items } = (await second.api('GET', `/integrations/${id}/sync-log?kind=runs&limit=10`)).body;
      return items.find(({ runId, status }: { runId: string; status: string }) => runId === cutOff.run && status !== 'running');
    });
    expect(run).toMatchObject({ status: 'succeeded', details: { seen: DEVICES, created: DEVICES, pages: DEVICES / 100 } });
    const [counts] = await database.sql<{ devices: number; shown: number }[]>`
      select count(*)::int as devices, count(distinct integration_metadata ->> 'external_id')::int as shown from devices`;
    expect(counts).toEqual({ devices: DEVICES, shown: DEVICES });
    const asked = depot.requests.slice(askedBefore).filter(({ query }) => query.has('page'));
    expect(Number(asked[0]?.query.get('page'))).toBeGreaterThan(0);
  } finally {
    await second.program.end();
    await depot.close();
    await database.close();
    await rm(folder, { recursive: true, force: true });
  }
});
