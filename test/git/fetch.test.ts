import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { fetchIntoMirror } from '../../src/git/mirror/mirror.ts';
import type { ObjectSource } from '../../src/git/pack/object-source.ts';
import { listTree } from '../../src/git/pack/tree-diff.ts';
import { parseRemote, type Remote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { type Files, git, openGitHost, type TestGitHost } from '../support/git-host.ts';

const guard = addressGuard({ allowPrivate: true });
const remoteOf = (url: string): Remote => parseRemote(url, { allowHttp: true, allowLocal: true });
let host: TestGitHost;
let scratch = '';
let dirs = 0;

beforeAll(async () => {
  host = await openGitHost();
  scratch = await mkdtemp(join(tmpdir(), 'bellwether-mirror-'));
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
  await rm(scratch, { recursive: true, force: true });
});

const options = (oid: string) => ({ oid, ref: 'main', guard, deadlineMs: 30_000, limits: DEFAULT_LIMITS });
const newDir = (): string => join(scratch, `mirror-${dirs++}`);

/** Compares every file of the commit byte for byte with `git cat-file`. */
async function expectEqualToGit(source: ObjectSource, name: string, oid: string): Promise<void> {
  const path = host.pathOf(name);
  const commit = await source.readCommit(oid);
  const expected = (await git(path, ['ls-tree', '-r', '-z', '--full-tree', oid])).toString().split('\0').filter(Boolean);
  const { files, faults } = await listTree(source, commit.tree, DEFAULT_LIMITS);
  expect(faults).toEqual([]);
  expect(files.map((file) => `${file.mode} blob ${file.oid}\t${file.path}`)).toEqual(expected);
  expect(files.length).toBeGreaterThan(0);
  const blobs: Buffer[] = [];
  for (const file of files) {
    const blob = await source.readBlob(file.oid, 10_000_000);
    blobs.push(Buffer.from(`${file.oid} blob ${blob.length}\n`), Buffer.from(blob), Buffer.from('\n'));
  }
  const batch = await git(path, ['cat-file', '--batch'], files.map((file) => `${file.oid}\n`).join(''));
  expect(Buffer.concat(blobs).equals(batch)).toBe(true);
  const [tree, parents, author, email, at, ...message] = (await git(path, ['show', '-s', '--format=%T%n%P%n%an%n%ae%n%ct%n%B', oid]))
    .toString()
    .split('\n');
  expect(commit).toMatchObject({ oid, tree, author: { name: author, email }, parents: parents ? parents.split(' ') : [] });
  expect(commit.committedAt.getTime()).toBe(Number(at) * 1000);
  expect(commit.message.trim()).toBe(message.join('\n').trim());
}

function fleet(devices: number, changed: Files = {}): Files {
  const files: Files = {};
  for (let n = 0; n < devices; n++)
    files[`devices/${String(n % 20).padStart(2, '0')}/dev-${n}/app.json`] = JSON.stringify({
      id: n,
      name: `terminal ${n}`,
      filler: 'x'.repeat(n % 50),
    });
  return { ...files, ...changed };
}

describe.each([
  ['version 2', true],
  ['version 0', false],
])('over protocol %s', (_label, speaksV2) => {
  const name = `content-${speaksV2}`;
  const commits: string[] = [];
  beforeAll(async () => {
    await host.createRepository(name, { speaksV2 });
    if (!speaksV2) await git(host.pathOf(name), ['config', 'uploadpack.allowAnySHA1InWant', 'true']);
    const text = Array.from({ length: 3000 }, (_, n) => `line ${n} ${(n * 7919) % 1009}`);
    for (let n = 0; n < 5; n++) {
      text[n * 100] = `changed ${n}`;
      commits.push(
        await host.commit(
          name,
          { ...fleet(30), 'big.txt': text.join('\n'), [`new-${n}/ü ñ.txt`]: `content ${n}`, 'empty.txt': '' },
          { message: `commit ${n}\n\nwith a body` },
        ),
      );
    }
    await git(host.pathOf(name), ['repack', '-adfq', '--depth=50', '--window=50']);
  });

  test('a snapshot of the tip reads as git cat-file does', async () => {
    const oid = commits[4] ?? '';
    await expectEqualToGit(await fetchSnapshot(remoteOf(host.urlOf(name)), options(oid)), name, oid);
  });

  test('a snapshot of a pinned commit that is no tip also reads as git cat-file does', async () => {
    const oid = commits[1] ?? '';
    await expectEqualToGit(await fetchSnapshot(remoteOf(host.urlOf(name)), options(oid)), name, oid);
  });

  test('a mirror that follows the commits reads as git cat-file does, and stays a valid Git repository', async () => {
    const dir = newDir();
    for (const oid of commits.slice(1))
      await expectEqualToGit(await fetchIntoMirror(dir, remoteOf(host.urlOf(name)), options(oid)), name, oid);
    await expectEqualToGit(await fetchIntoMirror(dir, remoteOf(host.urlOf(name)), options(commits[2] ?? '')), name, commits[2] ?? '');
    await git(dir, ['fsck', '--strict']);
    expect((await git(dir, ['rev-parse', 'HEAD'])).toString().trim()).toBe(commits[2]);
  });
});

test('a local repository, bare or a working copy or a linked one, reads as git cat-file does', async () => {
  await host.createRepository('origin');
  const oid = await host.commit('origin', fleet(10));
  const copy = join(scratch, 'copy');
  await git(scratch, ['clone', '-q', host.pathOf('origin'), copy]);
  await git(copy, ['worktree', 'add', '-q', '--detach', join(scratch, 'linked')]);
  for (const path of [host.pathOf('origin'), copy, join(scratch, 'linked')]) {
    await expectEqualToGit(await fetchSnapshot(remoteOf(path), options(oid)), 'origin', oid);
    await expectEqualToGit(await fetchIntoMirror(newDir(), remoteOf(path), options(oid)), 'origin', oid);
  }
  await expect(fetchSnapshot(remoteOf(copy), options('3'.repeat(40)))).rejects.toMatchObject({ code: 'commit_missing' });
  await expect(fetchSnapshot(remoteOf(scratch), options(oid))).rejects.toMatchObject({ code: 'git_not_found' });
});

test('objects of the wrong kind, missing objects and blobs above maxBytes have different errors', async () => {
  const url = await host.createRepository('kinds');
  const oid = await host.commit('kinds', { 'a.txt': 'x'.repeat(1000) });
  const source = await fetchSnapshot(remoteOf(url), options(oid));
  const { tree } = await source.readCommit(oid);
  const blob = (await source.readTree(tree))[0]?.oid ?? '';
  await expect(source.readTree(oid)).rejects.toMatchObject({ code: 'git_object_invalid' });
  await expect(source.readBlob('2'.repeat(40), 10)).rejects.toMatchObject({ code: 'git_object_missing' });
  await expect(source.readBlob(blob, 999)).rejects.toMatchObject({ code: 'git_too_large' });
  expect(await source.readBlob(blob, 1000)).toHaveLength(1000);
});

describe('fetchIntoMirror()', () => {
  const name = 'fleet';
  let first = '';
  beforeAll(async () => {
    await host.createRepository(name);
    first = await host.commit(name, fleet(400));
  });
  const fetchIt = (dir: string, oid: string, extra = {}) => fetchIntoMirror(dir, remoteOf(host.urlOf(name)), { ...options(oid), ...extra });
  const packSizes = async (dir: string): Promise<number[]> => {
    const packs = (await readdir(join(dir, 'objects/pack'))).filter((file) => file.endsWith('.pack'));
    return (await Promise.all(packs.map((file) => stat(join(dir, 'objects/pack', file))))).map(({ size }) => size).sort((a, b) => a - b);
  };

  test('fetches without history first, then only changed objects, and nothing for a present commit', async () => {
    const dir = newDir();
    await fetchIt(dir, first);
    const second = await host.commit(name, { 'devices/03/dev-3/app.json': '{"id":3,"changed":true}' });
    await expectEqualToGit(await fetchIt(dir, second), name, second);
    const [small = 0, large = 0] = await packSizes(dir);
    expect(small * 10).toBeLessThan(large);
    const asked = host.requests.length;
    await fetchIt(dir, second);
    await fetchIt(dir, first);
    expect(host.requests.length).toBe(asked);
  });

  test('fetches from scratch above the limit of packs', async () => {
    const dir = newDir();
    for (let n = 0; n < 5; n++) {
      const oid = await host.commit(name, { 'devices/03/dev-3/app.json': `{"n":${n}}` });
      await expectEqualToGit(await fetchIt(dir, oid, { maxPacks: 3 }), name, oid);
      expect((await packSizes(dir)).length).toBeLessThanOrEqual(3);
    }
    expect((await readdir(scratch)).filter((file) => file.includes('.trash-'))).toEqual([]);
  });

  test('survives a branch that was replaced by an unrelated history', async () => {
    await host.createRepository('rewritten');
    const dir = newDir();
    const url = remoteOf(host.urlOf('rewritten'));
    await fetchIntoMirror(dir, url, options(await host.commit('rewritten', fleet(5))));
    const oid = await host.commit('rewritten', { 'only.txt': 'new root' }, { force: true });
    await expectEqualToGit(await fetchIntoMirror(dir, url, options(oid)), 'rewritten', oid);
  });

  const damages: [string, (dir: string) => Promise<void>][] = [
    ['a pack cut in half', async (dir) => await eachFile(dir, '.pack', async (path) => await truncate(path, 500))],
    [
      'an index full of zeros',
      async (dir) => await eachFile(dir, '.idx', async (path) => await writeFile(path, Buffer.alloc((await stat(path)).size))),
    ],
    [
      'a pack whose middle is zeros',
      async (dir) => await eachFile(dir, '.pack', async (path) => await writeFile(path, zeroed(await readFile(path)))),
    ],
    ['a mirror without packs', async (dir) => await rm(join(dir, 'objects/pack'), { recursive: true })],
    ['an index without its pack', async (dir) => await eachFile(dir, '.pack', async (path) => await rm(path))],
    ['a pack without its index', async (dir) => await eachFile(dir, '.idx', async (path) => await rm(path))],
    ['a ref with nonsense', async (dir) => await writeFile(join(dir, 'refs/heads/verified'), 'xx')],
    ['a ref to a missing commit', async (dir) => await writeFile(join(dir, 'refs/heads/verified'), `${'1'.repeat(40)}\n`)],
    ['an interrupted write', async (dir) => await writeFile(join(dir, 'objects/pack/pack-1.pack.tmp'), 'PACK')],
    ['a lost list of shallow commits', async (dir) => await rm(join(dir, 'shallow'))],
  ];
  test.each(damages)('repairs %s', async (_title, damage) => {
    const dir = newDir();
    const old = await host.commit(name, { 'note.txt': `before ${_title}` });
    await fetchIt(dir, old);
    await damage(dir);
    const oid = await host.commit(name, { 'note.txt': `after ${_title}` });
    await expectEqualToGit(await fetchIt(dir, oid), name, oid);
    await expectEqualToGit(await fetchIt(dir, oid), name, oid);
    expect((await readdir(join(dir, 'objects/pack'))).filter((file) => file.endsWith('.tmp'))).toEqual([]);
  });

  test('damage found only while reading is an error once, and the next call repairs it', async () => {
    const dir = newDir();
    const oid = await host.commit(name, { 'note.txt': 'late damage' });
    const { tree } = await (await fetchIt(dir, oid)).readCommit(oid);
    const blob = (await (await fetchIt(dir, oid)).readTree(tree)).find((entry) => entry.name === 'note.txt')?.oid ?? '';
    const offset = await offsetOf(dir, blob);
    await eachFile(dir, '.pack', async (path) => {
      const bytes = await readFile(path);
      bytes.fill(0xff, offset + 2, offset + 12);
      await writeFile(path, bytes);
    });
    const damaged = await fetchIt(dir, oid);
    await expect(damaged.readBlob(blob, 1000)).rejects.toMatchObject({ code: 'mirror_damaged' });
    await expectEqualToGit(await fetchIt(dir, oid), name, oid);
  });

  test('the next call works after a process was killed at any moment', async () => {
    const dir = newDir();
    const url = host.urlOf(name);
    const script = join(scratch, 'fetch-loop.ts');
    const from = new URL('../../src/git/', import.meta.url).href;
    await writeFile(
      script,
      `import { addressGuard } from '${from}http/address-guard.ts'; import { DEFAULT_LIMITS } from '${from}limits.ts'; import { fetchIntoMirror } from '${from}mirror/mirror.ts'; import { parseRemote } from '${from}remote.ts';
      const [url, dir, ...oids] = process.argv.slice(2); console.log('ready');
      for (;;) for (const oid of oids) { await fetchIntoMirror(dir, parseRemote(url, { allowHttp: true, allowLocal: true }), { oid, ref: 'main', limits: DEFAULT_LIMITS, deadlineMs: 30000, guard: addressGuard({ allowPrivate: true }), maxPacks: 1 }); console.log(oid); }`,
    );
    const oids = [first, await host.commit(name, { 'note.txt': 'killed 1' }), await host.commit(name, { 'note.txt': 'killed 2' })];
    for (let round = 0; round < 6; round++) {
      const child = spawn(process.execPath, [script, url, dir, ...oids], { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = new Promise((done) => child.once('close', done));
      // The kill follows the first line of output or falls into one of the later fetches.
      let lines = 0;
      for await (const chunk of child.stdout) {
        lines += String(chunk).split('\n').length - 1;
        if (lines > round) break;
      }
      child.kill('SIGKILL');
      await exited;
      const oid = oids[round % 3] ?? '';
      await expectEqualToGit(await fetchIt(dir, oid), name, oid);
    }
  });

  test('calls for one folder from one thread wait for each other', async () => {
    const dir = newDir();
    const oid = await host.commit(name, { 'note.txt': 'together' });
    const sources = await Promise.all([fetchIt(dir, oid), fetchIt(dir, first), fetchIt(dir, oid)]);
    await expectEqualToGit(sources[0], name, oid);
    await expectEqualToGit(sources[1], name, first);
  });

  test('a failed fetch leaves the mirror as it was', async () => {
    const dir = newDir();
    await fetchIt(dir, first);
    const oid = await host.commit(name, { 'note.txt': 'later' });
    host.fault(name, { kind: 'status', status: 503 });
    await expect(fetchIt(dir, oid)).rejects.toMatchObject({ code: 'git_server_error' });
    host.clearFault(name);
    await expect(fetchIt(dir, '3'.repeat(40))).rejects.toMatchObject({ code: 'commit_missing' });
    host.fault(name, { kind: 'hang' });
    await expectEqualToGit(await fetchIt(dir, first), name, first);
    host.clearFault(name);
    await expectEqualToGit(await fetchIt(dir, oid), name, oid);
  });
});

async function eachFile(dir: string, ending: string, act: (path: string) => Promise<void>): Promise<void> {
  const files = (await readdir(join(dir, 'objects/pack'))).filter((file) => file.endsWith(ending));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) await act(join(dir, 'objects/pack', file));
}

function zeroed(pack: Buffer): Buffer {
  return pack.fill(0, 12, pack.length - 20);
}

async function offsetOf(dir: string, oid: string): Promise<number> {
  const idx = (await readdir(join(dir, 'objects/pack'))).find((file) => file.endsWith('.idx')) ?? '';
  const lines = (await git(dir, ['verify-pack', '-v', join(dir, 'objects/pack', idx)])).toString().split('\n');
  return Number(lines.find((line) => line.startsWith(oid))?.split(/\s+/)[4]);
}
