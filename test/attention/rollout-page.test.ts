import { expect, test } from 'vitest';
import { eventually } from '../support/service.ts';
import { openFlock } from './support.ts';

type Cells = { cursor: number; states: string[]; ids: string[]; wave: (number | null)[]; state: number[]; more: number };

const shown = ({ ids, wave, state, states }: Cells) => ids.map((id, at) => [id, wave[at] ?? null, states[state[at] ?? -1]]);

test('the graph, cells and effects of a rollout follow its waves, and events after the cursor of the cells lead to the present ones', async () => {
  await using flock = await openFlock();
  const { api } = flock;
  const source = await flock.source('tills', {
    rolloutPolicy: { waves: [{ devices: ['a', 'b'], gate: { success: 50, minSucceeded: 1 } }], errorBudget: { max: 2 } },
  });
  for (const id of ['a', 'b', 'c', 'd', 'e']) await flock.device(id, { sourceId: source.id });
  await flock.push(source, { 'app.json': '{"v":1}' });
  for (const id of ['a', 'b', 'c', 'd', 'e']) await flock.answer(id, null);
  await flock.rollout(source, 'completed');
  const { commit, revision } = await flock.push(source, { 'app.json': '{"v":2}' });
  const rollout = await eventually('the first wave is open', async () => {
    const newest = await flock.rolloutOf(source.id);
    const cells = (await api('GET', `/rollouts/${newest.id}/cells`)).body as Cells;
    return newest.revisionId === revision && shown(cells).filter(([, , state]) => state === 'queued').length === 2 ? newest : undefined;
  });
  const read = async (part: string) => (await api('GET', `/rollouts/${rollout.id}/${part}`)).body;
  const before: Cells = await read('cells');
  expect(shown(before)).toEqual([
    ['a', 0, 'queued'],
    ['b', 0, 'queued'],
    ['c', null, 'waiting'],
    ['d', null, 'waiting'],
    ['e', null, 'waiting'],
  ]);
  const effectsOf = async () => Object.fromEntries((await read('effects')).effects.map((each: { act: string }) => [each.act, each]));
  expect(await effectsOf()).toMatchObject({
    pause: { allowed: true, stops: 3 },
    resume: { allowed: false },
    approve: { allowed: false },
    'skip-wave': { allowed: true, starts: 3 },
    abort: { allowed: true, stops: 5, reverts: 2 },
    retry: { allowed: false, starts: 0 },
  });

  await flock.answer('a', null);
  await flock.answer('b', { code: 'health_check_failed', detail: 'no' });
  await eventually('the next wave is open', async () => {
    const cells: Cells = await read('cells');
    return shown(cells).filter(([, wave]) => wave === 1).length === 3;
  });
  const graph = await read('graph');
  expect(graph).toMatchObject({ rolloutId: rollout.id, sourceId: source.id, revisionId: revision, commit });
  expect(graph.steps.map(({ id, state }: { id: string; state: string }) => [id, state])).toEqual([
    ['source', 'done'],
    ['fetch', 'done'],
    ['validate', 'done'],
    ['store', 'done'],
    ['wave:0', 'done'],
    ['wave:1', 'running'],
    ['end', 'pending'],
  ]);
  expect(graph.steps[4]).toMatchObject({
    numbers: { succeeded: 1, failed: 1, open: 0, neededSucceeded: 1, neededPercent: 50, budget: '2' },
  });
  expect(await effectsOf()).toMatchObject({ pause: { stops: 0 }, retry: { allowed: true, starts: 1 } });

  // The page applies these events to the cells that it has.
  const present: Cells = await read('cells');
  const { items } = (await api('GET', `/events?after=${before.cursor}&limit=500`)).body;
  const cells = new Map(shown(before).map(([id, wave, state]) => [id, { wave, state }]));
  for (const { type, subject, data } of items) {
    if (!/^deployment\.(queued|state)$/.test(type) || data.rolloutId !== rollout.id) continue;
    cells.set(subject.slice('device:'.length), { wave: data.wave, state: type === 'deployment.queued' ? 'queued' : data.state });
  }
  expect([...cells].map(([id, { wave, state }]) => [id, wave, state]).sort()).toEqual(shown(present).sort());

  for (const id of ['c', 'd', 'e']) await flock.answer(id, null);
  await flock.rollout(source, 'completed');
  expect((await read('graph')).steps.map(({ state }: { state: string }) => state)).toEqual(Array(7).fill('done'));
}, 300_000);

test('the diff of a rollout shows each difference once with its devices, and no secret', async () => {
  await using flock = await openFlock();
  const { api } = flock;
  const source = await flock.source('tills', { layout: 'fleet' });
  const manifest = 'apiVersion: bellwether/v1\nkind: DeviceConfig\nfiles:\n  - from: app.json\n    to: app.json\n';
  const filesOf = (port: number, password: string) =>
    Object.fromEntries(
      ['a', 'b', 'c'].flatMap((id) => [
        [`devices/${id}/bellwether.yaml`, manifest],
        [`devices/${id}/app.json`, JSON.stringify({ port: id === 'c' ? 9 + port : port, password }, null, 2)],
      ]),
    );
  const fleet = 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: ["devices/*"]\n';
  for (const id of ['a', 'b', 'c']) await flock.device(id, { sourceId: source.id, path: `devices/${id}` });
  await flock.push(source, { 'fleet.yaml': fleet, ...filesOf(80, 'first-secret-1') });
  for (const id of ['a', 'b', 'c']) await flock.answer(id, null);
  await flock.rollout(source, 'completed');
  const { revision } = await flock.push(source, filesOf(443, 'second-secret-2'));
  const rollout = await eventually('its rollout', async () => {
    const newest = await flock.rolloutOf(source.id);
    return newest.revisionId === revision ? newest : undefined;
  });
  const { body } = await api('GET', `/rollouts/${rollout.id}/diff`);
  expect(body).toMatchObject({ devices: 3, moreDiffs: 0, moreDevices: 0 });
  expect(body.diffs.map(({ devices, firstDevice }: { devices: number; firstDevice: string }) => [devices, firstDevice])).toEqual([
    [2, 'a'],
    [1, 'c'],
  ]);
  expect(body.diffs[0].files).toMatchObject([{ path: 'app.json', change: 'changed', patch: expect.stringContaining('+  "port": 443') }]);
  expect((await api('GET', `/rollouts/${rollout.id}/diff?device=c`)).body).toMatchObject({
    devices: 1,
    diffs: [{ devices: 1, firstDevice: 'c' }],
  });
  expect(JSON.stringify(body)).not.toMatch(/(?:first|second)-secret/);
}, 300_000);
