import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import type { RevisionLimits } from '../../src/revision/limits.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import type { Layout, PreparedPath, PreparedRevision, PreviousRevision } from '../../src/revision/revision.ts';
import { archiveSize } from '../../src/wire/archive.ts';
import { bundleDigest, sha256Hex } from '../../src/wire/bundle.ts';
import type { Files } from './memory-source.ts';
import { MemorySource } from './memory-source.ts';

type Options = {
  layout?: Layout;
  previous?: PreviousRevision;
  limits?: Partial<RevisionLimits>;
  signal?: AbortSignal;
  builtins?: Record<string, string>;
};

function prepare(source: MemorySource, commit: string, options: Options = {}): Promise<PreparedRevision> {
  return prepareRevision(source, {
    commit,
    layout: options.layout ?? 'repo',
    previous: options.previous ?? null,
    limits: { ...defaultRevisionLimits, maxValidationMs: 60_000, ...options.limits },
    signal: options.signal,
    builtinSchemas: new Map(Object.entries(options.builtins ?? {})),
  });
}

async function prepareFiles(files: Files, options: Options = {}): Promise<PreparedRevision> {
  const source = new MemorySource();
  return prepare(source, source.commit(files), options);
}

async function onlyPath(files: Files, options: Options = {}): Promise<PreparedPath> {
  const { paths } = await prepareFiles(files, options);
  expect(paths).toHaveLength(1);
  return paths[0]!;
}

const manifest = (rest: string): string => `apiVersion: bellwether/v1\nkind: DeviceConfig\n${rest}`;
const fleet = 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n';

describe('the bundle of a repository', () => {
  test('without a manifest holds every file with its path, executable ones with mode 0755', async () => {
    const path = await onlyPath({ 'a.txt': 'A', 'bin/run': { mode: '100755', text: '#!/bin/sh' } });
    expect(path).toMatchObject({ path: '', verdict: 'valid', errors: [], dependencies: [] });
    expect(path.bundle?.manifest.files).toEqual([
      { path: 'a.txt', mode: '0644', size: 1, sha256: sha256Hex('A') },
      { path: 'bin/run', mode: '0755', size: 9, sha256: sha256Hex('#!/bin/sh') },
    ]);
    expect(path.bundle?.digest).toBe(bundleDigest(path.bundle!.manifest));
    expect(path.bundle?.size).toBe(archiveSize(path.bundle!.manifest));
  });

  test('leaves out the manifest and takes its apply part with defaults', async () => {
    const path = await onlyPath({ a: 'A', 'bellwether.yaml': manifest('apply: { health: { hook: check } }') });
    expect(path.bundle?.manifest.files.map((file) => file.path)).toEqual(['a']);
    expect(path.bundle?.manifest.apply).toEqual({
      hooks: {},
      health: { hook: 'check', timeoutSeconds: 30, attempts: 1, intervalSeconds: 1 },
      confirmTimeoutSeconds: 60,
    });
  });

  test('selects, renames and sets modes as the manifest says, later entries winning', async () => {
    const rules = `files:
  - { from: "config/**", to: etc/ }
  - { from: config/secret.txt, to: etc/secret.txt, mode: "0600" }
  - { from: bin/tool, to: usr/bin/ }
`;
    const path = await onlyPath({
      'config/a/b.txt': '1',
      'config/secret.txt': '2',
      'bin/tool': '3',
      'docs/x': '4',
      'bellwether.yml': manifest(rules),
    });
    expect(path.bundle?.manifest.files.map((file) => [file.path, file.mode])).toEqual([
      ['etc/a/b.txt', '0644'],
      ['etc/secret.txt', '0600'],
      ['usr/bin/tool', '0644'],
    ]);
  });

  test('has one digest whatever the order in which the tree gives its files', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 8 }), fc.nat(), async (names, turn) => {
        const source = new MemorySource();
        const entries = names.map((name) => ({ name, mode: '100644', oid: source.putBlob(name) }));
        const at = turn % entries.length;
        const one = await prepare(source, source.commitTree(entries));
        const other = await prepare(source, source.commitTree([...entries.slice(at), ...entries.slice(0, at)].reverse()));
        expect(one.paths[0]?.bundle?.digest).toBeDefined();
        expect(one.paths[0]?.bundle?.digest).toBe(other.paths[0]?.bundle?.digest);
      }),
      { numRuns: 40 },
    );
  });

  test('comes with the bytes of every file, and only those', async () => {
    const { blobs, paths } = await prepareFiles({ a: 'A', b: 'A', c: 'C', 'bellwether.yaml': manifest('') });
    expect([...blobs.keys()].sort()).toEqual([sha256Hex('A'), sha256Hex('C')].sort());
    for (const file of paths[0]?.bundle?.manifest.files ?? []) expect(sha256Hex(blobs.get(file.sha256) ?? '')).toBe(file.sha256);
  });
});

describe('an invalid manifest', () => {
  test.each([
    ['an unknown key', 'aply: {}', '/aply', 'unrecognized_keys', 3],
    ['a wrong value', 'apply:\n  confirmTimeoutSeconds: 0', '/apply/confirmTimeoutSeconds', 'too_small', 4],
    ['a command in place of a hook', 'apply: { hooks: { after: "rm -rf /" } }', '/apply/hooks/after', 'invalid_format', 3],
    ['a path that leaves the folder', 'files:\n  - from: ../x', '/files/0/from', 'custom', 4],
    ['a target that leaves the root', 'files:\n  - from: a\n    to: ../../etc/passwd', '/files/0/to', 'custom', 5],
    ['a mode with setuid', 'files:\n  - from: a\n    mode: "4755"', '/files/0/mode', 'invalid_format', 5],
    ['a file that is not there', 'files:\n  - from: b', '/files/0/from', 'files', 4],
    ['several files with one name', 'files:\n  - from: "*"\n    to: b', '/files/0/to', 'files', 5],
    ['a rule that matches nothing', 'validate:\n  - files: "*.json"\n    schema: builtin:none', '/validate/0/files', 'files', 4],
    ['a duplicate key', 'apply: {}\napply: {}', '/apply', 'duplicate', 4],
    ['bad syntax', 'apply: [', '', 'yaml', 3],
  ])('tells %s with pointer, rule and line', async (_what, text, pointer, rule, line) => {
    const path = await onlyPath({ a: 'A', 'bellwether.yaml': manifest(text) });
    expect(path).toMatchObject({ verdict: 'invalid', bundle: null });
    expect(path.errors[0]).toMatchObject({ file: 'bellwether.yaml', pointer, rule, line });
    expect(path.errors[0]?.message).toMatch(new RegExp(`^bellwether.yaml:${line} `));
  });

  test('that is there twice is refused', async () => {
    const path = await onlyPath({ a: 'A', 'bellwether.yaml': manifest(''), 'bellwether.json': '{}' });
    expect(path.errors).toMatchObject([{ code: 'manifest', rule: 'unique' }]);
  });

  test('that selects nothing is refused: a device would be left with nothing', async () => {
    expect((await onlyPath({ 'bellwether.yaml': manifest('') })).errors.map((error) => error.rule)).toContain('files');
  });
});

describe('a hostile or broken repository', () => {
  test.each([
    ['a symbolic link', { a: 'A', b: { mode: '120000', text: '/etc/passwd' } }, 'symlink'],
    ['a submodule', { a: 'A', b: { mode: '160000', oid: 'a'.repeat(40) } }, 'submodule'],
    ['.git in any case', { a: 'A', '.GIT/config': 'x' }, 'git_name'],
    ['..', { a: 'A', '../x': 'x' }, 'dot_name'],
    ['a backslash', { 'a\\b': 'x' }, 'separator'],
    ['a control character', { 'a\nb': 'x' }, 'control_character'],
    ['names that differ in case only', { 'a/B': '1', 'a/b': '2' }, 'case_duplicate'],
  ])('with %s is refused by name', async (_what, files, rule) => {
    const path = await onlyPath(files);
    expect(path).toMatchObject({ verdict: 'invalid', bundle: null });
    expect(path.errors.map((error) => error.rule)).toContain(rule);
    expect(path.errors.every((error) => error.code === 'path' && !/\p{Cc}/u.test(error.message))).toBe(true);
  });

  test('with a name twice is refused', async () => {
    const source = new MemorySource();
    const entry = (text: string) => ({ name: 'a', mode: '100644', oid: source.putBlob(text) });
    const { paths } = await prepare(source, source.commitTree([entry('1'), entry('2')]));
    expect(paths[0]?.errors.map((error) => error.rule)).toEqual(['duplicate']);
  });

  test('past a bound is refused with the bound', async () => {
    expect(
      (await onlyPath({ a: 'x'.repeat(101) }, { limits: { maxFileBytes: 100, maxDocumentBytes: 100, maxSchemaBytes: 100 } })).errors,
    ).toMatchObject([{ code: 'too_large', rule: 'maxFileBytes', limit: 100, file: 'a' }]);
    expect((await onlyPath({ a: 'xxxxxx', b: 'yyyyyy' }, { limits: { maxBundleBytes: 10 } })).errors).toMatchObject([
      { code: 'too_large', rule: 'maxBundleBytes' },
    ]);
    expect((await onlyPath({ a: '1', b: '2', c: '3' }, { limits: { maxBundleFiles: 2 } })).errors).toMatchObject([
      { code: 'too_large', rule: 'maxBundleFiles' },
    ]);
    expect((await onlyPath({ 'a/b/c/d': '1' }, { limits: { maxTreeDepth: 2 } })).errors).toMatchObject([
      { code: 'path', rule: 'too_deep' },
    ]);
    const revision = await prepareFiles({ a: 'xxxxxx', b: 'yyyyyy' }, { limits: { maxRevisionBytes: 10 } });
    expect(revision).toMatchObject({ paths: [], errors: [{ code: 'too_large', rule: 'maxRevisionBytes' }] });
  });

  test('with a Git LFS pointer is refused: the content is elsewhere', async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 12345\n`;
    expect((await onlyPath({ 'a.bin': pointer, b: 'B' })).errors).toMatchObject([{ code: 'lfs_pointer', file: 'a.bin' }]);
  });

  test('of which objects are missing is an error to try again, not a verdict', async () => {
    const source = new MemorySource();
    const commit = source.commit({ a: { mode: '100644', oid: 'b'.repeat(40) } });
    await expect(prepare(source, commit)).rejects.toMatchObject({ code: 'git_object_missing' });
  });

  test('is left when the signal aborts', async () => {
    const source = new MemorySource();
    await expect(prepare(source, source.commit({ a: 'A' }), { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});

describe('a fleet', () => {
  test('gives a verdict per folder: a bad one harms only itself', async () => {
    const files: Files = {
      'fleet.yaml': fleet,
      'README.md': 'x',
      'devices/README.md': 'x',
      'devices/good/a.json': '{}',
      'devices/bad/a.json': '{',
      'devices/evil/l': { mode: '120000', text: '/' },
      'devices/link': { mode: '120000', text: 'good' },
    };
    const { errors, extent, paths } = await prepareFiles(files, { layout: 'fleet' });
    expect(errors).toEqual([]);
    expect(extent).toBe('full');
    expect(paths.map((path) => [path.path, path.verdict])).toEqual([
      ['devices/bad', 'invalid'],
      ['devices/evil', 'invalid'],
      ['devices/good', 'valid'],
      ['devices/link', 'invalid'],
    ]);
  });

  test('with one manifest in many folders tells each what is wrong in it, under its own name, and reads it as it is named', async () => {
    const shared = manifest('files:\n  - from: app.json\n  - from: more.json\n');
    const { paths } = await prepareFiles(
      {
        'fleet.yaml': fleet,
        'devices/a/bellwether.yaml': shared,
        'devices/a/app.json': '1',
        'devices/a/more.json': '2',
        'devices/b/bellwether.yaml': shared,
        'devices/b/app.json': '3',
        'devices/c/bellwether.json': shared,
        'devices/c/app.json': '4',
      },
      { layout: 'fleet' },
    );
    const told = Object.fromEntries(paths.map(({ path, errors }) => [path, errors.map(({ file, line, code }) => [file, line, code])]));
    expect(told).toEqual({
      'devices/a': [],
      'devices/b': [['devices/b/bellwether.yaml', 5, 'manifest']],
      'devices/c': [['devices/c/bellwether.json', 1, 'syntax']],
    });
  });

  test('finds folders in several levels', async () => {
    const files: Files = {
      'fleet.yaml': fleet.replace('"devices/*"', '["sites/*/devices/*", "lab/till-?"]'),
      'sites/b/devices/1/a': '1',
      'sites/b/notes/x': '1',
      'sites/c/devices/2/a': '1',
      'lab/till-1/a': '1',
      'lab/other/a': '1',
    };
    const { paths } = await prepareFiles(files, { layout: 'fleet' });
    expect(paths.map((path) => path.path)).toEqual(['lab/till-1', 'sites/b/devices/1', 'sites/c/devices/2']);
  });

  test.each([
    ['is not there', { 'devices/a/x': '1' }, 'fleet'],
    ['is there twice', { 'fleet.yaml': fleet, 'fleet.json': '{}', 'devices/a/x': '1' }, 'fleet'],
    ['has an unknown key', { 'fleet.yaml': `${fleet}lairs: []\n`, 'devices/a/x': '1' }, 'unrecognized_keys'],
    ['finds no folder', { 'fleet.yaml': fleet, 'device/a/x': '1' }, 'devices'],
    [
      'nests device folders',
      { 'fleet.yaml': fleet.replace('"devices/*"', '["devices/*", "devices/*/inner/*"]'), 'devices/a/x': '1' },
      'custom',
    ],
    ['has "**"', { 'fleet.yaml': fleet.replace('/*', '/**'), 'devices/a/x': '1' }, 'custom'],
  ])('whose manifest %s has no paths but an error', async (_what, files, rule) => {
    const revision = await prepareFiles(files, { layout: 'fleet' });
    expect(revision.paths).toEqual([]);
    expect(revision.errors.map((error) => error.rule)).toEqual([rule]);
  });

  test('after a commit to one folder reads only that folder', async () => {
    const source = new MemorySource();
    const files: Files = { 'fleet.yaml': fleet };
    for (let i = 0; i < 200; i += 1) files[`devices/d${i}/a.json`] = JSON.stringify({ i });
    const first = source.commit(files);
    const second = source.commit({ ...files, 'devices/d7/a.json': '{}', 'devices/new/a.json': '{}', 'README.md': 'x' });
    source.reads.length = 0;
    const { extent, paths, removed } = await prepare(source, second, { layout: 'fleet', previous: { commit: first, dependencies: [] } });
    expect({ extent, removed }).toEqual({ extent: 'incremental', removed: [] });
    expect(paths.map((path) => path.path)).toEqual(['devices/d7', 'devices/new']);
    expect(source.reads.length).toBeLessThan(15);
  });

  test('is read in full when the previous commit is gone, a dependency changed or appeared, or the fleet manifest changed', async () => {
    const source = new MemorySource();
    const schema = '{"type":"object"}';
    const files: Files = {
      'fleet.yaml': fleet,
      'devices/a/x.json': '{}',
      'devices/b/x.json': '{}',
      's.json': schema,
      'devices/a/bellwether.yaml': manifest('validate: [{ files: x.json, schema: s.json }]'),
    };
    const first = source.commit(files);
    const full = await prepare(source, first, { layout: 'fleet' });
    expect(full.paths.map((path) => path.dependencies)).toEqual([['s.json'], []]);
    const previous = { commit: first, dependencies: ['s.json'] };
    const extentOf = async (next: Files, before: PreviousRevision = previous) =>
      (await prepare(source, source.commit(next), { layout: 'fleet', previous: before })).extent;
    expect(await extentOf({ ...files, 'devices/a/x.json': '{"a":1}' })).toBe('incremental');
    expect(await extentOf({ ...files, 's.json': '{}' })).toBe('full');
    expect(await extentOf({ ...files, 'fleet.yaml': `${fleet}schemas: s\n` })).toBe('full');
    expect(await extentOf({ ...files, 'fleet.yaml': `${fleet}# as before\nrollout: {}\n` })).toBe('incremental');
    expect(await extentOf(files, { commit: 'f'.repeat(40), dependencies: [] })).toBe('full');
    expect(await extentOf({ ...files, 'later.json': '{}' }, { commit: first, dependencies: ['later.json'] })).toBe('full');
  });

  test('prepared step by step is the fleet prepared at once, for random edits', async () => {
    const path = fc
      .constantFrom('devices/a', 'devices/b', 'devices/c', 'devices/d')
      .chain((folder) => fc.constantFrom('x.json', 'sub/y.json', 'bellwether.yaml', 's.json').map((name) => `${folder}/${name}`));
    const anywhere = fc.oneof(
      { weight: 6, arbitrary: path },
      { weight: 1, arbitrary: fc.constantFrom('s.json', 'common.json', 'devices/README', 'fleet.yaml') },
    );
    const content = fc.constantFrom(
      '{"n":1}',
      '{"n":-1}',
      '{',
      '{"minimum":0}',
      '{"properties":{"n":{"$ref":"common.json"}}}',
      '{"minimum":-5}',
      manifest('validate: [{ files: "*.json", schema: s.json }]'),
      null,
      fleet,
      { mode: '120000', text: 'x' },
    );
    const edits = fc.array(fc.array(fc.tuple(anywhere, content), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 });
    let incremental = 0;
    await fc.assert(
      fc.asyncProperty(edits, async (commits) => {
        const source = new MemorySource();
        let files: Files = {
          'fleet.yaml': fleet,
          's.json': '{"properties":{"n":{"minimum":0}}}',
          'devices/a/x.json': '{"n":1}',
          'devices/a/bellwether.yaml': manifest('validate: [{ files: x.json, schema: s.json }]'),
          'devices/b/x.json': '{}',
        };
        let previous: PreviousRevision = null;
        let state = new Map<string, PreparedPath>();
        for (const changes of [[], ...commits]) {
          for (const [at, text] of changes) {
            if (text === null) delete files[at];
            else files = { ...files, [at]: text };
          }
          const commit = source.commit(files);
          const step = await prepare(source, commit, { layout: 'fleet', previous });
          const full = await prepare(source, commit, { layout: 'fleet' });
          expect(step.errors).toEqual(full.errors);
          if (full.errors.length > 0) continue;
          if (step.extent === 'full') state = new Map();
          else incremental += 1;
          for (const gone of step.removed) expect(state.delete(gone)).toBe(true);
          for (const prepared of step.paths) state.set(prepared.path, prepared);
          expect([...state.values()].sort((a, b) => (a.path < b.path ? -1 : 1))).toEqual(full.paths);
          previous = { commit, dependencies: [...new Set([...state.values()].flatMap((prepared) => prepared.dependencies))] };
        }
      }),
      { numRuns: 150 },
    );
    expect(incremental).toBeGreaterThan(50);
  });
});
