import { expect, test } from 'vitest';
import { openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

type Scene = Awaited<ReturnType<typeof openScene>>;

const FLEET = `apiVersion: bellwether/v1
kind: Fleet
devices: "devices/*"
layers:
  base: base
  labels: [{ match: { role: pos }, from: labels/pos }]
  sites: sites/*
templates: ["**/*.liquid"]
`;
const FILES = {
  'fleet.yaml': FLEET,
  'base/bellwether.yaml': `apiVersion: bellwether/v1
kind: DeviceConfig
validate: [{ files: app.json, schema: schema.json }]
files: [{ from: app.json }]
apply: { confirmTimeoutSeconds: 60 }
`,
  'schema.json': JSON.stringify({ required: ['role'], properties: { lane: { maximum: 9 } } }),
  'base/app.json.liquid': '{"id": {{ device.id | json }}, "ntp": {{ ntp | json }}, "source": {{ source.name | json }} }',
  'base/variables.yaml': 'ntp: pool.example.net\n',
  'labels/pos/app.json': '{"role":"pos"}',
  'labels/pos/variables.yaml': 'ntp: pos.example.net\n',
  'sites/berlin/app.json': '{"city":"Berlin"}',
};
/** What a till of the scene gets. */
const till = (id: string, more: Record<string, unknown> = {}) => ({ id, ntp: 'pos.example.net', source: 'fleet', role: 'pos', ...more });

/** Devices that are pushed to: what they got stands in the outbox, and each delivery is an attempt. */
async function register(scene: Scene, id: string, sourceId: string, settings: Record<string, unknown> = {}) {
  const answer = await scene.api('POST', '/devices', { id, sourceId, adapter: 'directory', labels: { role: 'pos' }, ...settings });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
}

async function configOf(scene: Scene, id: string): Promise<unknown> {
  const { body } = await scene.api('GET', `/devices/${id}/preview`);
  const text: string | undefined = body.files?.[0]?.text;
  return body.running === body.bundle && text !== undefined ? JSON.parse(text) : undefined;
}

const runs = (scene: Scene, id: string, config: unknown) =>
  eventually(`${id} runs ${JSON.stringify(config)}`, async () => {
    const { converged } = await scene.status(id);
    return converged && JSON.stringify(await configOf(scene, id)) === JSON.stringify(config);
  });
const attempts = async (scene: Scene, id: string): Promise<number> =>
  (await scene.api('GET', `/devices/${id}/deployments`)).body.items.length;
const prepared = (scene: Scene, sourceId: string, commit: string) =>
  eventually('the commit is prepared', async () => {
    const seen = await scene.sourceNow(sourceId);
    return seen.headCommit === commit ? seen : undefined;
  });

test('a device gets what its labels and site say, from the moment that it is registered, and with them it changes', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet', allOrNothing: true });
  const folders = { 'devices/till-1/variables.yaml': '{}', 'devices/till-2/app.json': '{"lane":2}' };
  const first = await scene.push('fleet', source, { ...FILES, ...folders });
  // Without labels neither folder is valid, but nobody follows them: the commit is not to blame.
  expect((await prepared(scene, source.id, first)).status).toBe('ok');

  const device = await scene.device('till-1', source.id, { labels: { role: 'pos' } });
  device.start();
  await register(scene, 'till-2', source.id);
  await runs(scene, 'till-1', till('till-1'));
  await runs(scene, 'till-2', till('till-2', { lane: 2 }));
  expect(await device.current()).toEqual({
    'app.json': '644 {"id": "till-1", "ntp": "pos.example.net", "source": "fleet", "role":"pos" }',
  });
  expect([await attempts(scene, 'till-1'), await attempts(scene, 'till-2')]).toEqual([1, 1]);

  const site = (await scene.api('POST', '/sites', { name: 'berlin' })).body;
  await scene.api('PATCH', '/devices/till-2', { siteId: site.id });
  await runs(scene, 'till-2', till('till-2', { city: 'Berlin', lane: 2 }));
  await scene.service.database.sql`update sites set name = 'hamburg' where id = ${site.id}`;
  await runs(scene, 'till-2', till('till-2', { lane: 2 }));
  expect([await attempts(scene, 'till-1'), await attempts(scene, 'till-2')]).toEqual([1, 3]);

  // A layer's change reaches those that have it.
  await register(scene, 'kiosk-1', source.id, { labels: { role: 'kiosk' } });
  const second = await scene.push('fleet', source, { 'devices/kiosk-1/app.json': '{"role":"kiosk"}' });
  await runs(scene, 'kiosk-1', { id: 'kiosk-1', ntp: 'pool.example.net', source: 'fleet', role: 'kiosk' });
  const third = await scene.push('fleet', source, { 'labels/pos/variables.yaml': 'ntp: tills.example.net\n' });
  await scene.converged('till-1', third);
  await runs(scene, 'till-2', till('till-2', { ntp: 'tills.example.net', lane: 2 }));
  expect([await attempts(scene, 'till-1'), await attempts(scene, 'kiosk-1')]).toEqual([2, 1]);
  const revisions = (await scene.api('GET', `/sources/${source.id}/revisions`)).body.items;
  expect(revisions.map((revision: Record<string, unknown>) => [revision.commit, revision.pathsChanged])).toEqual([
    [third, 2],
    [second, 1],
    [first, 2],
  ]);

  // The source's name stands in files, too.
  await scene.api('PATCH', `/sources/${source.id}`, { name: 'tills' });
  await runs(scene, 'kiosk-1', { id: 'kiosk-1', ntp: 'pool.example.net', source: 'tills', role: 'kiosk' });
});

test('a label that makes the folder invalid leaves the device as it is, why tells where it came from, and another label mends it', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet' });
  await register(scene, 'till-1', source.id);
  await register(scene, 'till-2', source.id);
  const commit = await scene.push('fleet', source, { ...FILES, 'devices/till-1/app.json': '{"lane":1}', 'devices/till-2/app.json': '{}' });
  await runs(scene, 'till-1', till('till-1', { lane: 1 }));
  await scene.push('fleet', source, {
    'labels/fast/app.json': '{\n  "lane": 12\n}',
    'fleet.yaml': FLEET.replace('sites:', '  - { match: { lane: fast }, from: labels/fast }\n  sites:').replace(
      '[{ match: { role: pos }, from: labels/pos }]',
      '\n    - { match: { role: pos }, from: labels/pos }',
    ),
  });
  await eventually('till-2 is left alone', async () => (await scene.sourceNow(source.id)).headCommit !== commit);

  await scene.api('PATCH', '/devices/till-2', { labels: { role: 'pos', lane: 'fast' } });
  await eventually('the folder is invalid', async () => (await scene.why('till-2'))[0] === 'validation_failed');
  const [blocker] = (await scene.api('GET', '/devices/till-2/why')).body;
  expect(blocker.detail).toBe('labels/fast/app.json:2 /lane is 12, must be <= 9 (in devices/till-2/app.json)');
  expect((await scene.sourceNow(source.id)).status).toBe('partial');
  const errors = (await scene.api('GET', '/devices/till-2/preview')).body.errors;
  expect(errors).toMatchObject([{ file: 'labels/fast/app.json', line: 2, rendered: 'devices/till-2/app.json', pointer: '/lane' }]);

  // What was made for a till of the usual kind is nothing for its successor.
  await register(scene, 'till-3', source.id, { path: 'devices/till-2', labels: { role: 'pos', lane: 'fast' } });
  await scene.api('DELETE', '/devices/till-2');
  await eventually('till-3 is evaluated', async () => (await scene.why('till-3'))[0] === 'validation_failed');
  expect(await attempts(scene, 'till-3')).toBe(0);
  await scene.api('PATCH', '/devices/till-3', { labels: { role: 'pos' } });
  await runs(scene, 'till-3', till('till-3'));
  expect((await scene.sourceNow(source.id)).status).toBe('ok');
});

test('a change of labels goes out as the rollout policy says, starts no rollout of its own, and waits while the source is held', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet', rolloutPolicy: { waves: [{ name: 'canary', count: 1 }] } });
  for (const id of ['till-1', 'till-2']) await register(scene, id, source.id);
  await scene.push('fleet', source, { ...FILES, 'devices/till-1/app.json': '{"lane":1}', 'devices/till-2/app.json': '{"lane":2}' });
  for (const [lane, id] of ['till-1', 'till-2'].entries()) await runs(scene, id, till(id, { lane: lane + 1 }));
  await eventually('the rollout is through', async () => (await scene.api('GET', '/rollouts')).body.items[0]?.state === 'completed');

  await scene.api('POST', `/sources/${source.id}/hold`, { reason: 'stocktaking' });
  const site = (await scene.api('POST', '/sites', { name: 'berlin' })).body;
  await scene.api('PATCH', '/devices/till-2', { siteId: site.id });
  expect(await scene.why('till-2')).toContain('being_evaluated');
  expect(await attempts(scene, 'till-2')).toBe(1);
  await scene.api('DELETE', `/sources/${source.id}/hold`);
  await runs(scene, 'till-2', till('till-2', { city: 'Berlin', lane: 2 }));
  expect(await attempts(scene, 'till-1')).toBe(1);
  expect((await scene.api('GET', '/rollouts')).body.items).toHaveLength(1);
});

test('two devices of one folder that would get different files are refused until one is moved', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet' });
  const files = { ...FILES, 'base/app.json.liquid': '{"role":"any"}', 'devices/shared/app.json': '{}' };
  await scene.push('fleet', source, files);
  await register(scene, 'a', source.id, { path: 'devices/shared' });
  await register(scene, 'b', source.id, { path: 'devices/shared' });
  for (const id of ['a', 'b']) await runs(scene, id, { role: 'pos' });
  await scene.api('PATCH', '/devices/b', { labels: {} });
  await eventually('it is refused', async () => (await scene.why('a'))[0] === 'validation_failed');
  const [blocker] = (await scene.api('GET', '/devices/a/why')).body;
  expect(blocker.detail).toBe(
    'devices/shared is the folder of 2 devices, of which "a" and "b" differ in layers: give each a folder of its own',
  );
  await scene.api('PATCH', '/devices/b', { path: 'devices/other' });
  await runs(scene, 'a', { role: 'pos' });
  expect(await attempts(scene, 'a')).toBe(1);
});

test('a preview tells for each file and value which layer and line it came from, without telling secrets', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet' });
  const secret = { 'base/variables.yaml': 'ntp: pool.example.net\nadminPassword: correct-horse\n' };
  const template = '{"id": {{ device.id | json }}, "ntp": {{ ntp | json }}, "motd": "{{ adminPassword }}"}';
  await scene.push('fleet', source, { ...FILES, ...secret, 'base/app.json.liquid': template, 'devices/till-1/app.json': '{\n"lane":1}' });
  await register(scene, 'till-1', source.id);
  await eventually('it is prepared', async () => (await scene.status('till-1')).converged);
  const { status, body } = await scene.api('GET', '/devices/till-1/preview?provenance=1');
  expect(status).toBe(200);
  expect(body).toMatchObject({ ref: 'main', verdict: 'valid', diff: [] });
  expect(body.provenance).toEqual({
    layers: [
      { name: 'base', path: 'base' },
      { name: 'labels role=pos', path: 'labels/pos' },
      { name: 'device', path: 'devices/till-1' },
    ],
    files: [
      {
        path: 'app.json',
        from: [
          { layer: 'base', file: 'base/app.json.liquid', template: true },
          { layer: 'labels role=pos', file: 'labels/pos/app.json', template: false },
          { layer: 'device', file: 'devices/till-1/app.json', template: false },
        ],
        values: [
          { pointer: '/id', layer: 'base', file: 'base/app.json.liquid' },
          { pointer: '/ntp', layer: 'base', file: 'base/app.json.liquid' },
          { pointer: '/motd', layer: 'base', file: 'base/app.json.liquid' },
          { pointer: '/role', layer: 'labels role=pos', file: 'labels/pos/app.json', line: 1 },
          { pointer: '/lane', layer: 'device', file: 'devices/till-1/app.json', line: 2 },
        ],
        variables: [
          { name: '/ntp', layer: 'labels role=pos', file: 'labels/pos/variables.yaml', line: 1 },
          { name: '/adminPassword', layer: 'base', file: 'base/variables.yaml', line: 2 },
        ],
      },
    ],
    removed: [],
    truncated: false,
  });
  expect(JSON.parse(body.files[0].text).motd).toBe('[redacted]');
  expect((await scene.api('GET', '/devices/till-1/preview')).body.provenance).toBeNull();
  await scene.host.commit('fleet', { 'devices/till-1/app.json': '{"lane":2}' }, { branch: 'next' });
  const next = (await scene.api('GET', '/devices/till-1/preview?provenance=1&ref=next')).body;
  expect(JSON.stringify([body, next])).not.toContain('correct-horse');
});
