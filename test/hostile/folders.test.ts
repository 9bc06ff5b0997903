/**
 * Hostile repositories, through a real fetch and a real worker thread. What is refused, where that is told, and by which bound:
 *
 * | what a repository does | told on | code, rule |
 * |---|---|---|
 * | names: `..`, `.git` and its aliases, separators, drive letters, control and invisible characters, not UTF-8, too long | the folder | `path`, the fault |
 * | a name twice, or twice but for case | the folder | `path`, `duplicate` or `case_duplicate` |
 * | device folders that differ only in case | both folders | `path`, `case_duplicate` |
 * | symbolic links (inside and outside), submodules, odd modes | the folder | `path`, `symlink`, `submodule`, `mode` |
 * | 1,000 levels | the folder | `path`, `too_deep` (32 levels) |
 * | 1,000,000 files by shared trees | the folder | `too_large`, `maxListedFiles` |
 * | folders that multiply on the way to devices | the revision | `fleet`, `maxDeviceFolders` or `maxNamesOnTheWay` |
 * | files or bundles too large, or many files only to be validated | the folder | `too_large` |
 * | LFS pointers | the folder | `lfs_pointer` |
 * | YAML aliases that multiply, nesting, `__proto__` | the folder | `syntax`, `too_deep` |
 * | patterns that backtrack without end and need look-around or references back, references that multiply, quadratic `uniqueItems` | the folder | `validation_timeout` (2 s in all) |
 * | a schema that refers to itself without end | the folder | `schema_invalid` |
 * | `$ref` to another host or out of the repository | the folder | `schema_remote_ref`, `schema_missing` |
 * | `from`, `to`, `schema` that leave the folder | the folder | `manifest` |
 * | many folders that each use up their time | the folders | `validation_timeout` (10 s in all for those that run out, each at most half of the one before) |
 * | packs: zeros, deltas that expand, chains, sizes and counts that lie | the source | `git_too_large`, `git_object_invalid` |
 * | 10,000 branches; a list of refs without end | nobody; the source | asked for by prefix; `git_too_large` |
 *
 * A synchronous pattern cannot be stopped by a timer. Schemas that may be slow are therefore checked under the time limit of `node:vm`, which
 * stops a regular expression too; those without patterns and references, on small files, go without that clock and its 0.15 ms.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPreparer, type Preparer } from '../../src/prepare/preparer.ts';
import type { PreparedPath, PreparedRevision } from '../../src/revision/revision.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { commitFleet, type Entry, type HostileRepository, hostileRepository, type Tree, taskOf } from '../support/hostile.ts';

type Case = { title: string; rule: string; code: string; names: string; build(repository: HostileRepository): Promise<string> };

const OWNER = { organizationId: 'org', id: 'source' };
const GOOD: Tree = { 'app.json': '{"vlan":1}' };
let host: TestGitHost;
let preparer: Preparer;
let dir: string;
let prepared: PreparedRevision;

/** A folder with one hostile entry beside a good file. */
function entry(title: string, name: string | Buffer, rule: string, mode = '100644', content = 'content'): Case {
  return {
    title,
    rule,
    code: 'path',
    names: '',
    build: async (repository) =>
      repository.entries([await plain(repository, name, mode, content), await plain(repository, 'z.json', '100644', '{}')]),
  };
}

function files(title: string, code: string, rule: string, names: string, content: Tree): Case {
  return { title, code, rule, names, build: (repository) => repository.tree(content) };
}

function manifest(title: string, code: string, rule: string, names: string, body: string, more: Tree = {}): Case {
  const text = `apiVersion: bellwether/v1\nkind: DeviceConfig\n${body}\n`;
  return files(title, code, rule, names, {
    'app.json': '{"name":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}',
    'bellwether.yaml': text,
    ...more,
  });
}

function schema(title: string, code: string, rule: string, names: string, value: unknown, app?: string): Case {
  const body = 'validate:\n  - { files: app.json, schema: s.json }';
  return manifest(title, code, rule, names, body, { 's.json': JSON.stringify(value), ...(app === undefined ? {} : { 'app.json': app }) });
}

async function plain(repository: HostileRepository, name: string | Buffer, mode: string, content: string): Promise<Entry> {
  return { name, mode, oid: mode === '160000' ? '1'.repeat(40) : await repository.write('blob', content) };
}

const doubling = Object.fromEntries(
  Array.from({ length: 40 }, (_, n) => [`d${n}`, { allOf: [{ $ref: `#/$defs/d${n + 1}` }, { $ref: `#/$defs/d${n + 1}` }] }]),
);
const aliases = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghij'].map((name, n) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghij'[n]}`)}]`).join('\n')}\n`;

const cases: Case[] = [
  entry('the parent', '..', 'dot_name'),
  entry('the folder itself', '.', 'dot_name'),
  entry('.git', '.git', 'git_name'),
  entry('.git in capitals', '.GIT', 'git_name'),
  entry('.git with an NTFS tail', '.git ', 'git_name'),
  entry('the short name of .git', 'GIT~1', 'git_name'),
  entry('a stream of .git', '.git::$INDEX_ALLOCATION', 'git_name'),
  entry('.git with a joiner', '.g\u200cit', 'git_name'),
  entry('a way out', '../../../etc/passwd', 'separator'),
  entry('an absolute name', '/etc/cron.d/x', 'separator'),
  entry('a backslash', '..\\..\\x', 'separator'),
  entry('a drive', 'C:x', 'separator'),
  entry('a line break', 'a\nb', 'control_character'),
  entry('a reversed name', 'a\u202egnp.exe', 'invisible_character'),
  entry('a name that is not UTF-8', Buffer.from([0x61, 0xff]), 'not_utf8'),
  entry('a long name', 'x'.repeat(300), 'too_long'),
  entry('the same name twice', 'z.json', 'duplicate'),
  entry('a name twice but for case', 'Z.JSON', 'case_duplicate'),
  entry('a link out', 'link', 'symlink', '120000', '/etc/passwd'),
  entry('a link inside', 'link', 'symlink', '120000', 'z.json'),
  entry('a submodule', 'sub', 'submodule', '160000'),
  entry('a device node', 'x', 'submodule', '060644'),
  {
    title: 'thousand levels',
    code: 'path',
    rule: 'too_deep',
    names: 'd/d/d',
    build: async (repository) => {
      let oid = await repository.tree(GOOD);
      for (let level = 0; level < 1000; level++) oid = await repository.entries([{ name: 'd', mode: '40000', oid }]);
      return oid;
    },
  },
  {
    title: 'million files',
    code: 'too_large',
    rule: 'maxListedFiles',
    names: '',
    build: async (repository) => {
      const oid = await repository.write('blob', 'x');
      let inner = await repository.entries(hundred((name) => ({ name, oid })));
      for (let level = 0; level < 2; level++) {
        const below = inner;
        inner = await repository.entries(hundred((name) => ({ name, mode: '40000', oid: below })));
      }
      return inner;
    },
  },
  files('a file too large', 'too_large', 'maxFileBytes', 'big.bin', { 'big.bin': Buffer.alloc(17 * 2 ** 20) }),
  files(
    'a bundle too large',
    'too_large',
    'maxBundleBytes',
    '',
    Object.fromEntries(Array.from({ length: 5 }, (_, n) => [`${n}.bin`, Buffer.alloc(15 * 2 ** 20, 'a')])),
  ),
  files('an LFS pointer', 'lfs_pointer', 'lfs', 'fw.bin', {
    'fw.bin': `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 5\n`,
  }),
  files('a YAML bomb', 'syntax', 'aliases', 'a.yaml', { 'a.yaml': aliases }),
  files('a YAML bomb as manifest', 'syntax', 'aliases', 'bellwether.yaml', { ...GOOD, 'bellwether.yaml': aliases }),
  files('deep JSON', 'too_deep', 'depth', 'a.json', { 'a.json': '['.repeat(10_000) }),
  files('deep YAML', 'too_deep', 'depth', 'a.yaml', { 'a.yaml': '['.repeat(10_000) }),
  files('a prototype in JSON', 'syntax', 'prototype', 'a.json', { 'a.json': '{"__proto__":{"polluted":true}}' }),
  files('a prototype in YAML', 'syntax', 'prototype', 'a.yaml', { 'a.yaml': '__proto__: { polluted: true }\n' }),
  schema('a catastrophic pattern', 'validation_timeout', 'maxValidationMs', 'app.json', {
    properties: { name: { pattern: '^(?=a)(a+)+$' } },
  }),
  schema('a pattern that is catastrophic for other engines', 'schema', 'pattern', 'app.json', {
    properties: { name: { pattern: '^(a+)+$' } },
  }),
  schema(
    'a catastrophic property pattern',
    'validation_timeout',
    'maxValidationMs',
    'app.json',
    { patternProperties: { '^(?!b)(a|a)*$': {} } },
    `{"${'a'.repeat(50)}!":1}`,
  ),
  schema('references that double', 'validation_timeout', 'maxValidationMs', 'app.json', {
    $ref: '#/$defs/d0',
    $defs: { ...doubling, d40: {} },
  }),
  schema('a schema that refers to itself', 'schema_invalid', 'evaluate', 'app.json', { $ref: '#' }),
  schema('a remote reference', 'schema_remote_ref', '$ref', 's.json', { $ref: 'https://169.254.169.254/latest/meta-data' }),
  schema('a reference to a file of the machine', 'schema_remote_ref', '$ref', 's.json', { $ref: 'file:///etc/passwd' }),
  schema('a reference out of the repository', 'schema_missing', '$ref', 's.json', { $ref: '../../../../../etc/passwd' }),
  manifest('from outside', 'manifest', '', '/files/0/from', 'files:\n  - from: ../good/app.json'),
  manifest('from an absolute path', 'manifest', '', '/files/0/from', 'files:\n  - from: /etc/passwd'),
  manifest('to outside', 'manifest', '', '/files/0/to', 'files:\n  - { from: app.json, to: ../../etc/cron.d/x }'),
  manifest('to an absolute path', 'manifest', '', '/files/0/to', 'files:\n  - { from: app.json, to: /etc/cron.d/x }'),
  manifest('a schema outside', 'manifest', '', '/validate/0/schema', 'validate:\n  - { files: app.json, schema: ../../../etc/passwd }'),
];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bellwether-hostile-'));
  host = await openGitHost();
  preparer = openPreparer(1);
  const repository = await hostileRepository(host, 'fleet');
  const folders: Record<string, string> = { 'A-good': await repository.tree(GOOD) };
  for (const hostile of cases) folders[nameOf(hostile)] = await hostile.build(repository);
  folders['twin-case'] = await repository.tree(GOOD);
  folders['Twin-Case'] = folders['twin-case'] ?? '';
  folders['z-good'] = await repository.tree({ 'app.json': '{"constructor":{"prototype":1},"toString":2}' });
  const commit = await commitFleet(repository, folders);
  const result = await preparer.prepare(OWNER, await taskOf(repository.url, commit, join(dir, 'mirror')));
  prepared = result.prepared;
});

afterAll(async () => {
  await preparer.close();
  await host.close();
  await rm(dir, { recursive: true, force: true });
});

describe('of one fleet with every hostile folder at once', () => {
  test.each(cases)('the folder with $title is refused with its cause', (hostile) => {
    const folder = `devices/${nameOf(hostile)}`;
    const { verdict, bundle, errors } = pathNamed(folder);
    expect({ verdict, bundle }).toEqual({ verdict: 'invalid', bundle: null });
    const found = errors.find(
      (error) => (hostile.code === '' || error.code === hostile.code) && (hostile.rule === '' || error.rule === hostile.rule),
    );
    expect(found, JSON.stringify(errors)).toBeDefined();
    expect(found?.message).toContain(folder);
    expect(found?.message).toContain(hostile.names);
    expect(found?.message).not.toMatch(/\p{Cc}/u);
  });

  test('the good folders are prepared whole, one with names that every object inherits among them', () => {
    expect(prepared.errors).toEqual([]);
    for (const name of ['A-good', 'z-good']) {
      const { verdict, bundle, errors } = pathNamed(`devices/${name}`);
      expect({ verdict, errors, files: bundle?.manifest.files.map((file) => file.path) }).toEqual({
        verdict: 'valid',
        errors: [],
        files: ['app.json'],
      });
    }
    expect(prepared.paths.filter((path) => path.verdict === 'valid')).toHaveLength(2);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  test('of two device folders that differ only in case neither is taken, and each error names the other', () => {
    for (const [one, other] of [
      ['twin-case', 'Twin-Case'],
      ['Twin-Case', 'twin-case'],
    ]) {
      const [error] = pathNamed(`devices/${one}`).errors;
      expect(error).toMatchObject({ code: 'path', rule: 'case_duplicate', file: `devices/${one}` });
      expect(error?.message).toContain(`"${other}"`);
    }
  });

  test('nothing stands on the disk but the mirror', async () => {
    expect(await readdir(dir)).toEqual(['mirror']);
    const inside = await readdir(join(dir, 'mirror'), { recursive: true });
    expect(inside.filter((name) => /passwd|cron|app\.json|big\.bin/.test(name))).toEqual([]);
    expect(inside.length).toBeGreaterThan(2);
  });
});

function hundred(make: (name: string) => Entry): Entry[] {
  return Array.from({ length: 100 }, (_, n) => make(String(n).padStart(2, '0')));
}

function nameOf(hostile: Case): string {
  return hostile.title.replaceAll(/[^A-Za-z0-9]+/g, '-');
}

function pathNamed(path: string): PreparedPath {
  const found = prepared.paths.find((candidate) => candidate.path === path);
  if (found === undefined) throw new Error(`Cannot find "${path}" among ${prepared.paths.length} paths`);
  return found;
}
