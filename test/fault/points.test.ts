import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDirectoryAdapter } from '../../src/adapter/directory.ts';
import { armFault, FAULT_POINTS, faultPoint } from '../../src/faults.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { download } from '../../src/git/mirror/download.ts';
import { fetchIntoMirror } from '../../src/git/mirror/mirror.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { bundleDigest } from '../../src/wire/bundle.ts';
import { openWorkspaces } from '../../src/workspace/workspace.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { readCurrentTree, readTree, releaseOf, unfinished } from '../workspace/support.ts';

let dir = '';
let host: TestGitHost;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bellwether-points-'));
  host = await openGitHost();
});
afterAll(async () => {
  await host.close();
  await rm(dir, { recursive: true, force: true });
});

test('an unknown point cannot be armed, and an armed one throws once, at the call that it names', () => {
  expect(() => armFault('before_lunch')).toThrow(/Cannot arm the fault "before_lunch": must be one of before_hook_recorded,/);
  armFault('before_commit:ENOSPC#2');
  faultPoint('after_commit');
  faultPoint('before_commit');
  expect(() => faultPoint('before_commit')).toThrow(/ENOSPC/);
  faultPoint('before_commit');
});

test.each(['before_incoming_rename', 'before_pack_write', 'before_index_write', 'before_head_write'])(
  'a full disk at %s is reported as such, and the next fetch continues from the complete part',
  async (point) => {
    const guard = addressGuard({ allowPrivate: true });
    const remoteOf = (url: string) => parseRemote(url, { allowHttp: true, allowLocal: true });
    const remote = remoteOf(await host.createRepository(point));
    const mirror = join(dir, point);
    const fetchIt = async (oid: string) => {
      const options = { oid, ref: 'main', guard, deadlineMs: 10_000, limits: DEFAULT_LIMITS };
      const address = await download(mirror, remote, { ...options, keep: 'mirror' });
      return await fetchIntoMirror(mirror, remoteOf(address), options);
    };
    await fetchIt(await host.commit(point, { 'a.txt': 'before' }));
    const oid = await host.commit(point, { 'a.txt': 'after' });
    armFault(`${point}:ENOSPC`);
    await expect(fetchIt(oid)).rejects.toMatchObject({ code: 'mirror_no_space', status: 507, retry: 'backoff' });
    const source = await fetchIt(oid);
    const [entry] = await source.readTree((await source.readCommit(oid)).tree);
    expect(Buffer.from(await source.readBlob(entry!.oid, 100)).toString()).toBe('after');
    await closeConnections(guard);
  },
);

/** Leaves out the points after which the new state is complete and nothing more is written. */
const WORKSPACE_POINTS = FAULT_POINTS.filter((point) => point.startsWith('workspace_') && !/swapped|cleaned/.test(point));

test.each(WORKSPACE_POINTS)('a disk that is full at %s leaves the workspace as it was, and the next change succeeds', async (point) => {
  const root = join(dir, 'workspaces');
  const workspaces = await openWorkspaces(root);
  const name = await workspaces.create({ organizationId: 'o', deviceId: 'd' });
  await workspaces.applyRelease(name, releaseOf({ a: 'old' }), { reason: 'first' });
  armFault(`${point}:ENOSPC`);
  const change = () => workspaces.applyRelease(name, releaseOf({ a: 'new' }), { reason: 'second' });
  await expect(change()).rejects.toMatchObject({ code: 'workspace_no_space', status: 507 });
  expect(await readCurrentTree(root, name)).toEqual({ a: 'old' });
  expect((await workspaces.verify(name)).state).toBe('clean');
  expect(await unfinished(root, name)).toEqual([]);
  expect(await change()).toMatchObject({ changed: true });
  expect(await readCurrentTree(root, name)).toEqual({ a: 'new' });
});

test('a share that cannot be written does not quarantine the bundle, and the service writes it once it can', async () => {
  const root = join(dir, 'outbox');
  const adapter = createDirectoryAdapter(root);
  const { manifest, readFile } = releaseOf({ a: 'a' });
  const loadBundle = async () => ({ manifest, readFile });
  const place = { organizationId: 'o', deviceId: 'd', digest: bundleDigest(manifest), previous: null, place: null, loadBundle };
  const deliver = async () => {
    const push = await adapter.open(place);
    const signal = AbortSignal.timeout(60_000);
    await push.apply(await push.prepare(signal), 'token', signal);
  };
  await writeFile(root, 'a file where the folder should be');
  await expect(deliver()).rejects.toMatchObject({ code: 'workspace_io', retry: 'backoff' });
  await rm(root);
  armFault('workspace_written:ENOSPC');
  await expect(deliver()).rejects.toMatchObject({ code: 'workspace_no_space', retry: 'backoff' });
  await deliver();
  expect(await readTree(await realpath(join(root, 'o', 'd')))).toEqual({ a: 'a' });
});
