import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { validateCheckout } from '../../src/cli/validate/validate.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import type { Layout, PreparedRevision, PreviousRevision } from '../../src/revision/revision.ts';
import { type Files, MemorySource } from '../revision/memory-source.ts';

const MANIFEST = 'apiVersion: bellwether/v1\nkind: DeviceConfig\n';
const FLEET = 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: devices/*\nlayers: { base: base }\n';
const BOM = '\ufeff';
const crlf = (text: string) => text.replaceAll('\n', '\r\n');
const OID = `oid sha256:${'b'.repeat(64)}\n`;
const LFS = `version https://git-lfs.github.com/spec/v1\n${OID}size 1\n`;

const prepare = (source: MemorySource, commit: string, layout: Layout, previous: PreviousRevision = null) =>
  prepareRevision(source, { commit, layout, previous, sourceName: 'tills' });
async function prepared(files: Files, layout: Layout = 'repo') {
  const source = new MemorySource();
  const { errors, paths, blobs } = await prepare(source, source.commit(files), layout);
  const text = (path: string) => {
    const found = paths[0]?.bundle?.manifest.files.find((file) => file.path === path);
    return Buffer.from(blobs.get(found?.sha256 ?? '') ?? '').toString();
  };
  return { messages: [...errors, ...paths.flatMap((path) => path.errors)].map(({ message }) => message), text };
}

describe('what stands in for a file', () => {
  test.each([
    ['a Git LFS pointer with an extension', LFS.replace('oid', `ext-0-foo sha256:${'a'.repeat(64)}\noid`), 'Git LFS pointer'],
    ['a Git LFS pointer with CRLF', crlf(LFS), 'Git LFS pointer'],
    ['a pointer of Git LFS before its version 1', `version https://hawser.github.com/spec/v1\n${OID}size 1\n`, 'Git LFS pointer'],
    ['a git-annex pointer', `/annex/objects/SHA256E-s1--${'a'.repeat(64)}.bin\n`, 'git-annex pointer'],
    ['a file that git-crypt encrypted', '\0GITCRYPT\0xxxxxxxxxxxxxxxx', 'encrypted by git-crypt'],
  ])('%s is refused, once', async (_what, text, words) => {
    expect((await prepared({ 'a.json': text, 'b.txt': 'b' })).messages).toEqual([expect.stringContaining(words)]);
  });

  test('a layer or a manifest that is a pointer is named as one', async () => {
    const layered = await prepared({ 'fleet.yaml': FLEET, 'base/app.json': LFS, 'devices/d/app.json': '{"a":1}' }, 'fleet');
    expect(layered.messages).toEqual([expect.stringContaining('base/app.json:1 is a Git LFS pointer')]);
    expect((await prepared({ 'bellwether.yaml': LFS, 'a.json': '{}' })).messages).toEqual([
      expect.stringContaining('bellwether.yaml:1 is a Git LFS pointer'),
    ]);
  });

  test('text about pointers is text', async () => {
    const files = {
      'a.txt': `see version https://git-lfs.github.com/spec/v1\n`,
      'b.txt': `${LFS}${'x'.repeat(2_000)}`,
      'c.txt': 'a /annex/objects/ path',
    };
    expect((await prepared(files)).messages).toEqual([]);
  });
});

describe('bytes as editors on Windows leave them', () => {
  const schema = JSON.stringify({ type: 'object', required: ['vlan'], properties: { vlan: { type: 'integer' } } });
  const manifest = `${MANIFEST}validate:\n  - { files: ["*.json", app.yaml], schema: s.schema }\nfiles:\n  - from: "*.json"\n  - from: app.yaml\n`;

  test('a byte order mark and CRLF in manifest, schema and data are read, and sent as they are', async () => {
    const json = `${BOM}{\r\n"vlan": 1}\r\n`;
    const { messages, text } = await prepared({
      'bellwether.yaml': BOM + crlf(manifest),
      's.schema': BOM + schema,
      'a.json': json,
      'app.yaml': `${BOM}vlan: 1\r\n`,
    });
    expect([messages, text('a.json'), text('app.yaml')]).toEqual([[], json, `${BOM}vlan: 1\r\n`]);
  });

  test('and layers keep them', async () => {
    const { messages, text } = await prepared(
      {
        'fleet.yaml': BOM + crlf(FLEET),
        'base/app.json': `${BOM}{\r\n  "vlan": 1,\r\n  "gain": 1.0\r\n}\r\n`,
        'base/c.yaml': `${BOM}a: 1\r\nb: 2\r\n`,
        'devices/d/app.json': `${BOM}{"vlan": 2, "new": 3}`,
        'devices/d/c.yaml': 'a: 3\n',
      },
      'fleet',
    );
    expect(messages).toEqual([]);
    expect(text('app.json')).toBe(`${BOM}{\r\n  "vlan": 2,\r\n  "gain": 1.0,\r\n  "new": 3\r\n}\r\n`);
    expect(text('c.yaml')).toBe(`${BOM}a: 3\r\nb: 2\r\n`);
  });

  test('UTF-16 is refused by its name', async () => {
    const { messages } = await prepared({
      'bellwether.yaml': manifest,
      's.schema': schema,
      'app.yaml': Buffer.from(`${BOM}vlan: 1`, 'utf16le'),
      'a.json': '{"vlan":1}',
    });
    expect(messages).toEqual([expect.stringMatching(/app\.yaml.*is not UTF-8 text/)]);
  });
});

describe('names', () => {
  const nfd = 'cafe\u0301';
  test.each([
    ['caf\u00e9.json', `${nfd}.json`],
    ['caf\u00e9/*.json', `${nfd}/a.json`],
    ['App.json', 'app.json'],
    ['Conf/**', 'conf/a.json'],
  ])('the pattern %s names the file %s that was meant', async (pattern, path) => {
    for (const rule of [`files: [{ from: "${pattern}" }]`, `validate: [{ files: "${pattern}", schema: s.schema }]`]) {
      const { messages } = await prepared({ 'bellwether.yaml': `${MANIFEST}${rule}\n`, 's.schema': '{}', [path]: '{}' });
      expect(messages.join()).toContain(`${JSON.stringify(path)} differs from it only in case or in Unicode form`);
    }
  });

  test('with spaces, quotes, brackets and braces are files', async () => {
    const names = ['it\'s "a" file.json', '-dash.txt', 'a[1].json', '{a}.json', 'Größe 100 %.txt'];
    const manifest = `${MANIFEST}files:\n${names.map((name) => `  - from: ${JSON.stringify(name)}\n`).join('')}`;
    const { messages, text } = await prepared({ 'bellwether.yaml': manifest, ...Object.fromEntries(names.map((name) => [name, '{}'])) });
    expect([messages, ...names.map(text)]).toEqual([[], ...names.map(() => '{}')]);
  });

  test('a commit without files says so', async () => {
    expect((await prepared({})).messages).toEqual(['the folder holds no file: a device would be left with nothing']);
    expect((await prepared({}, 'fleet')).messages).toEqual([expect.stringContaining('fleet.yaml is not there')]);
  });
});

test('whatever becomes of a folder, the change alone gives what the whole commit gives', async () => {
  const link = { mode: '120000', text: 'x' };
  const rest = { 'devices/b/x': '1', 'base/z': 'z' };
  const states: Files[] = [
    { 'devices/a/x': '1', ...rest },
    { 'devices/a': 'a file', ...rest },
    { 'devices/a/x/y': '1', ...rest },
    { 'devices/A/x': '1', ...rest },
    { 'devices/a/x': '1', 'devices/A/x': '1', ...rest },
    { 'devices/a/X': '1', ...rest },
    { 'devices/a/x': { mode: '100755', text: '1' }, ...rest },
    { 'devices/a': { mode: '160000', oid: 'a'.repeat(40) }, ...rest },
    { 'devices/a/x': link, ...rest },
    { 'devices/a/x': '1', ...rest, 'base/z': { mode: '100755', text: 'z' } },
    { 'devices/a/x': '1', ...rest, 'base/z': link },
  ];
  const shown = ({ paths }: PreparedRevision) =>
    paths.map((path) => [path.path, [path.verdict, path.bundle?.manifest.files, path.errors.map(({ message }) => message)]] as const);
  for (const from of states)
    for (const to of states) {
      const source = new MemorySource();
      const [before, after] = [source.commit({ 'fleet.yaml': FLEET, ...from }), source.commit({ 'fleet.yaml': FLEET, ...to })];
      const first = await prepare(source, before, 'fleet');
      const dependencies = [...new Set(first.paths.flatMap((path) => path.dependencies))];
      const next = await prepare(source, after, 'fleet', { commit: before, dependencies });
      const known = new Map(next.extent === 'full' ? [] : shown(first));
      for (const path of next.removed) known.delete(path);
      for (const [path, is] of shown(next)) known.set(path, is);
      expect(Object.fromEntries(known)).toEqual(Object.fromEntries(shown(await prepare(source, after, 'fleet'))));
    }
});

describe('a checkout whose files Git commits in another form', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'bellwether-filtered-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));
  const env = () => ({ PATH: process.env.PATH, HOME: root, GIT_CONFIG_NOSYSTEM: '1' });
  const git = (...args: string[]) => promisify(execFile)('git', args, { cwd: root, env: env() });
  const errors = async () => (await validateCheckout(root, { env: env() })).errors.map(({ message }) => message);

  test('is judged by what it commits, where the filter runs', async () => {
    const files = {
      '.gitattributes': '*.bin filter=lfs diff=lfs -text\nkeys/** filter=git-crypt\n',
      'fw 1.bin': 'the content',
      'empty.bin': '',
      'keys/a.key': 'secret',
      'a.json': '{}',
    };
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    await git('init', '-q');
    // Without the programs Git commits the files as they are.
    expect(await errors()).toEqual([]);
    await git('config', 'filter.lfs.clean', 'git-lfs clean -- %f');
    await git('config', 'filter.git-crypt.clean', 'git-crypt clean');
    expect((await errors()).sort()).toEqual([
      expect.stringContaining('fw 1.bin:1 is a Git LFS pointer'),
      expect.stringContaining('keys/a.key:1 is encrypted by git-crypt'),
    ]);
  });
});
