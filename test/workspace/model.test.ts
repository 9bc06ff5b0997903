import { mkdir, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openWorkspaces, type Workspaces } from '../../src/workspace/workspace.ts';
import { type Files, readCurrentTree, releaseOf, temporaryRoot } from './support.ts';

let root: string;
let close: () => Promise<void>;
let workspaces: Workspaces;

beforeEach(async () => {
  ({ root, close } = await temporaryRoot());
  workspaces = await openWorkspaces(root);
});
afterEach(() => close());

const PATHS = ['a.txt', 'b/c.txt', 'b/d/e.json', 'f/g.txt'];
const text = fc.constantFrom('', 'one', 'two', 'x'.repeat(5000));
const bundle = fc.dictionary(fc.constantFrom(...PATHS), text);
const move = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('apply' as const), files: bundle }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('restore' as const), index: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('write' as const), path: fc.constantFrom(...PATHS, 'extra.txt', 'b/extra.txt'), text }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), path: fc.constantFrom(...PATHS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('link' as const), path: fc.constantFrom('link', 'a.txt') }) },
);
type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

const TARGET = '/nonexistent';

/** The expected state: `bundle` is the last requested bundle, `current` the present content, `backups` has the newest first. */
type State = { files: Files; bundle: Files };
type Model = { now: State | null; backups: State[] };

const isLink = (value: string | undefined) => value?.startsWith('-> ') === true;
const equal = (a: Files, b: Files) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());
const withoutLinks = (files: Files) => Object.fromEntries(Object.entries(files).filter(([, value]) => !isLink(value)));

function changeTo(model: Model, next: State): void {
  const settled = model.now !== null && equal(model.now.bundle, next.bundle) && equal(model.now.files, next.files);
  if (settled) return;
  if (model.now !== null) model.backups = [{ ...model.now, files: withoutLinks(model.now.files) }, ...model.backups].slice(0, 5);
  model.now = { files: { ...next.files }, bundle: next.bundle };
}

async function perform(name: string, step: Move, model: Model): Promise<void> {
  if (step.do === 'apply') {
    await workspaces.applyRelease(name, releaseOf(step.files), { reason: 'apply' });
    changeTo(model, { files: step.files, bundle: step.files });
    return;
  }
  if (step.do === 'restore') {
    const [backup, state] = [(await workspaces.listBackups(name))[step.index], model.backups[step.index]];
    expect(backup === undefined).toBe(state === undefined);
    if (backup === undefined || state === undefined) return;
    await workspaces.restore(name, backup.id, { reason: 'restore' });
    changeTo(model, state);
    return;
  }
  if (model.now !== null) await tamper(join(root, name, 'current'), step, model.now);
}

async function tamper(current: string, step: Exclude<Move, { do: 'apply' | 'restore' }>, now: State): Promise<void> {
  const full = join(current, step.path);
  // A write in place would change an inode that a faulty backup shares; a write through a link would leave the workspace.
  if (step.do === 'write' && !isLink(now.files[step.path])) {
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, step.text, { mode: 0o640 });
    now.files[step.path] = step.text;
  }
  if (step.do === 'delete') {
    await rm(full, { force: true });
    // An empty folder would count as drift, and the model covers only files.
    for (let folder = dirname(full); folder !== current; folder = dirname(folder)) await rmdir(folder).catch(() => undefined);
    delete now.files[step.path];
  }
  if (step.do === 'link') {
    await rm(full, { force: true });
    await symlink(TARGET, full);
    now.files[step.path] = `-> ${TARGET}`;
  }
}

test('after any sequence of apply, restore and tampering, current, verify and the backups equal the model', async () => {
  let [drifted, restored] = [0, 0];
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 1, maxLength: 16, size: 'max' }), async (moves) => {
      const name = await workspaces.create({ organizationId: 'o', deviceId: 'd' });
      const model: Model = { now: null, backups: [] };
      for (const step of moves) {
        if (step.do === 'restore' && model.backups[step.index] !== undefined) restored += 1;
        await perform(name, step, model);
        expect(await readCurrentTree(root, name)).toEqual(model.now === null ? null : model.now.files);
        const { state } = await workspaces.verify(name);
        if (model.now === null) expect(state).toBe('empty');
        else expect(state).toBe(equal(model.now.files, model.now.bundle) ? 'clean' : 'drifted');
        if (state === 'drifted') drifted += 1;
        expect(await workspaces.listBackups(name)).toHaveLength(model.backups.length);
      }
      await workspaces.remove(name);
    }),
    { numRuns: 60 },
  );
  expect(drifted).toBeGreaterThan(0);
  expect(restored).toBeGreaterThan(0);
});
