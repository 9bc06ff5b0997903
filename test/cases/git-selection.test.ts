import { describe, expect, test } from 'vitest';
import { matchesBelow, matchesGlob } from '../../src/document/glob.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { defaultRevisionLimits, type RevisionLimits } from '../../src/revision/limits.ts';
import type { Layout, PreparedPath } from '../../src/revision/revision.ts';
import { type Files, MemorySource } from '../revision/memory-source.ts';

type Options = { layout?: Layout; limits?: Partial<RevisionLimits> };

async function pathsOf(files: Files, { layout = 'repo', limits = {} }: Options = {}): Promise<PreparedPath[]> {
  const source = new MemorySource();
  const { errors, paths } = await prepareRevision(source, {
    commit: source.commit(files),
    layout,
    previous: null,
    limits: { ...defaultRevisionLimits, maxValidationMs: 60_000, ...limits },
    builtinSchemas: new Map(),
  });
  expect(errors).toEqual([]);
  return paths;
}

async function only(files: Files, options: Options = {}): Promise<PreparedPath> {
  const [path, ...more] = await pathsOf(files, options);
  if (path === undefined || more.length > 0) throw new Error('more or less than one folder');
  return path;
}

const taken = (path: PreparedPath) => path.bundle?.manifest.files.map((file) => file.path);
const rules = (path: PreparedPath) => path.errors.map((error) => error.rule);
const manifest = (...from: string[]) =>
  `apiVersion: bellwether/v1\nkind: DeviceConfig\nfiles:\n${from.map((glob) => `  - from: "${glob}"\n`).join('')}`;
const link = { mode: '120000', text: '/etc/passwd' };
const submodule = { mode: '160000', oid: 'a'.repeat(40) };

const odd: [string, Files, string][] = [
  ['a symbolic link', { 'docs/latest': link }, 'symlink'],
  ['a submodule', { 'docs/theme': submodule }, 'submodule'],
  ['a name with a backslash', { 'docs/dev\\x2d.mount': 'x' }, 'separator'],
  ['a name with a control character', { 'docs/a\tb': 'x' }, 'control_character'],
  ['an invisible character', { 'docs/a\u200bb': 'x' }, 'invisible_character'],
  ['a folder with such a name', { 'docs/a\tb/c/d.txt': 'x' }, 'control_character'],
  ['a long name', { [`docs/${'x'.repeat(300)}`]: 'x' }, 'too_long'],
  ['folders in folders', { [`docs/${'d/'.repeat(40)}x`]: 'x' }, 'too_deep'],
  ['names that differ in case only', { 'docs/README': '1', 'docs/readme': '2' }, 'case_duplicate'],
  ['folders that differ in case only', { 'docs/A/x': '1', 'docs/a/y': '2' }, 'case_duplicate'],
  ['a file too large', { 'docs/movie.bin': 'x'.repeat(2_000) }, 'maxFileBytes'],
  ['a Git LFS pointer', { 'docs/movie.bin': `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 1\n` }, 'lfs'],
];

describe.each(odd)('%s', (_what, files, rule) => {
  const limits = { maxFileBytes: 1_000 };
  test('does not fail a folder whose manifest does not select it', async () => {
    for (const from of [['app/*.json'], ['app/**'], ['app/a.json', '*/b.json']]) {
      const path = await only({ ...files, 'app/a.json': '{}', 'app/b.json': '{}', 'bellwether.yaml': manifest(...from) }, { limits });
      expect(path.errors).toEqual([]);
      expect(path.verdict).toBe('valid');
    }
  });

  test('fails it where the manifest selects it, or there is none', async () => {
    for (const more of [{ 'bellwether.yaml': manifest('**') } as Files, { 'bellwether.yaml': manifest('app/*', 'docs/**') }, {}]) {
      const path = await only({ ...files, 'app/a.json': '{}', ...more }, { limits });
      expect(path).toMatchObject({ verdict: 'invalid', bundle: null });
      expect(rules(path)).toContain(rule);
    }
  });

  test('fails only its own folder of a fleet, and there only where it is selected', async () => {
    const inFolder = (name: string, inner: Files) =>
      Object.fromEntries(Object.entries(inner).map(([path, content]) => [`devices/${name}/${path}`, content]));
    const paths = await pathsOf(
      {
        'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\nlayers: { base: base }\n',
        'base/bellwether.yaml': manifest('app/*'),
        'base/app/base.json': '{}',
        ...inFolder('a', { ...files, 'app/a.json': '{}' }),
        ...inFolder('b', { ...files, 'bellwether.yaml': 'files: [{ from: "**" }]\n' }),
        ...Object.fromEntries(Object.entries(files).map(([path, content]) => [`base/${path}`, content])),
      },
      { layout: 'fleet', limits },
    );
    expect(paths.map(({ path, verdict }) => [path, verdict])).toEqual([
      ['devices/a', 'valid'],
      ['devices/b', 'invalid'],
    ]);
    expect(taken(paths[0] as PreparedPath)).toEqual(['app/a.json', 'app/base.json']);
    expect(rules(paths[1] as PreparedPath)).toContain(rule);
  });
});

describe('a link', () => {
  test('is named where a rule means what it stands for, and hides no other file', async () => {
    for (const from of ['vendor/lib/app.json', 'vendor/lib/*.json', 'vendor/lib/**']) {
      const path = await only({ 'a.json': '{}', 'vendor/lib': submodule, 'bellwether.yaml': manifest('a.json', from) });
      expect(path.errors).toMatchObject([{ rule: 'submodule', file: 'vendor/lib' }]);
    }
    const path = await only({ 'a.json': '{}', 'vendor/lib': submodule, 'vendor/x.json': '{}', 'bellwether.yaml': manifest('**/*.json') });
    expect(path.errors).toEqual([]);
    expect(taken(path)).toEqual(['a.json', 'vendor/x.json']);
  });

  test('that a layer gives is taken away by a later one', async () => {
    const paths = await pathsOf(
      {
        'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\nlayers: { base: base }\n',
        'base/link': link,
        'devices/a/a.json': '{}',
        'devices/b/b.json': '{}',
        'devices/b/link.removed': '',
      },
      { layout: 'fleet' },
    );
    expect(paths.map(({ path, verdict }) => [path, verdict])).toEqual([
      ['devices/a', 'invalid'],
      ['devices/b', 'valid'],
    ]);
  });

  test('in the place of the manifest is an error, not a missing manifest', async () => {
    expect(rules(await only({ 'a.json': '{}', 'bellwether.yaml': link }))).toEqual(['symlink']);
  });
});

describe('what no honest Git writes', () => {
  test.each([
    ['..', { 'docs/../x': 'x' }, 'dot_name'],
    ['.git', { 'docs/.git/config': 'x' }, 'git_name'],
  ])('%s fails the folder wherever it stands', async (_what, files, rule) => {
    const path = await only({ ...files, 'a.json': '{}', 'bellwether.yaml': manifest('a.json') });
    expect(path.verdict).toBe('invalid');
    expect(rules(path)).toContain(rule);
  });

  test('a name with a slash in it is never taken for the path that it spells', async () => {
    const source = new MemorySource();
    const blob = (text: string) => source.putBlob(text);
    const commit = source.commitTree([
      { name: '../../etc/passwd', mode: '100644', oid: blob('evil') },
      { name: 'app/a.json', mode: '100644', oid: blob('"evil"') },
      { name: 'bellwether.yaml', mode: '100644', oid: blob(manifest('app/a.json')) },
    ]);
    const options = { commit, layout: 'repo' as const, previous: null, builtinSchemas: new Map<string, string>() };
    const { paths } = await prepareRevision(source, options);
    expect(paths[0]).toMatchObject({ verdict: 'invalid', errors: [{ rule: 'separator' }] });
  });
});

test('the number of files is judged by what is selected', async () => {
  const docs = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`docs/${n}.md`, 'x']));
  const limits = { maxBundleFiles: 5, maxListedFiles: 100 };
  expect((await only({ ...docs, 'a.json': '{}', 'bellwether.yaml': manifest('*.json') }, { limits })).errors).toEqual([]);
  expect((await only({ ...docs, 'bellwether.yaml': manifest('docs/*') }, { limits })).errors).toMatchObject([
    { code: 'too_large', rule: 'maxBundleFiles', file: 'bellwether.yaml', limit: 5 },
  ]);
  expect((await only(docs, { limits: { maxListedFiles: 20 } })).errors).toMatchObject([{ code: 'too_large', rule: 'maxListedFiles' }]);
});

test('odd modes that Git reads as files are files', async () => {
  const path = await only({ a: 'x', b: { mode: '100755', text: 'x' } });
  expect(path.bundle?.manifest.files.map((file) => [file.path, file.mode])).toEqual([
    ['a', '0644'],
    ['b', '0755'],
  ]);
});

test('matchesBelow() is true exactly where some path below the folder matches', () => {
  const names = ['a', 'b', 'a.json'];
  const below = [0, 1, 2].flatMap((depth) => pathsOfDepth(names, depth + 1));
  for (const pattern of ['**', '*', 'a', 'a/b', 'a/*', 'a/**', '**/a', '**/*.json', '*/b', 'a/**/b', '**/b/a.json', '*/*/a', 'b/?'])
    for (const folder of ['a', 'b', 'a/b', 'b/b'])
      expect([pattern, folder, matchesBelow(pattern, folder)]).toEqual([
        pattern,
        folder,
        below.some((path) => matchesGlob(pattern, `${folder}/${path}`)),
      ]);
});

function pathsOfDepth(names: readonly string[], depth: number): string[] {
  return depth === 1 ? [...names] : names.flatMap((name) => pathsOfDepth(names, depth - 1).map((rest) => `${name}/${rest}`));
}
