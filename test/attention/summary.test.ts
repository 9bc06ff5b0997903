import { expect, test } from 'vitest';
import { openFlock } from './support.ts';

test('the summary counts devices, sources and running rollouts of the whole organization', async () => {
  await using flock = await openFlock();
  const { api } = flock;
  const source = await flock.source('tills', {
    rolloutPolicy: { waves: [{ devices: ['a'], gate: { success: 100 } }], errorBudget: { max: 3 } },
  });
  for (const id of ['a', 'b', 'c', 'd']) await flock.device(id, { sourceId: source.id });
  await flock.push(source, { 'app.json': '{"v":1}' });
  await flock.answer('a', null);
  await flock.answer('b', null);
  const { body } = await api('GET', '/summary');
  expect(body).toMatchObject({
    devices: { total: 4, byConnectivity: { online: 4 }, bySourceKind: { LOCAL: 4 } },
    rollouts: {
      more: 0,
      running: [{ sourceName: 'tills', state: 'running', succeeded: 2, failed: 0, open: 2, remaining: 0, percent: 50 }],
    },
    sources: { total: 1, held: 0, byStatus: { ok: 1 } },
    integrations: { total: 0, openConflicts: 0 },
    cursor: expect.any(Number),
  });
  for (const id of ['c', 'd']) await flock.answer(id, null);
  await flock.rollout(source, 'completed');
  expect((await api('GET', '/summary')).body).toMatchObject({ devices: { byStatus: { in_sync: 4 } }, rollouts: { running: [] } });
}, 300_000);
