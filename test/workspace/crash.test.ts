import { execFile } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openWorkspaces, type Workspaces } from '../../src/workspace/workspace.ts';
import type { ChildTask } from './change-child.ts';
import { readCurrentTree, releaseOf, temporaryRoot, unfinished } from './support.ts';

const run = promisify(execFile);
const CHILD = fileURLToPath(new URL('./change-child.ts', import.meta.url));
const OLD = { 'app/config.json': '{"v":1}', 'app/menu.json': '[]', 'readme.txt': 'old' };
const NEW = { 'app/config.json': '{"v":2}', 'app/prices.json': '[1]', 'readme.txt': 'new' };

let root: string;
let close: () => Promise<void>;
let workspaces: Workspaces;

beforeEach(async () => {
  ({ root, close } = await temporaryRoot());
  workspaces = await openWorkspaces(root);
});
afterEach(() => close());

async function changeInChild(task: ChildTask): Promise<{ steps: string[]; signal: string | null }> {
  try {
    const { stdout } = await run(process.execPath, [CHILD, JSON.stringify(task)], { timeout: 120_000 });
    return { steps: JSON.parse(stdout), signal: null };
  } catch (error) {
    if (error instanceof Error && 'signal' in error && error.signal === 'SIGKILL') return { steps: [], signal: 'SIGKILL' };
    throw error;
  }
}

/** Runs the complete change once on a copy to list its steps. Then kills one run at each step, each on a fresh copy. */
async function dieEverywhere(
  original: string,
  change: { files: typeof NEW } | { backupId: string },
  after: (copy: string) => Promise<void>,
): Promise<string[]> {
  const copyOf = async (index: number) => {
    const copy = index.toString(16).padStart(32, '0');
    await cp(join(root, original), join(root, copy), { recursive: true, verbatimSymlinks: true });
    return copy;
  };
  const whole = await changeInChild({ root, name: await copyOf(0), dieAt: -1, ...change });
  for (const index of whole.steps.keys()) {
    const name = await copyOf(index + 1);
    expect((await changeInChild({ root, name, dieAt: index, ...change })).signal).toBe('SIGKILL');
    await after(name);
  }
  return whole.steps;
}

const STEPS = [
  'release_file_written',
  'backup_file_written',
  'written',
  'release_kept',
  'backup_kept',
  'link_written',
  'swapped',
  'cleaned',
];

test('after a kill at any step, a first release is complete or absent, and the next attempt succeeds', async () => {
  const outcomes = new Set<string>();
  const steps = await dieEverywhere(await workspaces.create({ organizationId: 'o', deviceId: 'd' }), { files: NEW }, async (name) => {
    const tree = await readCurrentTree(root, name);
    outcomes.add(tree === null ? 'old' : 'new');
    if (tree !== null) expect(tree).toEqual(NEW);
    await workspaces.applyRelease(name, releaseOf(NEW), { reason: 'again' });
    expect(await readCurrentTree(root, name)).toEqual(NEW);
    expect(await unfinished(root, name)).toEqual([]);
  });
  expect(steps).toContain('swapped');
  expect(outcomes).toEqual(new Set(['old', 'new']));
});

test('after a kill at any step of a change, current is the old or new state, and the next use removes leftovers', async () => {
  const original = await workspaces.create({ organizationId: 'o', deviceId: 'd' });
  await workspaces.applyRelease(original, releaseOf(OLD), { reason: 'first' });
  const outcomes: string[] = [];
  let leftovers = 0;
  const steps = await dieEverywhere(original, { files: NEW }, async (name) => {
    const tree = await readCurrentTree(root, name);
    outcomes.push(tree?.['readme.txt'] ?? 'none');
    expect([OLD, NEW]).toContainEqual(tree);
    leftovers += (await unfinished(root, name)).length;
    expect((await workspaces.verify(name)).state).toBe('clean');
    expect(await unfinished(root, name)).toEqual([]);
    await workspaces.applyRelease(name, releaseOf(NEW), { reason: 'again' });
    expect(await readCurrentTree(root, name)).toEqual(NEW);
    const backups = await workspaces.listBackups(name);
    expect(backups.length).toBeGreaterThan(0);
    for (const backup of backups) expect(backup.state).toBe('clean');
  });
  expect(new Set(steps)).toEqual(new Set(STEPS));
  expect(outcomes.indexOf('new')).toBe(steps.indexOf('swapped'));
  expect(outcomes.lastIndexOf('old')).toBe(steps.indexOf('link_written'));
  expect(leftovers).toBeGreaterThan(0);
});

test('after a kill at any step of a restore, current is the previous or the restored state', async () => {
  const original = await workspaces.create({ organizationId: 'o', deviceId: 'd' });
  await workspaces.applyRelease(original, releaseOf(OLD), { reason: 'first' });
  const { backup } = await workspaces.applyRelease(original, releaseOf(NEW), { reason: 'second' });
  if (backup === null) throw new Error('the second release made no backup');
  const steps = await dieEverywhere(original, { backupId: backup }, async (name) => {
    expect([OLD, NEW]).toContainEqual(await readCurrentTree(root, name));
    expect((await workspaces.verify(name)).state).toBe('clean');
    await workspaces.restore(name, backup, { reason: 'again' });
    expect(await readCurrentTree(root, name)).toEqual(OLD);
    expect(await unfinished(root, name)).toEqual([]);
  });
  expect(new Set(steps)).toEqual(new Set(STEPS));
});
