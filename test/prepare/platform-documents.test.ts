import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formatErrors, validateCheckout } from '../../src/cli/validate/validate.ts';
import { openGolioth } from '../../src/demo/vendors/golioth/server.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { MANIFEST } from '../revision/layered.ts';
import { MemorySource } from '../revision/memory-source.ts';
import { openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';

/** A cohort has a name, which line 3 does not give. */
const BAD = 'settings:\n  LED: true\ncohort: 7\n';
const GOOD = 'settings:\n  LED: true\nstate: { lanes: 3 }\n';
const FLEET = 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n';

function prepare(files: Record<string, string>, adapters: Record<string, string[]>) {
  const source = new MemorySource();
  return prepareRevision(source, {
    commit: source.commit({ 'fleet.yaml': FLEET, ...files }),
    layout: 'fleet',
    previous: null,
    builtinSchemas: new Map(),
    queries: {
      devicesOf: async () => new Map(),
      adaptersOf: async (paths) => new Map(Object.entries(adapters).filter(([path]) => paths.includes(path))),
      dependents: async () => [],
    },
  });
}

test('an invalid document of the platform that a bound device has is an error with its file, line, pointer and rule', async () => {
  const files = { 'devices/a/golioth.yaml': BAD, 'devices/b/golioth.yaml': GOOD };
  const { paths } = await prepare(files, { 'devices/a': ['golioth'], 'devices/b': ['golioth'] });
  expect(paths.map(({ path, verdict }) => [path, verdict])).toEqual([
    ['devices/a', 'invalid'],
    ['devices/b', 'valid'],
  ]);
  expect(paths[0]?.errors).toMatchObject([
    { code: 'platform_document', file: 'devices/a/golioth.yaml', line: 3, pointer: '/cohort', actual: 7 },
  ]);
  expect(paths[0]?.errors[0]?.rule).toBeTruthy();
});

test.each([
  [{}],
  [{ 'devices/a': ['mobivisor'] }],
  [{ 'devices/a': ['directory'] }],
  [{ 'devices/a': ['unknown'] }],
  [{ 'devices/b': ['golioth'] }],
])('the same file is one like any other where devices have the adapters %j', async (adapters) => {
  expect((await prepare({ 'devices/a/golioth.yaml': BAD }, adapters)).paths).toMatchObject([{ verdict: 'valid' }]);
});

test('the file counts that the device gets: of a layer, moved by the manifest, and none that is left out', async () => {
  const golioth = { 'devices/a': ['golioth'] };
  const layered = await prepare(
    { 'fleet.yaml': `${FLEET}layers: { base: base/ }\n`, 'base/golioth.yaml': BAD, 'devices/a/app.json': '{}' },
    golioth,
  );
  expect(layered.paths[0]?.errors).toMatchObject([{ file: 'base/golioth.yaml', line: 3, pointer: '/cohort' }]);
  const moved = {
    'devices/a/bellwether.yaml': `${MANIFEST}files: [{ from: cloud.yaml, to: golioth.yaml }]\n`,
    'devices/a/cloud.yaml': BAD,
  };
  expect((await prepare(moved, golioth)).paths[0]?.errors).toMatchObject([{ file: 'devices/a/cloud.yaml', pointer: '/cohort' }]);
  const left = {
    'devices/a/bellwether.yaml': `${MANIFEST}ignore: [golioth.yaml]\n`,
    'devices/a/golioth.yaml': BAD,
    'devices/a/app.json': '{}',
  };
  expect((await prepare(left, golioth)).paths).toMatchObject([{ verdict: 'valid' }]);
  const first = { 'devices/a/golioth.yaml': GOOD, 'devices/a/golioth.json': '{"settings": 1}' };
  expect((await prepare(first, golioth)).paths).toMatchObject([{ verdict: 'valid' }]);
});

test('a checkout is checked for the platforms whose files it has, or for those of the known devices', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'bellwether-documents-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'mobivisor.json'), '{"featureControls": [{"feature": "camera", "value": "off"}], "variables": {}}');
  const lines = formatErrors((await validateCheckout(dir)).errors);
  expect(lines).toMatch(/^mobivisor\.json:1:\/featureControls\/0\/value: /m);
  expect(lines).toMatch(/^mobivisor\.json:1:\/variables: .*is not known here$/m);
  const devices = join(dir, '..', 'devices.json');
  const known = async (adapter: string) => {
    await writeFile(devices, JSON.stringify([{ id: 'a', path: '', adapter }]));
    return (await validateCheckout(dir, { devices })).errors.length;
  };
  expect([await known('agent'), await known('mobivisor')]).toEqual([0, 2]);
});

test('a commit with an invalid document touches no device, and its revision, preview and plan name the fault', {
  timeout: 120_000,
}, async () => {
  await using fleet = await openFleet();
  const golioth = await openGolioth();
  onTestFinished(() => golioth.close());
  golioth.addSetting('LED', 'boolean', false);
  const externalId = golioth.addDevice({ name: 'meter' });
  const { api } = fleet;
  const { settings, credentials } = golioth;
  const source = await fleet.source('meters');
  expect((await api('POST', '/integrations', { type: 'golioth', name: 'Meters', settings, credentials, autoSync: false })).status).toBe(
    201,
  );
  expect((await api('POST', '/devices', { id: 'meter', type: 'x', adapter: 'golioth', sourceId: source.id })).status).toBe(201);
  expect((await api('POST', '/integrations/golioth/assignments', { deviceId: 'meter', externalId })).status).toBe(201);
  await fleet.push(source, { 'golioth.yaml': GOOD });
  const inSync = () => eventually('the meter is in sync', async () => (await fleet.device('meter')).syncStatus === 'in_sync');
  await inSync();
  const { requests } = golioth;
  const asked = requests.length;
  const commit = await fleet.push(source, { 'golioth.yaml': BAD });
  const revisions = (await api('GET', `/sources/${source.id}/revisions?limit=1`)).body.items;
  expect(revisions).toMatchObject([{ commit, verdict: 'invalid' }]);
  const fault = { code: 'platform_document', file: 'golioth.yaml', line: 3, pointer: '/cohort' };
  const revision = (await api('GET', `/revisions/${revisions[0].id}`)).body;
  expect(JSON.stringify(revision)).toContain('golioth.yaml:3 /cohort');
  expect((await api('GET', `/devices/meter/preview?ref=${commit}`)).body).toMatchObject({ verdict: 'invalid', errors: [fault] });
  const plan = await api('POST', `/sources/${source.id}/plan?ref=${commit}`);
  expect(plan.status, JSON.stringify(plan.body)).toBe(200);
  expect(JSON.stringify(plan.body)).toContain('golioth.yaml:3 /cohort');
  expect(requests.slice(asked).map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  await inSync();
});
