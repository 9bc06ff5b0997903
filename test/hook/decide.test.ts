import { expect, test } from 'vitest';
import { decideHook } from '../../src/hook/decide.ts';
import type { ChangeHook } from '../../src/source/webhook/provider.ts';

const SOURCE = { url: 'https://git.example.com/fleet/tills.git', ref: 'main', hookRepositoryId: 'gitlab:7' };
const [BEFORE, AFTER] = ['a'.repeat(40), 'b'.repeat(40)];

const hook = (change: Partial<ChangeHook> = {}): ChangeHook => ({
  kind: 'change',
  event: 'push',
  ref: 'refs/heads/main',
  before: BEFORE,
  after: AFTER,
  deliveryId: '1',
  repeats: 'always',
  ...change,
});
const request = (target: string): Partial<ChangeHook> => ({
  event: 'merge_request',
  ref: 'refs/merge-requests/7/head',
  mergeRequest: { number: 7, state: 'open', target, title: null, url: null },
});
const decide = (hook: ChangeHook, source: Partial<typeof SOURCE> = {}, heads: string[] = []) =>
  decideHook({ ...SOURCE, ...source }, 'gitlab', hook, heads);

test('a push of the followed ref expects its commit', () => {
  expect(decide(hook())).toMatchObject({ kind: 'push', expect: { commit: AFTER }, newHostId: null, detail: null });
});

test('a hook about another repository is refused, even if it pushes the followed ref', () => {
  const repository = { urls: ['https://git.example.com/fleet/gates.git'], id: '8' };
  expect(decide(hook({ repository }))).toEqual({
    kind: 'other_repository',
    detail:
      'The hook is about the repository "https://git.example.com/fleet/gates.git", the source follows "https://git.example.com/fleet/tills.git"',
  });
});

test('the first hook that names the id of the repository teaches it', () => {
  const repository = { urls: [SOURCE.url], id: '9' };
  const unknown = decideHook({ ...SOURCE, hookRepositoryId: null }, 'gitlab', hook({ repository }), []);
  expect(unknown).toMatchObject({ kind: 'push', newHostId: 'gitlab:9' });
  expect(decide(hook({ repository }), { hookRepositoryId: 'gitlab:9' })).toMatchObject({ newHostId: null });
});

test('a repository with the known id and another address is followed, with an advice', () => {
  const renamed = decide(hook({ repository: { urls: ['https://git.example.com/fleet/registers.git'], id: '7' } }));
  expect(renamed).toMatchObject({ kind: 'push', detail: expect.stringContaining('was renamed') });
});

test('a push of another ref is kept as it is, and expects nothing', () => {
  const change = { ref: 'refs/heads/topic' };
  expect(decide(hook(change))).toMatchObject({ kind: 'other_ref', change });
});

test('a followed ref among several wins over the first one and over a merge request', () => {
  const followed = { event: 'push' as const, ref: 'refs/heads/main', before: null, after: AFTER };
  expect(decide(hook({ ref: 'refs/heads/topic', alsoRefs: [followed] }))).toMatchObject({ kind: 'push', change: followed });
  expect(decide(hook({ ...request('main'), alsoRefs: [followed] }))).toMatchObject({ kind: 'push', change: followed });
});

test('a merge request into another branch does not go into the source', () => {
  expect(decide(hook(request('main')))).toMatchObject({ kind: 'merge_request', isInto: true });
  expect(decide(hook(request('topic')))).toMatchObject({ kind: 'merge_request', isInto: false });
});

test('a push expects no commit where the ref list may show another one', () => {
  const tag = hook({ event: 'tag', ref: 'refs/tags/v1' });
  expect(decide(tag, { ref: 'v1' })).toMatchObject({ kind: 'push', expect: { commit: null } });
  const heads = ['refs/heads/trunk', 'refs/heads/main'];
  expect(decide(hook({ ref: 'refs/heads/trunk' }), { ref: 'HEAD' }, heads)).toMatchObject({ expect: { commit: AFTER } });
  expect(decide(hook({ ref: 'refs/heads/main' }), { ref: 'HEAD' }, heads)).toMatchObject({ expect: { commit: null } });
});

test('a source that is pinned to a commit follows that commit alone', () => {
  expect(decide(hook(), { ref: AFTER })).toMatchObject({ kind: 'push' });
  expect(decide(hook(), { ref: BEFORE })).toMatchObject({ kind: 'other_ref' });
});
