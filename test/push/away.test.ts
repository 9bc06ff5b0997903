import { expect, test } from 'vitest';
import { createProviders } from '../../src/integration/registry.ts';
import { openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';
import { scriptPlatform } from './platform.ts';

test('a rollout waits neither for a device that is offline at its platform nor for an archived one, which is in no plan', async () => {
  const shelf = scriptPlatform('shelf');
  // A delivery to a platform that lists its devices is no sign of life of one: the next sync shows that.
  const provider = { ...shelf.provider, abilities: { ...shelf.provider.abilities, list: true } };
  await using fleet = await openFleet({}, { providers: createProviders([provider]) });
  const { api } = fleet;
  const { sql } = fleet.service.database;
  const source = await fleet.source('shelves', { rolloutPolicy: { offlineGraceSeconds: 0 } });
  expect(
    (await api('POST', '/integrations', { type: 'shelf', name: 'Shelf', settings: {}, credentials: {}, autoSync: false })).status,
  ).toBe(201);
  for (const id of ['here', 'away', 'gone']) {
    expect((await api('POST', '/devices', { id, type: 'x', adapter: 'shelf', sourceId: source.id })).status).toBe(201);
    expect((await api('POST', '/integrations/shelf/assignments', { deviceId: id, externalId: id })).status).toBe(201);
  }
  await sql`update devices set source_kind = 'EXTERNAL', connectivity = case when id = 'away' then 'offline' else 'online' end`;
  await sql`update devices set archived_at = now(), connectivity = 'unknown' where id = 'gone'`;
  shelf.script = ({ step, device }) =>
    step === 'verify' && device === 'away' ? { is: 'pending', reason: 'the device is asleep', afterSeconds: 1 } : undefined;
  const commit = await fleet.push(source, { 'app.json': '{"n":1}' });
  const rollout = await fleet.rollout(source, 'completed');
  expect(rollout.waves).toMatchObject([{ succeeded: 1, offline: 1, failed: 0, open: 0 }]);
  expect(shelf.steps('away')).toContain('apply');
  expect(shelf.steps('gone')).toEqual([]);
  const plan = await api('POST', `/sources/${source.id}/plan?ref=${commit}`);
  expect(plan.status).toBe(200);
  expect(JSON.stringify(plan.body)).not.toContain('"gone"');
  const metrics = await eventually('the gauges of the database are read', async () => {
    const text = await (await fetch(`${fleet.service.url}/metrics`)).text();
    return /^bellwether_devices\{/m.test(text) && text;
  });
  const counts = [...metrics.matchAll(/^bellwether_devices\{[^}]*\} (\d+)$/gm)].map(([, count]) => Number(count));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2);
  // Back online, it ends by itself, after the rollout.
  shelf.script = () => undefined;
  await sql`update devices set connectivity = 'online' where id = 'away'`;
  await eventually('the device that was away runs it', async () => (await fleet.device('away')).syncStatus === 'in_sync');
});
