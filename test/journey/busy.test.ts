import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

type Scene = Awaited<ReturnType<typeof openScene>>;

/** A till that is busy until a file says that it is free, and notes each time that it is asked. */
const TILL_HOOK = 'echo asked >> $ROOT/asked; test -e $ROOT/free || { echo "12 customers"; echo "for 7200"; exit 75; }';

async function openTill(scene: Scene, id: string, sourceId: string, hook?: string) {
  const till = await scene.device(id, sourceId);
  if (hook !== undefined) await till.hook('may-update', hook);
  till.start();
  await eventually(`${id} is online`, async () => (await scene.api('GET', `/devices/${id}`)).body.connectivity === 'online');
  const lines = (name: string) => async () => (await readFile(till.path(name), 'utf8').catch(() => '')).split('\n').length - 1;
  return { ...till, id, timesAsked: lines('asked'), timesApplied: lines('reloads') };
}

const attemptsOf = async (scene: Scene, id: string) => (await scene.api('GET', `/devices/${id}/deployments`)).body.items;

type Deferral = { deploymentId: string; until: string; reason: string };

/** What the device put off last, once the service has said so to everybody. */
const deferred = (scene: Scene, id: string, after?: Deferral) =>
  eventually(`${id} is busy`, async () => {
    const events: { type: string; subject: string; data: Deferral }[] = (await scene.api('GET', '/events?limit=200')).body.items;
    return events.find(
      ({ type, subject, data }) =>
        type === 'deployment.deferred' && subject === `device:${id}` && data.deploymentId !== after?.deploymentId,
    )?.data;
  });

test('a busy device says until when and why, its wave waits for it, a newer commit takes the place of the one that waits, and a free device applies it', async () => {
  await using scene = await openScene();
  const rolloutPolicy = { waves: [{ name: 'canary', devices: ['till-1'] }], device: { busySeconds: 3600 } };
  const source = await scene.source('tills', { rolloutPolicy });
  const [canary, other] = await Promise.all([openTill(scene, 'till-1', source.id, TILL_HOOK), openTill(scene, 'till-2', source.id)]);
  await scene.push('tills', source, folder({ vlan: 1 }));

  const first = await deferred(scene, canary.id);
  expect(first.reason).toBe('12 customers');
  expect((await scene.api('GET', '/devices/till-1/why')).body).toMatchObject([
    { code: 'busy', detail: `The device is busy until ${first.until}: 12 customers`, unblockedBy: `the device, at ${first.until}` },
  ]);
  const [attempt] = await attemptsOf(scene, canary.id);
  expect(attempt).toMatchObject({ id: first.deploymentId, state: 'queued', deferral: { until: first.until, reason: '12 customers' } });
  // It asked for two hours, the policy gives one from the start of the attempt.
  expect(Date.parse(first.until) - Date.parse(attempt.createdAt)).toBe(3_600_000);
  const { body: waiting } = await scene.api('GET', `/rollouts/${attempt.rolloutId}`);
  expect(waiting).toMatchObject({
    state: 'running',
    waves: [{ name: 'canary', open: 1, succeeded: 0, passedAt: null }, { name: 'rest' }],
  });
  expect(await attemptsOf(scene, other.id)).toEqual([]);

  const newer = await scene.push('tills', source, folder({ vlan: 2 }));
  await deferred(scene, canary.id, first);
  const [next, replaced, ...others] = await attemptsOf(scene, canary.id);
  expect([next.state, replaced.id, others]).toEqual(['queued', first.deploymentId, []]);
  // Whichever comes first: the newer rollout takes its place, or the older one calls it off.
  expect(replaced.state).toMatch(/^(superseded|cancelled)$/);
  expect(await canary.current()).toBe(null);
  await canary.hook('may-update', 'exit 0');
  await scene.api('POST', '/devices/till-1/commands', { type: 'update_config' });
  await scene.converged(canary.id, newer);
  await scene.converged(other.id, newer);
  expect([await canary.timesApplied(), await other.timesApplied()]).toEqual([1, 1]);
  expect(await scene.why(canary.id)).toEqual([]);
});

test('a device that stays busy begins at the deadline, and one whose policy knows no busy devices is not asked', async () => {
  await using scene = await openScene();
  const source = await scene.source('tills', { rolloutPolicy: { device: { busySeconds: 20 } } });
  const till = await openTill(scene, 'till-1', source.id, TILL_HOOK);
  const first = await scene.push('tills', source, folder({ vlan: 1 }));
  const [busy] = await Promise.all([deferred(scene, till.id), scene.converged(till.id, first)]);
  const [attempt] = await attemptsOf(scene, till.id);
  expect(attempt).toMatchObject({ id: busy.deploymentId, state: 'succeeded', attempt: 1 });
  expect(Date.parse(attempt.deliveringAt)).toBeGreaterThanOrEqual(Date.parse(busy.until));
  expect(await till.timesAsked()).toBe(1);

  const { status } = await scene.api('PATCH', `/sources/${source.id}`, { rolloutPolicy: {} });
  expect(status).toBe(200);
  const second = await scene.push('tills', source, folder({ vlan: 2 }));
  await scene.converged(till.id, second);
  expect(await till.timesAsked()).toBe(1);
  await eventually('the device says that it was not asked', async () =>
    (await scene.api('GET', '/devices/till-1/logs')).body.items.some(
      ({ message }: { message: string }) => message === 'The hook "may-update" was skipped: this deployment allows no delay.',
    ),
  );
});
