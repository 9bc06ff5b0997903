import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/git/limits.ts';
import { download } from '../../src/git/mirror/download.ts';
import { fetchIntoMirror } from '../../src/git/mirror/mirror.ts';
import type { ObjectSource } from '../../src/git/pack/object-source.ts';
import { listTree } from '../../src/git/pack/tree-diff.ts';
import { listRefs, refPrefixes } from '../../src/git/protocol/refs.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';

const guard = addressGuard({ allowPrivate: true });
const remoteOf = (url: string) => parseRemote(url, { allowHttp: true, allowLocal: true });
let host: TestGitHost;
let scratch = '';
let dirs = 0;

beforeAll(async () => {
  host = await openGitHost();
  scratch = await mkdtemp(join(tmpdir(), 'bellwether-cases-fetch-'));
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
  await rm(scratch, { recursive: true, force: true });
});

const optionsOf = (oid: string, limits: Limits) => ({ oid, ref: 'main', guard, deadlineMs: 60_000, limits, keep: 'mirror' as const });

/** Both halves of a fetch. @returns the commit's objects, and the bytes that the host sent */
async function follow(dir: string, name: string, oid: string, limits = DEFAULT_LIMITS): Promise<{ source: ObjectSource; bytes: number }> {
  const before = host.bytesOf(name);
  await listRefs(remoteOf(host.urlOf(name)), { ...optionsOf(oid, limits), prefixes: refPrefixes('main') });
  const address = await download(dir, remoteOf(host.urlOf(name)), optionsOf(oid, limits));
  const source = await fetchIntoMirror(join(scratch, `unused-${dirs++}`), remoteOf(address), optionsOf(oid, limits));
  return { source, bytes: host.bytesOf(name) - before };
}

async function pathsOf(source: ObjectSource, oid: string): Promise<string[]> {
  const { files } = await listTree(source, (await source.readCommit(oid)).tree, DEFAULT_LIMITS);
  for (const file of files) await source.readBlob(file.oid, DEFAULT_LIMITS.maxObjectBytes);
  return files.map((file) => file.path);
}

const KIB = 1024;
const noise = (kib: number) => randomBytes(kib * KIB);

test.each([
  ['version 2', true],
  ['version 0', false],
])('over protocol %s a merge of a one-line branch from long ago costs some KB', async (_label, speaksV2) => {
  const name = `merge-${speaksV2}`;
  await host.createRepository(name, { speaksV2 });
  const commits: string[] = [];
  // Each commit replaces a file that does not compress: the history is far larger than any snapshot.
  for (let n = 0; n < 60; n++) commits.push(await host.commit(name, { 'big.bin': noise(256), [`devices/${n}/app.json`]: '{}' }));
  const dir = join(scratch, `mirror-${dirs++}`);
  const first = await follow(dir, name, commits.at(-1) ?? '');
  expect(first.bytes).toBeLessThan(600 * KIB);
  const path = host.pathOf(name);
  await git(path, ['update-ref', 'refs/heads/topic', commits[30] ?? '']);
  const topic = await host.commit(name, { 'line.txt': 'one line' }, { branch: 'topic' });
  const merged = await host.commit(name, { 'line.txt': 'one line' }, { merge: topic });
  const second = await follow(dir, name, merged);
  expect(second.bytes).toBeLessThan(10 * KIB);
  expect(await pathsOf(second.source, merged)).toContain('line.txt');
  expect((await second.source.readCommit(merged)).parents).toEqual([commits.at(-1), topic]);
  // The commit before can still be compared with.
  expect(await pathsOf(second.source, commits.at(-1) ?? '')).not.toContain('line.txt');
  await git(dir, ['fsck', '--strict']);
});

test('a fleet that was left alone for hundreds of commits is caught up with by its last snapshot', async () => {
  const name = 'absence';
  await host.createRepository(name);
  const dir = join(scratch, `mirror-${dirs++}`);
  await follow(dir, name, await host.commit(name, { 'a/app.json': '{}', 'b/app.json': '{}' }));
  let last = '';
  for (let n = 0; n < 100; n++) last = await host.commit(name, { 'a/rom.bin': noise(64) });
  const { source, bytes } = await follow(dir, name, last);
  expect(bytes).toBeLessThan(80 * KIB);
  expect(await pathsOf(source, last)).toEqual(['a/app.json', 'a/rom.bin', 'b/app.json']);
});

test('where what is new costs too much, the commit alone is fetched at once', async () => {
  const name = 'heavy';
  await host.createRepository(name);
  const dir = join(scratch, `mirror-${dirs++}`);
  await follow(dir, name, await host.commit(name, { 'a.bin': noise(512), 'b.bin': noise(64) }));
  const oid = await host.commit(name, { 'c.bin': noise(1_500), 'a.bin': null });
  const asked = host.requests.length;
  // The bound is on top of what the side band adds at most: 1 MiB.
  const { source } = await follow(dir, name, oid, { ...DEFAULT_LIMITS, maxIncrementBytes: 100 * KIB });
  expect(host.requests.length - asked).toBe(3);
  expect(await pathsOf(source, oid)).toEqual(['b.bin', 'c.bin']);
  // And it stays a mirror.
  const next = await host.commit(name, { 'c.txt': 'd' });
  expect((await follow(dir, name, next)).bytes).toBeLessThan(10 * KIB);
});

test('a branch that was replaced, and whose old commits are gone at the host, is fetched anew', async () => {
  const name = 'replaced';
  await host.createRepository(name);
  const dir = join(scratch, `mirror-${dirs++}`);
  await follow(dir, name, await host.commit(name, { 'a.txt': 'a', 'keep.txt': 'k' }));
  const oid = await host.commit(name, { 'b.txt': 'b', 'keep.txt': 'k' }, { force: true });
  await git(host.pathOf(name), ['reflog', 'expire', '--expire=now', '--all']);
  await git(host.pathOf(name), ['gc', '--quiet', '--prune=now']);
  const { source } = await follow(dir, name, oid);
  expect(await pathsOf(source, oid)).toEqual(['b.txt', 'keep.txt']);
});
