import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { type DownloadOptions, download } from '../../src/git/mirror/download.ts';
import { fetchIntoMirror } from '../../src/git/mirror/mirror.ts';
import type { ObjectSource } from '../../src/git/pack/object-source.ts';
import { listTree } from '../../src/git/pack/tree-diff.ts';
import { listRefs, refPrefixes } from '../../src/git/protocol/refs.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';

const guard = addressGuard({ allowPrivate: true });
const remoteOf = (url: string) => parseRemote(url, { allowHttp: true, allowLocal: true });
let host: TestGitHost;
let scratch = '';
let dirs = 0;

beforeAll(async () => {
  host = await openGitHost();
  scratch = await mkdtemp(join(tmpdir(), 'bellwether-download-'));
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
  await rm(scratch, { recursive: true, force: true });
});

const newDir = (): string => join(scratch, `mirror-${dirs++}`);
const options = (oid: string, keep: DownloadOptions['keep'] = 'mirror') => ({
  oid,
  ref: 'main',
  guard,
  deadlineMs: 10_000,
  limits: DEFAULT_LIMITS,
  keep,
});

/** Runs both halves: downloads the host's answer, then reads it without the host. */
async function fetchIt(dir: string, name: string, oid: string): Promise<ObjectSource> {
  const address = await download(dir, remoteOf(host.urlOf(name)), options(oid));
  return await fetchIntoMirror(newDir(), remoteOf(address), options(oid));
}

/** Returns the contents of all files by path. */
async function filesOf(source: ObjectSource, oid: string): Promise<Record<string, string>> {
  const { files } = await listTree(source, (await source.readCommit(oid)).tree, DEFAULT_LIMITS);
  const read = files.map(async (file) => [file.path, Buffer.from(await source.readBlob(file.oid, 1000)).toString()] as const);
  return Object.fromEntries(await Promise.all(read));
}

test.each([
  ['version 2', true],
  ['version 0', false],
])(
  'over protocol %s a mirror follows the commits, each fetch requests only new objects, and Git can read the mirror',
  async (_label, speaksV2) => {
    const name = `follow-${speaksV2}`;
    const url = await host.createRepository(name, { speaksV2 });
    const dir = newDir();
    for (let n = 1; n <= 3; n++) {
      const oid = await host.commit(name, { 'a.txt': `${n}`, [`b/${n}.txt`]: 'b' });
      // The service also lists refs before each fetch, so the host's protocol version is known.
      await listRefs(remoteOf(url), { ...options(oid), prefixes: refPrefixes('main') });
      expect(await filesOf(await fetchIt(dir, name, oid), oid)).toMatchObject({ 'a.txt': `${n}`, [`b/${n}.txt`]: 'b' });
      const asked = host.requests.length;
      expect(await filesOf(await fetchIt(dir, name, oid), oid)).toMatchObject({ 'a.txt': `${n}` });
      expect(host.requests.length).toBe(asked);
    }
    await git(dir, ['fsck', '--strict']);
    expect((await readdir(join(dir, 'objects/pack'))).filter((file) => file.endsWith('.pack'))).toHaveLength(3);
  },
);

test('a single reading needs no host after the download and leaves no file', async () => {
  const once = await openGitHost();
  const url = await once.createRepository('once');
  const oid = await once.commit('once', { 'a.txt': 'a' });
  const dir = newDir();
  const address = await download(dir, remoteOf(url), options(oid, 'once'));
  await once.close();
  expect(await filesOf(await fetchSnapshot(remoteOf(address), options(oid)), oid)).toEqual({ 'a.txt': 'a' });
  expect(await readdir(dir)).toEqual([]);
});

test("the second half reports the host's error about a missing commit", async () => {
  await host.createRepository('other');
  await host.commit('other', { 'a.txt': 'a' });
  await expect(fetchIt(newDir(), 'other', '1'.repeat(40))).rejects.toMatchObject({ code: 'commit_missing' });
});

test('a damaged mirror is reported and removed; the next download fetches everything', async () => {
  await host.createRepository('damaged');
  const damages = [
    (dir: string) => rm(join(dir, 'objects/pack'), { recursive: true }),
    (dir: string) => writeFile(join(dir, 'refs/heads/verified'), `${'1'.repeat(40)}\n`),
  ];
  for (const [n, damage] of damages.entries()) {
    const dir = newDir();
    await fetchIt(dir, 'damaged', await host.commit('damaged', { 'a.txt': `before ${n}` }));
    await damage(dir);
    const oid = await host.commit('damaged', { 'a.txt': `after ${n}` });
    await expect(fetchIt(dir, 'damaged', oid)).rejects.toMatchObject({ code: 'mirror_damaged', retry: 'soon' });
    expect(await filesOf(await fetchIt(dir, 'damaged', oid), oid)).toEqual({ 'a.txt': `after ${n}` });
  }
});

test('a download replaces the leftovers of an interrupted download or reader', async () => {
  await host.createRepository('interrupted');
  const oid = await host.commit('interrupted', { 'a.txt': 'a' });
  const dir = newDir();
  await mkdir(dir);
  await writeFile(join(dir, 'bellwether-incoming.tmp'), 'half');
  await download(dir, remoteOf(host.urlOf('interrupted')), options('1'.repeat(40)));
  expect(await filesOf(await fetchIt(dir, 'interrupted', oid), oid)).toEqual({ 'a.txt': 'a' });
  expect((await readdir(dir)).filter((name) => name.startsWith('bellwether-'))).toEqual([]);
});

test('an answer above the byte limit is refused while it arrives, and leaves no file', async () => {
  await host.createRepository('large');
  const oid = await host.commit('large', { 'noise.bin': randomBytes(3_000_000) });
  const dir = newDir();
  const capped = { ...options(oid), limits: { ...DEFAULT_LIMITS, maxPackBytes: 1000 } };
  await expect(download(dir, remoteOf(host.urlOf('large')), capped)).rejects.toMatchObject({ code: 'git_too_large' });
  expect(await readdir(dir)).toEqual([]);
});
