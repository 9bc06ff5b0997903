import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { standardHeaders } from '../source/webhook/fixtures.ts';
import { git } from '../support/git-host.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

let scene: Awaited<ReturnType<typeof openScene>>;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene[Symbol.asyncDispose]());

type Source = { id: string; hookUrl: string };
type Push = { ref?: string; before?: string; after: string; defaultBranch?: string };

/** Posts a push as GitLab does. @returns the outcome */
async function post(source: Source, { ref = 'refs/heads/main', before, after, defaultBranch = 'main' }: Push): Promise<string | undefined> {
  const { url } = await scene.sourceNow(source.id);
  const project = { id: 15, git_http_url: url, default_branch: defaultBranch };
  return deliver(source, JSON.stringify({ object_kind: 'push', ref, before, after, project }), (body) => ({
    'x-gitlab-event': 'Push Hook',
    ...standardHeaders(SIGNING_TOKEN, body, { id: randomUUID(), at: new Date() }),
  }));
}

async function deliver(source: Source, body: string, headers: (body: string) => Record<string, string>): Promise<string | undefined> {
  const response = await fetch(source.hookUrl, { method: 'POST', body, headers: headers(body) });
  return ((await response.json()) as { outcome?: string }).outcome;
}

const headIs = (source: Source, commit: string) =>
  eventually('the source shows the commit', async () => {
    const { headCommit, status } = await scene.sourceNow(source.id);
    return headCommit === commit && status === 'ok';
  });

/** Waits until the source expects no commit. */
const isSettled = (source: Source) =>
  eventually('the late hook is through', async () => {
    const [row] = await scene.service.database.sql`select expected_commit from sources where id = ${source.id}`;
    return row?.expected_commit === null;
  });

async function waited(source: Source): Promise<boolean> {
  const { items } = (await scene.api('GET', `/events?limit=500`)).body;
  return items.some(
    ({ subject, data }: { subject: string; data: { status?: string } }) => subject === `source:${source.id}` && data.status === 'waiting',
  );
}

const never = { pollIntervalSeconds: 86_400 };

test('the hook of a commit that a force-push replaced arrives last: the source stays ok', async () => {
  const source = await scene.source('replaced', never);
  const a = await scene.host.commit('replaced', folder({ vlan: 1 }));
  expect(await post(source, { after: a })).toBe('accepted');
  await headIs(source, a);
  // The service never sees this commit at the head: it would know the commit, and not wait for it below.
  const b = await scene.host.commit('replaced', folder({ vlan: 2 }), { branch: 'elsewhere' });
  const c = await scene.host.commit('replaced', folder({ vlan: 3 }), { force: true });
  expect(await post(source, { before: b, after: c })).toBe('accepted');
  await headIs(source, c);
  expect(await post(source, { before: a, after: b })).toBe('accepted');
  await isSettled(source);
  await headIs(source, c);
  expect(await waited(source)).toBe(false);
  // The commit returns, and the host serves it a moment later, so that the source waits for it.
  expect(await post(source, { before: c, after: b })).toBe('accepted');
  await eventually('the source waits', async () => (await scene.sourceNow(source.id)).status === 'waiting');
  await git(scene.host.pathOf('replaced'), ['update-ref', 'refs/heads/main', b]);
  await headIs(source, b);
});

test('the same if the hook of the force-push is lost, and if both hooks arrive before the first check', async () => {
  const source = await scene.source('lost', never);
  const a = await scene.host.commit('lost', folder({ vlan: 1 }));
  await post(source, { after: a });
  await headIs(source, a);
  const b = await scene.host.commit('lost', folder({ vlan: 2 }));
  const c = await scene.host.commit('lost', folder({ vlan: 3 }), { force: true });
  await scene.api('POST', `/sources/${source.id}/sync`);
  await headIs(source, c);
  await post(source, { before: a, after: b });
  await isSettled(source);
  await headIs(source, c);
  const d = await scene.host.commit('lost', folder({ vlan: 4 }));
  const e = await scene.host.commit('lost', folder({ vlan: 5 }), { force: true });
  await Promise.all([post(source, { before: d, after: e }), post(source, { before: c, after: d })]);
  await headIs(source, e);
  await isSettled(source);
  await headIs(source, e);
  expect(await waited(source)).toBe(false);
});

test('HEAD is the default branch, even after a rename', async () => {
  const source = await scene.source('head', { ...never, ref: 'HEAD' });
  const a = await scene.host.commit('head', folder({ vlan: 1 }));
  expect(await post(source, { after: a })).toBe('accepted');
  await headIs(source, a);
  expect(await post(source, { after: a, ref: 'refs/heads/topic' })).toBe('other_ref');
  expect(await post(source, { after: a, ref: 'refs/tags/main' })).toBe('other_ref');
  const b = await scene.host.commit('head', folder({ vlan: 2 }), { branch: 'trunk' });
  await git(scene.host.pathOf('head'), ['symbolic-ref', 'HEAD', 'refs/heads/trunk']);
  expect(await post(source, { after: b, ref: 'refs/heads/trunk', defaultBranch: 'trunk' })).toBe('accepted');
  await headIs(source, b);
  expect((await scene.api('GET', `/sources/${source.id}/revisions`)).body.items[0].ref).toBe('refs/heads/trunk');
});

test('a source that is pinned to a commit is checked when that commit is pushed', async () => {
  const a = 'a'.repeat(40);
  const source = await scene.source('pinned', { ...never, ref: a });
  expect(await post(source, { after: 'b'.repeat(40) })).toBe('other_ref');
  expect(await post(source, { after: a, ref: 'refs/heads/topic' })).toBe('accepted');
});

test('a body without an id counts as a repetition for ten seconds, and then the source is checked', async () => {
  const secret = 'the secret of the hook';
  const options = { scheme: 'hmac', header: 'x-sum' };
  const source = await scene.source('untimed', { ...never, webhook: { provider: 'generic', secret, options } });
  const sign = (body: string) => ({ 'x-sum': createHmac('sha256', secret).update(body).digest('hex') });
  const push = (after: string) => deliver(source, JSON.stringify({ ref: 'refs/heads/main', after }), sign);
  const a = await scene.host.commit('untimed', folder({ vlan: 1 }));
  const twice = await Promise.all([push(a), push(a)]);
  expect(twice.toSorted()).toEqual(['accepted', 'duplicate']);
  await headIs(source, a);
  const b = await scene.host.commit('untimed', folder({ vlan: 2 }));
  expect(await push(b)).toBe('accepted');
  await headIs(source, b);
  await git(scene.host.pathOf('untimed'), ['update-ref', 'refs/heads/main', a]);
  expect(await push(a)).toBe('duplicate');
  await headIs(source, a);
  // Another check may have found the commit within the ten seconds.
  await eventually('the body is taken again', async () => (await push(a)) === 'accepted');
  expect(await push(a)).toBe('duplicate');
  const { items } = (await scene.api('GET', `/sources/${source.id}/deliveries`)).body;
  expect(items.filter(({ verdict }: { verdict: string }) => verdict === 'accepted')).toHaveLength(2);
});
