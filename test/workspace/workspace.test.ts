import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleDigest } from '../../src/wire/bundle.ts';
import { openWorkspaces, type Workspaces } from '../../src/workspace/workspace.ts';
import { type Files, readCurrentTree, readTree, releaseOf, temporaryRoot, unfinished } from './support.ts';

const OWNER = { organizationId: 'acme', deviceId: 'terminal-7' };
const OLD = { 'app/config.json': '{"v":1}', 'app/deep/menu.json': '[]', 'readme.txt': 'old' };
const NEW = { 'app/config.json': '{"v":2}', 'readme.txt': 'new' };
const AT = new Date('2026-03-02T12:00:00Z');

let root: string;
let close: () => Promise<void>;
let workspaces: Workspaces;
let name: string;

beforeEach(async () => {
  ({ root, close } = await temporaryRoot());
  workspaces = await openWorkspaces(root, () => AT);
  name = await workspaces.create(OWNER);
});
afterEach(() => close());

const apply = (files: Files) => workspaces.applyRelease(name, releaseOf(files), { reason: 'rollout' });
const restore = (backupId: string) => workspaces.restore(name, backupId, { reason: 'rollback' });
const inCurrent = (path: string) => join(root, name, 'current', path);
const code = (value: string) => expect.objectContaining({ code: value });

async function backedUp(change: Promise<{ backup: string | null }>): Promise<string> {
  const { backup } = await change;
  if (backup === null) throw new Error('the change made no backup');
  return backup;
}

test('a workspace has a random name, mode 0700 and a record of its owner', async () => {
  expect(name).toMatch(/^[0-9a-f]{32}$/);
  expect((await stat(join(root, name))).mode & 0o777).toBe(0o700);
  expect(JSON.parse(await readFile(join(root, name, 'workspace.json'), 'utf8'))).toEqual(OWNER);
  expect(await workspaces.create(OWNER)).not.toBe(name);
  expect(await workspaces.verify(name)).toEqual({ state: 'empty', digest: null, changed: [] });
});

test('a release is written under its digest, with its bytes and modes, and current points to it', async () => {
  const release = releaseOf(OLD, '0750');
  const digest = bundleDigest(release.manifest);
  expect(await workspaces.applyRelease(name, release, { reason: 'first' })).toEqual({ digest, changed: true, backup: null });
  expect(await readCurrentTree(root, name)).toEqual(OLD);
  expect(await readlink(join(root, name, 'current'))).toBe(`releases/${digest}/files`);
  expect((await stat(inCurrent('app/config.json'))).mode & 0o7777).toBe(0o750);
  expect(await workspaces.verify(name)).toEqual({ state: 'clean', digest, changed: [] });
});

test('a change backs up the content of current and leaves one release', async () => {
  const { digest } = await apply(OLD);
  const backup = await backedUp(apply(NEW));
  expect(backup).toBe(`1-${digest}`);
  expect(await workspaces.listBackups(name)).toEqual([
    { id: backup, number: 1, digest, createdAt: AT.toISOString(), reason: 'rollout', state: 'clean' },
  ]);
  expect(await readTree(join(root, name, 'backups', backup, 'files'))).toEqual(OLD);
  expect(await readdir(join(root, name, 'releases'))).toHaveLength(1);
});

test('applying the current release does nothing, however often', async () => {
  await apply(OLD);
  const before = await stat(inCurrent('readme.txt'));
  expect(await apply(OLD)).toMatchObject({ changed: false, backup: null });
  expect((await stat(inCurrent('readme.txt'))).ino).toBe(before.ino);
  expect(await workspaces.listBackups(name)).toEqual([]);
});

test('a workspace keeps only the last five backups, newest first', async () => {
  for (let version = 0; version < 8; version += 1) await apply({ 'version.txt': String(version) });
  expect((await workspaces.listBackups(name)).map(({ number }) => number)).toEqual([7, 6, 5, 4, 3]);
  expect(await readdir(join(root, name, 'backups'))).toHaveLength(5);
});

test('backups share no inode with their release or with a restored one', async () => {
  await apply(OLD);
  const backup = await backedUp(apply(NEW));
  await restore(backup);
  await writeFile(inCurrent('readme.txt'), 'tampered');
  expect(await readTree(join(root, name, 'backups', backup, 'files'))).toEqual(OLD);
});

test('a restore recreates the old state and backs up the new one, and a repeated restore does nothing', async () => {
  await apply(OLD);
  const backup = await backedUp(apply(NEW));
  const second = await backedUp(restore(backup));
  expect(await readCurrentTree(root, name)).toEqual(OLD);
  expect((await workspaces.verify(name)).state).toBe('clean');
  expect(await restore(backup)).toMatchObject({ changed: false });
  await restore(second);
  expect(await readCurrentTree(root, name)).toEqual(NEW);
});

test('verify finds drift by content, mode, type, absence and addition', async () => {
  await apply({ ...OLD, 'b.txt': 'b', 'c.txt': 'c', 'same-size.txt': 'abc' });
  await writeFile(inCurrent('same-size.txt'), 'abd');
  await chmod(inCurrent('readme.txt'), 0o666);
  await rm(inCurrent('b.txt'));
  await rm(inCurrent('c.txt'));
  await symlink('/etc/passwd', inCurrent('c.txt'));
  await rm(inCurrent('app/config.json'));
  await mkdir(inCurrent('app/config.json'));
  await mkdir(inCurrent('empty'));
  await mkdir(inCurrent('extra/deep'), { recursive: true });
  await writeFile(inCurrent('extra/deep/file'), 'x');
  await promisify(execFile)('mkfifo', [inCurrent('pipe')]);
  const { state, changed } = await workspaces.verify(name);
  expect(state).toBe('drifted');
  expect(changed).toEqual([
    { path: 'app/config.json', kind: 'changed' },
    { path: 'b.txt', kind: 'missing' },
    { path: 'c.txt', kind: 'changed' },
    { path: 'empty', kind: 'added' },
    { path: 'extra/deep/file', kind: 'added' },
    { path: 'pipe', kind: 'added' },
    { path: 'readme.txt', kind: 'changed' },
    { path: 'same-size.txt', kind: 'changed' },
  ]);
});

test('the same release repairs a drifted state and preserves it in the backup', async () => {
  await apply(OLD);
  await writeFile(inCurrent('readme.txt'), 'by hand');
  await writeFile(inCurrent('notes.txt'), 'mine');
  const backup = await backedUp(apply(OLD));
  expect(await readCurrentTree(root, name)).toEqual(OLD);
  expect((await workspaces.verify(name)).state).toBe('clean');
  expect(await workspaces.listBackups(name)).toMatchObject([{ id: backup, state: 'drifted' }]);
  await restore(backup);
  expect(await readCurrentTree(root, name)).toEqual({ ...OLD, 'readme.txt': 'by hand', 'notes.txt': 'mine' });
  expect((await workspaces.verify(name)).changed.map(({ path }) => path)).toEqual(['notes.txt', 'readme.txt']);
});

test('a planted link is drift, is recorded in the backup, and is neither followed nor written through nor recreated', async () => {
  const outside = join(root, 'outside');
  await mkdir(outside);
  await writeFile(join(outside, 'config.json'), 'precious');
  await apply(OLD);
  await rm(inCurrent('app'), { recursive: true });
  await symlink(outside, inCurrent('app'));
  expect((await workspaces.verify(name)).changed).toContainEqual({ path: 'app', kind: 'added' });
  const backup = await backedUp(apply(OLD));
  expect(await readTree(outside)).toEqual({ 'config.json': 'precious' });
  expect(await readTree(join(root, name, 'backups', backup, 'files'))).toEqual({ 'readme.txt': 'old' });
  const record: unknown = JSON.parse(await readFile(join(root, name, 'backups', backup, 'backup.json'), 'utf8'));
  expect(record).toMatchObject({ links: [{ path: 'app', target: outside }] });
  await restore(backup);
  expect(await readCurrentTree(root, name)).toEqual({ 'readme.txt': 'old' });
});

test.each(['link', 'directory', 'file'])(
  'a %s in the place of current is drift, and the next release replaces it without touching its target',
  async (kind) => {
    await apply(OLD);
    const outside = join(root, 'outside');
    await mkdir(outside);
    const current = join(root, name, 'current');
    await rm(current);
    if (kind === 'link') await symlink(outside, current);
    if (kind === 'directory') await mkdir(current);
    if (kind === 'directory') await writeFile(join(current, 'mine.txt'), 'mine');
    if (kind === 'file') await writeFile(current, 'mine');
    expect(await workspaces.verify(name)).toEqual({ state: 'drifted', digest: null, changed: [{ path: '', kind: 'changed' }] });
    const backup = await backedUp(apply(NEW));
    expect(await readCurrentTree(root, name)).toEqual(NEW);
    expect(await readdir(outside)).toEqual([]);
    expect((await lstat(join(root, name, 'backups', backup, 'files', 'current'))).isSymbolicLink()).toBe(kind === 'link');
    await expect(restore(backup)).rejects.toThrow(code('backup_not_restorable'));
  },
);

test('a damaged manifest and a link in the place of the files are drift, and are repaired', async () => {
  const { digest } = await apply(OLD);
  await writeFile(join(root, name, 'releases', digest, 'bundle.json'), '{}');
  expect(await workspaces.verify(name)).toEqual({ state: 'drifted', digest, changed: [{ path: '', kind: 'changed' }] });
  await apply(OLD);
  const files = join(root, name, await readlink(join(root, name, 'current')));
  await rename(files, join(root, 'elsewhere'));
  await symlink(join(root, 'elsewhere'), files);
  expect((await workspaces.verify(name)).changed).toContainEqual({ path: '', kind: 'added' });
  await apply(OLD);
  expect((await workspaces.verify(name)).state).toBe('clean');
  expect(await readTree(join(root, 'elsewhere'))).toEqual(OLD);
});

test.each(['releases', 'backups'])('a link in the place of "%s" fails every operation', async (folder) => {
  await apply(OLD);
  await rename(join(root, name, folder), join(root, 'moved'));
  await symlink(join(root, 'moved'), join(root, name, folder));
  await expect(apply(NEW)).rejects.toThrow(code('workspace_unsafe'));
  await expect(workspaces.verify(name)).rejects.toThrow(code('workspace_unsafe'));
});

test('a workspace that is a link to another one is refused', async () => {
  const alias = 'f'.repeat(32);
  await symlink(join(root, name), join(root, alias));
  await expect(workspaces.verify(alias)).rejects.toThrow(code('workspace_unsafe'));
});

test.each(['../x', '/etc/x', 'a/../../x', './a', 'a//b', 'a/', '', 'a\\b', 'a\nb', 'a\0b', 'x'.repeat(256)])(
  'a file named %j is refused and nothing is written',
  async (path) => {
    await apply(OLD);
    await expect(apply({ 'good.txt': 'good', [path]: 'evil' })).rejects.toThrow(code('workspace_path_refused'));
    expect(await readCurrentTree(root, name)).toEqual(OLD);
    expect(await unfinished(root, name)).toEqual([]);
    expect(await readdir(root)).toEqual([name]);
  },
);

test.each(['', '..', '.', 'x', '../../etc', `${'a'.repeat(32)}/..`])('the workspace name %j is not found', async (bad) => {
  await expect(workspaces.verify(bad)).rejects.toThrow(code('not_found'));
  expect(await workspaces.remove(bad)).toBe(false);
});

test.each(['', '..', '1-unknown', '../releases', `1-${'0'.repeat(64)}`])('the backup id %j is not found', async (bad) => {
  await expect(restore(bad)).rejects.toThrow(code('not_found'));
});

test('content that differs from the manifest is refused, displaces no backup and leaves the old state', async () => {
  await apply(OLD);
  const release = { manifest: releaseOf(NEW).manifest, readFile: async () => Buffer.from('something else') };
  await expect(workspaces.applyRelease(name, release, { reason: 'bad' })).rejects.toThrow(code('workspace_content_mismatch'));
  expect(await readCurrentTree(root, name)).toEqual(OLD);
  expect(await workspaces.listBackups(name)).toEqual([]);
  expect(await readdir(join(root, name, 'releases'))).toHaveLength(1);
});

test('a full disk has its own error code and leaves the old state', async () => {
  await apply(OLD);
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC', errno: -28 });
  const release = { manifest: releaseOf(NEW).manifest, readFile: () => Promise.reject(full) };
  const applied = workspaces.applyRelease(name, release, { reason: 'full' });
  await expect(applied).rejects.toMatchObject({ code: 'workspace_no_space', status: 507, retry: 'backoff', cause: full });
  expect(await readCurrentTree(root, name)).toEqual(OLD);
  expect(await unfinished(root, name)).toEqual([]);
});

test('an abort ends the change before the swap', async () => {
  await apply(OLD);
  const controller = new AbortController();
  const options = { reason: 'stop', signal: controller.signal, onStep: (step: string) => step === 'written' && controller.abort() };
  await expect(workspaces.applyRelease(name, releaseOf(NEW), options)).rejects.toThrow(/abort/i);
  expect(await readCurrentTree(root, name)).toEqual(OLD);
});

test('a damaged backup is not restored', async () => {
  await apply(OLD);
  const backup = await backedUp(apply(NEW));
  await writeFile(join(root, name, 'backups', backup, 'files', 'readme.txt'), 'bad');
  await expect(restore(backup)).rejects.toThrow(code('workspace_content_mismatch'));
  expect(await readCurrentTree(root, name)).toEqual(NEW);
  await writeFile(join(root, name, 'backups', backup, 'backup.json'), '{');
  expect(await workspaces.listBackups(name)).toMatchObject([{ id: backup, state: 'damaged' }]);
  await expect(restore(backup)).rejects.toThrow(code('backup_not_restorable'));
});

test('a restore does not follow a link planted in a backup', async () => {
  await apply(OLD);
  const backup = await backedUp(apply(NEW));
  const app = join(root, name, 'backups', backup, 'files', 'app');
  await rename(app, join(root, 'moved'));
  await symlink(join(root, 'moved'), app);
  await expect(restore(backup)).rejects.toThrow(code('workspace_content_mismatch'));
  expect(await readCurrentTree(root, name)).toEqual(NEW);
});

test('simultaneous changes of one workspace run one after the other', async () => {
  const versions = Array.from({ length: 6 }, (_, version) => ({ 'version.txt': String(version), 'same.txt': 'same' }));
  await Promise.all(versions.map((files) => apply(files)));
  expect(await readCurrentTree(root, name)).toEqual(versions.at(-1));
  expect((await workspaces.listBackups(name)).map(({ number }) => number)).toEqual([5, 4, 3, 2, 1]);
});

test('a name that is not UTF-8 is drift, and is repaired', async () => {
  await apply(OLD);
  await writeFile(Buffer.concat([Buffer.from(inCurrent('f')), Buffer.from([0xff])]), 'x');
  expect((await workspaces.verify(name)).changed).toMatchObject([{ kind: 'added' }]);
  await apply(OLD);
  expect((await workspaces.verify(name)).state).toBe('clean');
  await apply(NEW);
  expect(await readdir(join(root, name, 'releases'))).toHaveLength(1);
});

test('a removed workspace no longer exists, even if its directories were unwritable', async () => {
  await apply(OLD);
  await chmod(inCurrent('app'), 0o000);
  expect(await workspaces.remove(name)).toBe(true);
  expect(await readdir(root)).toEqual([]);
  expect(await workspaces.remove(name)).toBe(false);
  await expect(workspaces.verify(name)).rejects.toThrow(code('not_found'));
});

test('prune removes only workspaces that are not kept and not changed lately', async () => {
  const [orphan, fresh] = [await workspaces.create(OWNER), await workspaces.create(OWNER)];
  const halfMade = `${'e'.repeat(32)}.tmp`;
  await mkdir(join(root, halfMade));
  await writeFile(join(root, 'README'), 'not ours');
  const longAgo = new Date('2020-01-01T00:00:00Z');
  for (const entry of [name, orphan, halfMade, 'README']) await utimes(join(root, entry), longAgo, longAgo);
  expect(await workspaces.prune({ keep: new Set([name]), untouchedSince: new Date('2021-01-01T00:00:00Z') })).toEqual([orphan]);
  expect((await readdir(root)).sort()).toEqual([name, fresh, 'README'].sort());
});
