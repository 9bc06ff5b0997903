import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import type { ObjectSource, TreeEntry } from '../../src/git/pack/object-source.ts';
import { EMPTY_TREE } from '../../src/git/pack/objects.ts';
import { checkEntry } from '../../src/git/pack/tree-check.ts';
import { diffTrees, findEntry, listTree } from '../../src/git/pack/tree-diff.ts';
import { openLocal } from '../../src/git/protocol/local.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';

const limits = DEFAULT_LIMITS;
const guard = addressGuard({ allowPrivate: true });
let host: TestGitHost;
let url = '';
const name = 'trees';

beforeAll(async () => {
  host = await openGitHost();
  url = await host.createRepository(name);
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
});

type Raw = { mode: string; name: string | Buffer; oid: string };

/** Writes any object without Git's checks. */
async function store(type: string, bytes: Buffer): Promise<string> {
  const whole = Buffer.concat([Buffer.from(`${type} ${bytes.length}\0`), bytes]);
  const oid = createHash('sha1').update(whole).digest('hex');
  const folder = join(host.pathOf(name), 'objects', oid.slice(0, 2));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, oid.slice(2)), deflateSync(whole));
  return oid;
}

const tree = (entries: Raw[]): Promise<string> =>
  store(
    'tree',
    Buffer.concat(
      entries.flatMap((entry) => [Buffer.from(`${entry.mode} `), Buffer.from(entry.name), Buffer.from([0]), Buffer.from(entry.oid, 'hex')]),
    ),
  );
const blob = (text: string): Promise<string> => store('blob', Buffer.from(text));

async function commitOf(treeOid: string): Promise<string> {
  const who = 'A <a@example.com> 1700000000 +0000';
  const oid = await store('commit', Buffer.from(`tree ${treeOid}\nauthor ${who}\ncommitter ${who}\n\nhostile\n`));
  await git(host.pathOf(name), ['update-ref', 'refs/heads/hostile', oid]);
  return oid;
}

async function fetched(treeOid: string, overrides: Partial<typeof limits> = {}): Promise<ObjectSource> {
  const oid = await commitOf(treeOid);
  return await fetchSnapshot(parseRemote(url, { allowHttp: true, allowLocal: false }), {
    oid,
    ref: 'hostile',
    guard,
    deadlineMs: 30_000,
    limits: { ...limits, ...overrides },
  });
}

describe('hostile trees, through a real fetch', () => {
  const names: [string | Buffer, string][] = [
    ['..', 'dot_name'],
    ['.', 'dot_name'],
    ['.git', 'git_name'],
    ['.GIT', 'git_name'],
    ['.Git ', 'git_name'],
    ['.git.', 'git_name'],
    ['git~1', 'git_name'],
    ['.git::$INDEX_ALLOCATION', 'git_name'],
    ['.g\u200cit', 'git_name'],
    ['a\u202eb', 'invisible_character'],
    ['a/b', 'separator'],
    ['/etc', 'separator'],
    ['a\\b', 'separator'],
    ['C:x', 'separator'],
    ['a\nb', 'control_character'],
    ['\x7f', 'control_character'],
    [Buffer.from([0x61, 0xff]), 'not_utf8'],
    ['x'.repeat(256), 'too_long'],
  ];
  test.each(names)('an entry named %j affects only its folder', async (entryName, rule) => {
    const oid = await blob('content');
    const bad = await tree([{ mode: '100644', name: entryName, oid }]);
    const good = await tree([{ mode: '100644', name: 'app.json', oid }]);
    const root = await tree([
      { mode: '40000', name: 'bad', oid: bad },
      { mode: '40000', name: 'good', oid: good },
    ]);
    const source = await fetched(root);
    const listing = await listTree(source, root, limits);
    expect(listing.faults.map((fault) => fault.rule)).toContain(rule);
    expect(listing.faults.every((fault) => fault.path.startsWith('bad/'))).toBe(true);
    expect((await listTree(source, good, limits, 'good')).faults).toEqual([]);
    expect((await diffTrees(source, null, root, limits)).map((change) => change.path)).toContain('good/app.json');
  });

  test.each([
    ['120000', 'symlink'],
    ['160000', 'submodule'],
    ['644', 'submodule'],
  ])('mode %s is the fault "%s"', async (mode, rule) => {
    const root = await tree([
      { mode, name: 'x', oid: await blob('target') },
      { mode: '100755', name: 'y', oid: await blob('run') },
    ]);
    expect((await listTree(await fetched(root), root, limits)).faults).toEqual([expect.objectContaining({ path: 'x', rule })]);
  });

  test('duplicate names are faults, also if they differ in case or Unicode form', async () => {
    const oid = await blob('a');
    const entries = ['a', 'a', 'Readme', 'README', 'é', 'e\u0301', 'ſ', 's'].map((entryName) => ({ mode: '100644', name: entryName, oid }));
    const root = await tree(entries);
    expect((await listTree(await fetched(root), root, limits)).faults.map(({ path, rule }) => [path, rule])).toEqual([
      ['a', 'duplicate'],
      ['README', 'case_duplicate'],
      ['e\u0301', 'case_duplicate'],
      ['s', 'case_duplicate'],
    ]);
  });

  test('two different names that are not UTF-8 stay different', async () => {
    const root = await tree([
      { mode: '100644', name: Buffer.from([0xfe]), oid: await blob('1') },
      { mode: '100644', name: Buffer.from([0xff]), oid: await blob('2') },
    ]);
    const source = await fetched(root);
    expect((await source.readTree(root)).map((entry) => [...(entry.rawName ?? [])])).toEqual([[0xfe], [0xff]]);
    expect(await diffTrees(source, null, root, limits)).toHaveLength(2);
  });

  test('a change of the second of two equal names is detected', async () => {
    const [a, b, c] = [await blob('a'), await blob('b'), await blob('c')];
    const before = await tree([
      { mode: '100644', name: 'x', oid: a },
      { mode: '100644', name: 'x', oid: b },
    ]);
    const after = await tree([
      { mode: '100644', name: 'x', oid: c },
      { mode: '100644', name: 'x', oid: b },
    ]);
    const root = await tree([
      { mode: '40000', name: '0', oid: before },
      { mode: '40000', name: '1', oid: after },
    ]);
    expect(await diffTrees(await fetched(root), before, after, limits)).toEqual([{ path: 'x', kind: 'changed', mode: '100644', oid: c }]);
  });

  test('a folder nested too deeply is a fault and is not read', async () => {
    let oid = await tree([{ mode: '100644', name: 'deep', oid: await blob('deep') }]);
    for (let n = 0; n < 60; n++) oid = await tree([{ mode: '40000', name: 'd', oid }]);
    const root = await tree([
      { mode: '100644', name: 'a', oid: await blob('a') },
      { mode: '40000', name: 'd', oid },
    ]);
    const source = await fetched(root);
    const listing = await listTree(source, root, limits);
    expect(listing.files.map((file) => file.path)).toEqual(['a']);
    expect(listing.faults).toEqual([expect.objectContaining({ rule: 'too_deep' })]);
    expect((await diffTrees(source, null, root, limits)).map((change) => change.mode)).toEqual(['100644', '040000']);
  });

  test('a few trees that form billions of files are refused, and fetching them is cheap', async () => {
    let oid = await tree([{ mode: '100644', name: 'f', oid: await blob('bomb') }]);
    for (let n = 0; n < 10; n++) oid = await tree(Array.from({ length: 10 }, (_, at) => ({ mode: '40000', name: `d${at}`, oid })));
    const source = await fetched(oid);
    const few = { maxDepth: 32, maxEntries: 5000 };
    await expect(listTree(source, oid, few)).rejects.toMatchObject({ code: 'git_too_large' });
    await expect(diffTrees(source, null, oid, few)).rejects.toMatchObject({ code: 'git_too_large' });
  });

  test('more entries than allowed are refused at the fetch', async () => {
    const oid = await blob('x');
    const root = await tree(Array.from({ length: 50 }, (_, n) => ({ mode: '100644', name: `f${n}`, oid })));
    await expect(fetched(root, { maxEntries: 49 })).rejects.toMatchObject({ code: 'git_too_large' });
    await expect(fetched(root, { maxEntries: 50 })).resolves.toBeDefined();
  });

  test('a malformed tree affects only its folder', async () => {
    const malformed = await store('tree', Buffer.from('100644 a\0short'));
    const root = await tree([
      { mode: '100644', name: 'a', oid: await blob('a') },
      { mode: '40000', name: 'malformed', oid: malformed },
    ]);
    // Git itself would not pack such a tree, so the test reads it from the repository on disk.
    const source = await openLocal(host.pathOf(name));
    expect(await listTree(source, root, limits)).toMatchObject({
      files: [{ path: 'a' }],
      faults: [{ path: 'malformed', rule: 'unreadable' }],
    });
    expect(await diffTrees(source, null, root, limits)).toEqual([
      expect.objectContaining({ path: 'a' }),
      expect.objectContaining({ path: 'malformed', mode: '040000' }),
    ]);
  });
});

test('checkEntry() returns no faults for ordinary names', () => {
  const entries: TreeEntry[] = ['.gitignore', '.gitattributes', 'git', 'a b', 'ü', 'x.y', '...', '-x', 'git~x', '.github'].map(
    (entryName) => ({ name: entryName, mode: '100644', oid: EMPTY_TREE }),
  );
  expect(checkEntry(entries, 'devices/a')).toEqual([]);
});

test('checkEntry() refuses an empty name, which Git never sends', () => {
  expect(checkEntry([{ name: '', mode: '100644', oid: EMPTY_TREE }], '').map((fault) => fault.rule)).toEqual(['empty_name']);
});

test('findEntry() finds files and folders by path, but no duplicate name', async () => {
  const oid = await blob('x');
  const inner = await tree([
    { mode: '100644', name: 'twice', oid },
    { mode: '100644', name: 'twice', oid },
    { mode: '100644', name: 'x', oid },
  ]);
  const root = await tree([{ mode: '40000', name: 'in', oid: inner }]);
  const source = await fetched(root);
  expect(await findEntry(source, root, 'in/x')).toMatchObject({ mode: '100644', oid });
  expect(await findEntry(source, root, 'in')).toMatchObject({ mode: '040000', oid: inner });
  expect(await findEntry(source, root, '')).toMatchObject({ oid: root });
  for (const path of ['in/twice', 'in/y', 'in/x/z', 'y', 'in/']) expect(await findEntry(source, root, path), path).toBeNull();
});

describe('diffTrees()', () => {
  test('equals git diff-tree -r on random histories', async () => {
    await host.createRepository('random');
    const path = fc.constantFrom('a', 'b', 'c/d', 'c/e', 'c/f/g', 'h/i', 'h/j/k/l', 'm');
    // A file may replace a folder and vice versa.
    const clash = fc.constantFrom('c', 'h', 'a/x', 'm/n/o', 'c/f');
    const change = fc.array(fc.tuple(fc.oneof(path, clash), fc.option(fc.constantFrom('1', '2', '3', ''), { nil: null })), {
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 2, maxLength: 4 }), async (history) => {
        const commits = [];
        for (const [n, files] of history.entries())
          commits.push(await host.commit('random', { keep: 'k', ...Object.fromEntries(files) }, { force: n === 0 }));
        const source = await openLocal(host.pathOf('random'));
        for (let n = 1; n < commits.length; n++) await expectEqualToGit(source, commits[n - 1] ?? '', commits[n] ?? '');
        await expectEqualToGit(source, commits.at(-1) ?? '', commits[0] ?? '');
      }),
      { numRuns: 15 },
    );
  });

  async function expectEqualToGit(source: ObjectSource, from: string, to: string): Promise<void> {
    const lines = (await git(host.pathOf('random'), ['diff-tree', '-r', '--raw', '--no-abbrev', '--no-renames', from, to]))
      .toString()
      .split('\n')
      .filter(Boolean);
    const expected = lines.map((text) => {
      const [, oldMode = '', mode = '', oldOid = '', oid = '', status = '', path = ''] =
        /^:(\d+) (\d+) (\w+) (\w+) (\w)\t(.*)$/.exec(text) ?? [];
      if (status === 'D') return { path, kind: 'removed', mode: oldMode, oid: oldOid };
      return { path, kind: status === 'A' ? 'added' : 'changed', mode, oid };
    });
    const trees = await Promise.all([source.readCommit(from), source.readCommit(to)]);
    const actual = await diffTrees(source, trees[0].tree, trees[1].tree, limits);
    expect(actual.map((change) => JSON.stringify(change)).sort()).toEqual(expected.map((change) => JSON.stringify(change)).sort());
  }

  test('reads only folders that differ', async () => {
    await host.createRepository('pruned');
    const files = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`devices/${n % 10}/d${n}/app.json`, `${n}`]));
    const from = await host.commit('pruned', files);
    const to = await host.commit('pruned', { 'devices/3/d3/app.json': 'changed' });
    const source = await openLocal(host.pathOf('pruned'));
    const [before, after] = [(await source.readCommit(from)).tree, (await source.readCommit(to)).tree];
    let reads = 0;
    const readTree: ObjectSource['readTree'] = (oid) => {
      reads++;
      return source.readTree(oid);
    };
    const counting: ObjectSource = { ...source, readTree };
    expect(await diffTrees(counting, before, after, limits)).toHaveLength(1);
    expect(reads).toBe(8);
    expect(await diffTrees(counting, after, after, limits)).toEqual([]);
    expect(reads).toBe(8);
  });
});
