import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBulkhead } from '../../controller/reconcile/bulkhead.ts';
import { reconcileSource } from '../../controller/reconcile/source.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';
import { FLEET } from '../support/hostile.ts';
import { folder } from '../support/scene.ts';
import { openService, type TestService } from '../support/service.ts';

let host: TestGitHost;
let service: TestService;
beforeAll(async () => {
  host = await openGitHost();
  // The API alone: a source is checked when the test says so.
  service = await openService({ ROLE: 'api' });
});
afterAll(async () => {
  await service.close();
  await host.close();
});

/** A source of a new repository with the devices a and b, both valid. Its first commit is checked. */
async function fleet(name: string, more: Record<string, string | Buffer> = {}) {
  const url = await host.createRepository(name);
  await git(host.pathOf(name), ['config', 'uploadpack.allowFilter', 'true']);
  await host.commit(name, { 'fleet.yaml': FLEET, ...folder({ vlan: 1 }, 'devices/a/'), ...folder({ vlan: 1 }, 'devices/b/'), ...more });
  const { id } = (await service.api('POST', '/sources', { name, url, layout: 'fleet', pollIntervalSeconds: 3600 })).body;
  const check = async () => {
    await reconcileSource(service.app.services, createBulkhead({ workers: 2, slowAtOnce: 1 }), id);
    return (await service.api('GET', `/sources/${id}`)).body;
  };
  return { id: id as string, check, mirror: join(service.dataDir, 'mirrors', id), first: await check() };
}

async function spoilFiles(dir: string, ends: RegExp, spoil: (bytes: Buffer) => void): Promise<void> {
  for (const name of (await readdir(dir, { recursive: true })).filter((entry) => ends.test(entry))) {
    const bytes = await readFile(join(dir, name));
    spoil(bytes);
    await writeFile(join(dir, name), bytes, { mode: 0o600 });
  }
}

test.each([
  ['in the objects of its packs', /\.pack$/, (bytes: Buffer) => void bytes.subarray(30, -30).fill(0xff)],
  ['at the end of its packs', /\.pack$/, (bytes: Buffer) => void bytes.subarray(-10).fill(0xff)],
  ['in the index of its packs', /\.idx$/, (bytes: Buffer) => void bytes.subarray(1100, 1110).fill(0xff)],
])('a mirror that is damaged on our disk %s is fetched anew, and nobody else is blamed', async (where, files, spoil) => {
  const name = `mirror-${where.replace(/\W/g, '-')}`;
  const { check, first, mirror } = await fleet(name);
  expect(first).toMatchObject({ status: 'ok', lastError: null });
  await spoilFiles(join(mirror, 'objects/pack'), files, spoil);
  const head = await host.commit(name, folder({ vlan: 2 }, 'devices/a/'));
  expect(await check()).toMatchObject({ status: 'ok', lastError: null, headCommit: head });
});

test('a repository that is damaged at the host is told to be so, and recovers when it is mended', async () => {
  const name = 'damaged-at-host';
  const { check } = await fleet(name);
  const head = await host.commit(name, { ...folder({ vlan: 3 }, 'devices/a/'), 'notes.bin': randomBytes(50_000) });
  const path = host.pathOf(name);
  await git(path, ['repack', '-adq']);
  // Git sends what it has packed as it is: only whoever unpacks it sees the damage.
  const packs = join(path, 'objects/pack');
  const saved = new Map<string, Buffer>();
  for (const file of await readdir(packs)) saved.set(file, await readFile(join(packs, file)));
  const { stdout } = { stdout: (await git(path, ['rev-parse', 'main:notes.bin'])).toString().trim() };
  const list = (
    await git(path, ['verify-pack', '-v', ...[...saved.keys()].filter((file) => file.endsWith('.idx')).map((file) => join(packs, file))])
  ).toString();
  const at = Number(new RegExp(`^${stdout} blob +\\d+ \\d+ (\\d+)`, 'm').exec(list)?.[1]);
  await spoilFiles(packs, /\.pack$/, (bytes) => void bytes.subarray(at + 20_000, at + 20_100).fill(0xff));
  const failing = await check();
  expect(failing.lastError).toEqual({
    code: 'git_object_invalid',
    detail: expect.stringMatching(/the pack arrived whole, so the repository is damaged at the host; run "git fsck" there$/),
  });
  for (const [file, bytes] of saved) await writeFile(join(packs, file), bytes);
  expect(await check()).toMatchObject({ status: 'ok', lastError: null, headCommit: head });
});

test('a transfer that damages the pack is told to be so', async () => {
  const name = 'damaged-on-the-way';
  const { check } = await fleet(name);
  const head = await host.commit(name, folder({ vlan: 4 }, 'devices/a/'));
  host.fault(name, { kind: 'spoil', how: 'flip', after: 160, command: 'fetch' });
  expect((await check()).lastError).toEqual({
    code: 'git_transfer_damaged',
    detail: expect.stringContaining('arrived damaged: its checksum is wrong; Bellwether retries the transfer'),
  });
  host.clearFault(name);
  expect(await check()).toMatchObject({ lastError: null, headCommit: head });
});

const LARGE = Buffer.alloc(33 * 1024 * 1024, 'large');

test.each(['fleet', 'repo'])('a file above the limit that nothing selects does no harm (layout %s)', async (layout) => {
  const name = `large-${layout}`;
  const url = await host.createRepository(name);
  await git(host.pathOf(name), ['config', 'uploadpack.allowFilter', 'true']);
  const files = layout === 'fleet' ? { 'fleet.yaml': FLEET, ...folder({ vlan: 1 }, 'devices/a/') } : folder({ vlan: 1 });
  const head = await host.commit(name, { ...files, 'video.bin': LARGE });
  const { id } = (await service.api('POST', '/sources', { name, url, layout, pollIntervalSeconds: 3600 })).body;
  const check = async () => {
    await reconcileSource(service.app.services, createBulkhead({ workers: 2, slowAtOnce: 1 }), id);
    return (await service.api('GET', `/sources/${id}`)).body;
  };
  expect(await check()).toMatchObject({ status: 'ok', lastError: null, headCommit: head });
  // The next commit is asked for without the file at once.
  const before = host.bytesOf(name);
  const next = await host.commit(name, folder({ vlan: 2 }, layout === 'fleet' ? 'devices/a/' : ''));
  expect(await check()).toMatchObject({ status: 'ok', headCommit: next });
  expect(host.bytesOf(name) - before).toBeLessThan(20_000);
});

test('a file above the limit that a folder selects is the error of that folder alone', async () => {
  const { first } = await fleet('large-selected', { 'devices/a/config/huge.json': LARGE });
  expect(first).toMatchObject({ status: 'partial', lastError: null });
  const paths = (await service.api('GET', `/revisions/${first.revisionId}`)).body.paths as { path: string; errors: unknown[] }[];
  expect(paths.map(({ path, errors }) => [path, errors])).toEqual([
    ['devices/a', [expect.objectContaining({ code: 'too_large', file: 'devices/a/config/huge.json' })]],
    ['devices/b', []],
  ]);
});

test('a host that cannot leave files out makes the whole source too large, and the error says so', async () => {
  const name = 'large-no-filter';
  const url = await host.createRepository(name);
  const files = { ...folder({ vlan: 1 }), 'video.bin': LARGE };
  await host.commit(name, files);
  const { id } = (await service.api('POST', '/sources', { name, url, layout: 'repo', pollIntervalSeconds: 3600 })).body;
  await reconcileSource(service.app.services, createBulkhead({ workers: 2, slowAtOnce: 1 }), id);
  expect((await service.api('GET', `/sources/${id}`)).body.lastError).toEqual({
    code: 'git_too_large',
    detail: expect.stringMatching(/34603008 bytes, must be at most 33554432; the host does not leave large files out of a fetch either$/),
  });
});
