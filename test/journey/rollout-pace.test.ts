import { expect, test } from 'vitest';
import { openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';

type Event = { type: string; subject: string; data: { deploymentId: string; rolloutId: string | null; state?: string } };
const ENDS = ['succeeded', 'failed', 'superseded', 'cancelled'];

test('at most one device of a site is under way at a time; paused, a rollout lets those end and opens none; resumed, it goes on to the end', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops', { rolloutPolicy: { maxParallelPerSite: 1 } });
  const sites = new Map<string, string>();
  const devices = [];
  for (const name of ['north', 'south']) {
    const { id: siteId } = (await fleet.api('POST', '/sites', { name })).body;
    const enrolled = await fleet.enrol(source, 5, name, { siteId });
    for (const { id } of enrolled) sites.set(id, name);
    devices.push(...enrolled);
  }
  await fleet.run(devices, { latencyMs: 300 });
  await fleet.push(source, { 'app.json': '{"n":1}' });
  const { id } = await eventually('a first device has ended', async () => {
    const rollout = await fleet.rolloutOf(source.id);
    const waves = rollout === undefined ? [] : await fleet.wavesOf(rollout.id);
    return waves.some(({ succeeded }) => succeeded > 0) ? rollout : undefined;
  });

  expect((await fleet.api('POST', `/rollouts/${id}/pause`, { reason: 'lunch' })).body).toMatchObject({
    state: 'paused',
    waiting: { code: 'paused', detail: expect.stringMatching(/ paused it: lunch$/) },
  });
  const rest = await eventually('what was under way has ended', async () => {
    const rollout = (await fleet.api('GET', `/rollouts/${id}`)).body;
    return rollout.counts.open === 0 ? rollout : undefined;
  });
  const touched = await fleet.touched(id);
  expect(touched.length).toBeLessThan(10);
  expect(rest.counts.succeeded).toBe(touched.length);
  const untouched = [...sites.keys()].find((device) => !touched.includes(device)) ?? '';
  expect(await fleet.why(untouched)).toMatchObject([
    { code: 'rollout_paused', detail: expect.stringMatching(/ is paused: .* paused it: lunch$/) },
  ]);

  expect((await fleet.api('POST', `/rollouts/${id}/resume`, {})).body).toMatchObject({ state: 'running' });
  const ended = await fleet.rollout(source, 'completed');
  expect(ended.counts).toMatchObject({ succeeded: 10, failed: 0 });

  const events: Event[] = (await fleet.api('GET', '/events?limit=500')).body.items;
  const open = { north: new Set<string>(), south: new Set<string>() } as Record<string, Set<string>>;
  const together: number[] = [];
  for (const { type, subject, data } of events) {
    const site = open[sites.get(subject.replace('device:', '')) ?? ''];
    if (site === undefined || data.rolloutId !== id) continue;
    if (type === 'deployment.queued') together.push(site.add(data.deploymentId).size);
    else if (ENDS.includes(data.state ?? '')) site.delete(data.deploymentId);
  }
  expect(together).toEqual(Array.from({ length: 10 }, () => 1));
});
