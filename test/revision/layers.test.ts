import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceFacts } from '../../src/device/facts.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import type { PreparedPath, PreviousRevision } from '../../src/revision/revision.ts';
import { type Bound, LAYERS, MANIFEST, messages, type Options, onlyPath, pos, prepare, prepareFiles, TEMPLATES } from './layered.ts';
import type { Files } from './memory-source.ts';
import { MemorySource } from './memory-source.ts';

describe('layers', () => {
  const files: Files = {
    'base/config/app.json': '{"ntp":"a","vlan":{"id":1,"name":"x"},"dns":["1","2"]}',
    'base/legacy.conf': 'old',
    'base/run': { mode: '100755', text: '#!' },
    'labels/pos/config/app.json': '{"vlan":{"id":2},"dns":["3"]}',
    'labels/express/config/app.json': '{"express":true}',
    'sites/berlin/config/app.json': '{"ntp":"berlin"}',
    'sites/berlin/legacy.conf.removed': '',
    'devices/a/config/app.json': '{"vlan":{"name":null},"id":"a"}',
  };
  const app = (path: { texts: Record<string, string> }) => JSON.parse(path.texts['config/app.json'] ?? '{}');

  test('give a device base, labels in their order, site and its own folder, a later one winning', async () => {
    const plain = await onlyPath(files, {});
    expect(app(plain)).toEqual({ ntp: 'a', vlan: { id: 1 }, dns: ['1', '2'], id: 'a' });
    expect(plain.texts).toMatchObject({ motd: 'hello\n', 'legacy.conf': 'old', run: '#!' });
    expect(plain.bundle?.manifest.files.find((file) => file.path === 'run')?.mode).toBe('0755');

    const till = await onlyPath(files, { labels: { role: 'pos' } });
    expect(app(till)).toEqual({ ntp: 'a', vlan: { id: 2 }, dns: ['3'], id: 'a' });
    const express = await onlyPath(files, { labels: { role: 'pos', lane: 'express' }, site: 'berlin' });
    expect(app(express)).toEqual({ ntp: 'berlin', vlan: { id: 2 }, dns: ['3'], express: true, id: 'a' });
    expect(Object.keys(express.texts)).not.toContain('legacy.conf');
    expect(express.dependencies).toEqual(['base', 'labels/express', 'labels/pos', 'sites/berlin']);
  });

  test('of which only one gives a file leave its bytes as they are', async () => {
    const text = '{ "a" : 1.0,   "big": 12345678901234567890 } ';
    const { texts } = await onlyPath({ 'base/a.json': text, 'devices/a/b.yaml': '# mine\nx:   1\n---\ny: 2\n' });
    expect(texts).toMatchObject({ 'a.json': text, 'b.yaml': '# mine\nx:   1\n---\ny: 2\n' });
  });

  test('merge YAML as YAML, and replace other files as a whole', async () => {
    const { texts } = await onlyPath({
      'base/a.yaml': 'list: [1, 2]\nkeep: "yes"\ngone: 1\n',
      'devices/a/a.yaml': 'list: [3]\ngone: null\nnew: {x: 1}\n',
      'base/b.conf': 'base',
      'devices/a/b.conf': 'device',
      'base/c.yaml': 'x: 1\n',
      'devices/a/c.yaml': '# nothing yet\n',
    });
    expect(texts).toMatchObject({ 'a.yaml': 'list: [3]\nkeep: "yes"\nnew: {x: 1}\n', 'b.conf': 'device', 'c.yaml': 'x: 1\n' });
  });

  test('take the manifest from layers as well, and schemas that it names', async () => {
    const path = await onlyPath(
      {
        'base/bellwether.yaml': `${MANIFEST}files: [{ from: app.json, to: etc/ }]\nvalidate: [{ files: app.json, schema: s.json }]\n`,
        'base/s.json': '{"required":["id"]}',
        'devices/a/bellwether.yaml': 'apply: { confirmTimeoutSeconds: 5 }\n',
        'devices/a/app.json': '{"id":1}',
      },
      {},
    );
    expect(path).toMatchObject({ verdict: 'valid', errors: [] });
    expect(path.bundle?.manifest.files.map((file) => file.path)).toEqual(['etc/app.json']);
    expect(path.bundle?.manifest.apply.confirmTimeoutSeconds).toBe(5);
  });

  test('need a folder for each device: a site without one has nothing to add', async () => {
    expect(await onlyPath({}, { site: 'nowhere' })).toMatchObject({ verdict: 'valid', dependencies: ['base', 'sites/nowhere'] });
    for (const site of ['..', 'a/b', '.', '*', 'x'.repeat(300)])
      expect((await onlyPath({ 'sites/b/x': '1' }, { site })).verdict).toBe('valid');
  });
});

describe('an error in what layers made', () => {
  const SCHEMA = JSON.stringify({
    required: ['id'],
    properties: { vlan: { properties: { id: { maximum: 4094 } } }, port: { type: 'integer' } },
  });
  const base = { 'base/bellwether.yaml': `${MANIFEST}validate: [{ files: app.json, schema: s.json }]\n`, 's.json': SCHEMA };

  test('names the file and line that the value came from, and the file that is wrong', async () => {
    const path = await onlyPath(
      {
        ...base,
        'base/app.json': '{\n  "vlan": {\n    "id": 5000\n  }\n}\n',
        'labels/pos/app.json': '{\n\n  "port": "x"\n}',
        'devices/a/app.json': '{}',
      },
      { labels: { role: 'pos' } },
    );
    expect(path.errors).toMatchObject([
      { file: 'devices/a/app.json', line: 1, rendered: 'devices/a/app.json', pointer: '/id', rule: 'required' },
      { file: 'base/app.json', line: 3, rendered: 'devices/a/app.json', pointer: '/vlan/id', rule: 'maximum', actual: 5000 },
      { file: 'labels/pos/app.json', line: 3, rendered: 'devices/a/app.json', pointer: '/port', rule: 'type', actual: 'x' },
    ]);
    expect(messages(path)).toContain('base/app.json:3 /vlan/id is 5000, must be <= 4094 (in devices/a/app.json)');
  });

  test('of a file that one layer gives as it is has its line there', async () => {
    const path = await onlyPath({ ...base, 'base/app.json': '{"id":1,\n"port":"x"}' }, {});
    expect(messages(path)).toEqual(['base/app.json:2 /port is "x", must be integer (in devices/a/app.json)']);
  });

  test.each([
    ['a file that cannot be read', { 'base/a.json': '{', 'devices/a/a.json': '{}' }, 'base/a.json', 'json', 1],
    ['several documents', { 'base/a.yaml': 'a: 1\n---\nb: 2\n', 'devices/a/a.yaml': 'a: 2\n' }, 'base/a.yaml', 'documents', 3],
    ['__proto__', { 'base/a.json': '{"__proto__":{"x":1}}', 'devices/a/a.json': '{}' }, 'base/a.json', 'prototype', 1],
    ['a link in a layer', { 'base/l': { mode: '120000', text: '/etc/passwd' } }, 'base/l', 'symlink', undefined],
    ['a way out of a layer', { 'base/../x': 'x' }, 'base/..', 'dot_name', undefined],
    ['a site that is a file', { 'sites/berlin': 'x' }, 'sites/berlin', 'layer', undefined],
    ['a file and its removal at once', { 'base/a': 'x', 'base/a.removed': '' }, 'base/a.removed', 'unique', undefined],
    ['files that differ in case', { 'base/A': 'x', 'devices/a/a': 'y' }, 'devices/a', 'unique', undefined],
    ['a misplaced rollout', { 'base/bellwether.yaml': `${MANIFEST}rollout: {}\n` }, 'base/bellwether.yaml', 'rollout', 3],
  ] as const)('%s is told where it stands', async (_what, files, file, rule, line) => {
    const path = await onlyPath(files, { site: 'berlin' });
    expect(path).toMatchObject({ verdict: 'invalid', bundle: null });
    expect(path.errors[0]).toMatchObject({ file, rule });
    expect(path.errors[0]?.line).toBe(line);
  });

  test('is told for each device that it is in, and for no other', async () => {
    const { paths } = await prepareFiles(
      {
        ...base,
        'base/app.json': '{"id":1}',
        'labels/pos/app.json': '{"port":"x"}',
        'devices/a/x': '',
        'devices/b/x': '',
        'devices/c/x': '',
      },
      { a: [pos('a')], b: [{}], c: [pos('c')] },
    );
    expect(paths.map((path) => [path.path, path.verdict, path.errors[0]?.rendered])).toEqual([
      ['devices/a', 'invalid', 'devices/a/app.json'],
      ['devices/b', 'valid', undefined],
      ['devices/c', 'invalid', 'devices/c/app.json'],
    ]);
  });
});

describe('a fleet manifest', () => {
  test.each([
    ['a base that is not there', 'layers: { base: nothing }', '/layers/base', 'layer'],
    ['a base that is a link', 'layers: { base: linked }', '/layers/base', 'layer'],
    ['labels whose folder is a file', 'layers: { labels: [{ match: { a: b }, from: base/motd }] }', '/layers/labels/0/from', 'layer'],
    ['labels that match nothing in particular', 'layers: { labels: [{ match: {}, from: base }] }', '/layers/labels/0/match', 'custom'],
    [
      'a label that is no text',
      'layers: { labels: [{ match: { floor: 3 }, from: base }] }',
      '/layers/labels/0/match/floor',
      'invalid_type',
    ],
    ['a layer out of the repository', 'layers: { base: ../base }', '/layers/base', 'custom'],
    ['a layer that is the whole repository', 'layers: { base: . }', '/layers/base', 'custom'],
    ['a layer with device folders in it', 'layers: { base: devices }', '/layers/base', 'custom'],
    ['a layer in a device folder', 'layers: { base: devices/a/base }', '/layers/base', 'custom'],
    ['a layer that is a device folder', 'layers: { sites: "devices/*" }', '/layers/sites', 'custom'],
    ['a layer in a layer', 'layers: { base: labels, labels: [{ match: { a: b }, from: labels/pos }] }', '/layers/base', 'custom'],
    ['sites without a place for the name', 'layers: { sites: sites }', '/layers/sites', 'custom'],
    ['sites with more than a name', 'layers: { sites: "sites/**" }', '/layers/sites', 'custom'],
    ['variables that are no data', 'variables: variables.txt', '/variables', 'custom'],
    ['an unknown kind of layer', 'layers: { floors: "floors/*" }', '/layers/floors', 'unrecognized_keys'],
    ['a policy that is none', 'rollout: { waves: 7 }', '/rollout/waves', 'invalid_type'],
  ])('with %s makes the revision invalid, with its line', async (_what, text, pointer, rule) => {
    const fleet = `apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n${text}\n`;
    const revision = await prepareFiles({ 'fleet.yaml': fleet, linked: { mode: '120000', text: 'base' }, 'devices/a/x': '' });
    expect(revision.paths).toEqual([]);
    expect(revision.errors).toMatchObject([{ file: 'fleet.yaml', line: 4, pointer, rule }]);
  });

  test('with a thousand layers is refused, with a hundred it is not', async () => {
    const fleet = (count: number) => ({
      'fleet.yaml': `${LAYERS.split('  labels')[0]}  labels:\n${Array.from({ length: count }, (_, n) => `    - { match: { l${n}: x }, from: labels/l${n} }\n`).join('')}`,
      ...Object.fromEntries(Array.from({ length: count }, (_, n) => [`labels/l${n}/a.json`, `{"l${n}":${n}}`])),
      'devices/a/a.json': '{}',
    });
    expect((await prepareFiles(fleet(1000))).errors).toMatchObject([{ pointer: '/layers/labels', rule: 'too_big' }]);
    const labels = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`l${n}`, 'x']));
    expect(JSON.parse((await onlyPath(fleet(100), { labels })).texts['a.json'] ?? '')).toMatchObject({ l0: 0, l99: 99 });
  });

  test('hands on the rollout policy as it is written, and only where it is the fleet’s', async () => {
    const fleet = `${LAYERS}rollout: { waves: [{ count: 1 }] }\n`;
    const revision = await prepareFiles({ 'fleet.yaml': fleet, 'devices/a/x': '' });
    expect(revision).toMatchObject({ errors: [], rolloutPolicy: { waves: [{ count: 1 }] }, perDevice: true });
    const folder = await onlyPath({ 'devices/a/bellwether.yaml': `${MANIFEST}rollout: {}\n` }, {});
    expect(messages(folder)).toEqual(['devices/a/bellwether.yaml:3 /rollout belongs in fleet.yaml']);
  });
});

describe('devices of one folder', () => {
  const files: Files = { 'base/a.json': '{}', 'labels/pos/a.json': '{"pos":true}', 'devices/a/x': '' };

  test('may differ in what its layers and templates do not depend on', async () => {
    const bound = {
      a: [pos('a-1', { labels: { role: 'pos', serial: '1' }, site: 'x' }), pos('a-2', { labels: { role: 'pos', serial: '2' }, site: 'y' })],
    };
    expect((await prepareFiles(files, bound)).paths).toMatchObject([{ verdict: 'valid', errors: [] }]);
  });

  test.each([
    ['their layers', {}, [pos('a-1'), { id: 'a-2' }], 'layers'],
    ['their sites', { 'sites/x/a.json': '{}' }, [pos('a-1', { site: 'x' }), pos('a-2', { site: 'y' })], 'layers'],
    ['what a template reads', { 'base/t.liquid': '{{ device.name }} {{ device.labels.role }}' }, [pos('a-1'), pos('a-2')], 'name'],
  ])('must not differ in %s', async (_what, more, devices, differ) => {
    const { paths } = await prepareFiles({ ...files, 'fleet.yaml': TEMPLATES, ...more }, { a: devices });
    expect(paths[0]?.errors).toMatchObject([{ code: 'device', rule: 'shared', file: 'devices/a' }]);
    expect(paths[0]?.errors[0]?.message).toContain(`"a-1" and "a-2" differ in ${differ}: give each a folder of its own`);
  });
});

describe('a folder without a device', () => {
  test('is prepared as for one of its name; what is wrong with it then is tentative', async () => {
    const files: Files = {
      'fleet.yaml': TEMPLATES,
      'base/bellwether.yaml': `${MANIFEST}validate: [{ files: app.json, schema: s.json }]\n`,
      's.json': '{"required":["lane"]}',
      'base/app.json.liquid': '{"id": {{ device.id | json }} }',
      'labels/pos/app.json': '{"lane":1}',
    };
    const unbound = await onlyPath(files);
    expect(unbound).toMatchObject({ verdict: 'invalid', tentative: true });
    expect(messages(unbound)).toEqual([
      'base/app.json.liquid /lane is missing (in devices/a/app.json:1); no device is known for this folder, nor labels or a site',
    ]);
    expect((await onlyPath(files, {})).tentative).toBeUndefined();
    expect((await onlyPath(files, { labels: { role: 'pos' } })).texts['app.json']).toBe('{"id": "a", "lane":1 }');
    const plain = LAYERS.split('  labels')[0] ?? '';
    expect((await onlyPath({ 'fleet.yaml': plain, 'base/a.json': '{' })).tentative).toBeUndefined();
  });
});

describe('a commit', () => {
  const files: Files = {
    'fleet.yaml': LAYERS,
    'base/a.json': '{"n":1}',
    'labels/pos/a.json': '{"pos":true}',
    'labels/express/x': '',
    ...Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`devices/d${n}/a.json`, JSON.stringify({ n })])),
  };

  test('to one folder reads that folder and its layers, to a layer the folders that depend on it', async () => {
    const source = new MemorySource();
    const first = source.commit(files);
    const previous = { commit: first, dependencies: ['base', 'labels/pos'] };
    const step = async (next: Files, options: Options = {}) => {
      const commit = source.commit({ ...files, ...next });
      source.reads.length = 0;
      const { paths, extent } = await prepare(source, commit, { d7: [pos('d7')] }, { previous, ...options });
      return { extent, paths: paths.map((path) => path.path), reads: source.reads.length };
    };
    const one = await step({ 'devices/d7/a.json': '{}' });
    expect(one).toMatchObject({ extent: 'incremental', paths: ['devices/d7'] });
    expect(one.reads).toBeLessThan(25);
    expect(await step({ 'labels/pos/a.json': '{}' }, { dependents: ['devices/d7', 'devices/gone'] })).toMatchObject({
      paths: ['devices/d7'],
    });
    expect(await step({ 'devices/d9/a.json': '{}' }, { stale: ['devices/d3'] })).toMatchObject({ paths: ['devices/d9', 'devices/d3'] });
    expect(await step({}, { stale: ['devices/d3'] })).toMatchObject({ extent: 'incremental', paths: ['devices/d3'] });
    expect((await step({ 'fleet.yaml': TEMPLATES })).extent).toBe('full');
  });

  test('of a fleet that does not depend on devices leaves stale folders alone', async () => {
    const source = new MemorySource();
    const plain = { ...files, 'fleet.yaml': LAYERS.split('  labels')[0] ?? '' };
    const previous = { commit: source.commit(plain), dependencies: [] };
    expect(await prepare(source, source.commit(plain), {}, { previous, stale: ['devices/d3'] })).toMatchObject({
      paths: [],
      perDevice: false,
    });
  });

  test('prepared step by step is the fleet prepared at once, for random edits of layers, devices and labels', async () => {
    const content = fc.constantFrom('{"n":1}', '{"n":null}', '{"m":{"x":1}}', '{', '{"m":null}', null);
    const at = fc.constantFrom(
      'base/a.json',
      'labels/pos/a.json',
      'labels/pos/a.json.removed',
      'sites/b/a.json',
      'sites/b/t.liquid',
      'devices/x/a.json',
      'devices/y/a.json',
      'devices/y/b',
    );
    const facts = fc.constantFrom<Partial<DeviceFacts>>(
      {},
      { labels: { role: 'pos' } },
      { site: 'b' },
      { labels: { role: 'pos' }, site: 'b' },
    );
    const step = fc.record({
      edits: fc.array(fc.tuple(at, content), { maxLength: 2 }),
      devices: fc.option(fc.tuple(fc.constantFrom('x', 'y'), facts)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
        const source = new MemorySource();
        let now: Files = {
          'fleet.yaml': TEMPLATES,
          'base/k': '',
          'labels/pos/k': '',
          'labels/express/k': '',
          'devices/x/k': '',
          'devices/y/k': '',
        };
        const bound: Bound = {};
        let previous: PreviousRevision = null;
        let state = new Map<string, PreparedPath>();
        for (const { edits, devices } of [{ edits: [], devices: null }, ...steps]) {
          now = { ...now };
          for (const [path, text] of edits) {
            if (text === null) delete now[path];
            else now[path] = text;
          }
          const stale = devices === null ? [] : [`devices/${devices[0]}`];
          if (devices !== null) bound[devices[0]] = [devices[1]];
          const commit = source.commit(now);
          // As the database answers: what depends on a path that changed.
          const dependents = async (paths: readonly string[]) =>
            [...state.values()]
              .filter((path) => path.dependencies.some((dependency) => paths.includes(dependency)))
              .map((path) => path.path);
          const queries = {
            devicesOf: async () =>
              new Map(
                Object.entries(bound).map(([name, known]) => [
                  `devices/${name}`,
                  known.map((fact) => ({ ...pos(name), labels: {}, ...fact })),
                ]),
              ),
            adaptersOf: async () => new Map(),
            dependents,
          };
          const options = { commit, layout: 'fleet' as const, builtinSchemas: new Map<string, string>(), queries };
          const incremental = await prepareRevision(source, { ...options, previous, stale });
          const full = await prepareRevision(source, { ...options, previous: null });
          if (incremental.extent === 'full') state = new Map();
          for (const prepared of incremental.paths) state.set(prepared.path, prepared);
          expect([...state.values()].sort((a, b) => (a.path < b.path ? -1 : 1))).toEqual(full.paths);
          previous = { commit, dependencies: [...new Set([...state.values()].flatMap((prepared) => prepared.dependencies))] };
        }
      }),
      { numRuns: 100 },
    );
  });
});
