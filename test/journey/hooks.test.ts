import { expect, test } from 'vitest';
import { git } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

test('forged, expired, malformed and oversized hooks are refused, a duplicate and another ref change nothing', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const head = await scene.host.commit('terminal', folder({ vlan: 1 }));
  const post = async (...args: Parameters<typeof postGitLabPush>) => {
    const response = await postGitLabPush(...args);
    const body = (await response.json()) as { code?: string; outcome?: string };
    return [response.status, body.code ?? body.outcome];
  };
  const other = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
  expect(await post(source.hookUrl, { after: head }, { secret: other })).toEqual([401, 'hook_unauthorized']);
  expect(await post(source.hookUrl, { after: head }, { at: new Date(Date.now() - 6 * 60_000) })).toEqual([401, 'hook_expired']);
  expect(await post(source.hookUrl, { after: head, ref: 'refs/heads/topic' })).toEqual([202, 'other_ref']);
  expect(await post(source.hookUrl, { after: head }, { id: 'delivery-1' })).toEqual([202, 'accepted']);
  expect(await post(source.hookUrl, { after: head }, { id: 'delivery-1' })).toEqual([202, 'duplicate']);
  expect(await post(`${scene.service.url}/hooks/00000000-0000-7000-8000-000000000000`, { after: head })).toEqual([404, 'not_found']);
  const unsigned = await fetch(source.hookUrl, { method: 'POST', body: '{}', headers: { 'x-gitlab-event': 'Push Hook' } });
  expect(unsigned.status).toBe(401);
  const large = await fetch(source.hookUrl, {
    method: 'POST',
    body: Buffer.alloc(26 * 1024 * 1024),
    headers: { 'x-gitlab-event': 'Push Hook' },
  });
  expect(large.status).toBe(413);
  await eventually('the one accepted hook has its effect', async () => (await scene.sourceNow(source.id)).headCommit === head);
});

test('GitHub hooks are verified by X-Hub-Signature-256, and its ping is answered', async () => {
  const { createHmac } = await import('node:crypto');
  await using scene = await openScene();
  const secret = 'a shared secret of GitHub';
  const source = await scene.source('hub', { webhook: { provider: 'github', secret }, pollIntervalSeconds: 86_400 });
  const after = await scene.host.commit('hub', folder({ vlan: 1 }));
  const post = (event: string, payload: unknown, key = secret) => {
    const body = JSON.stringify(payload);
    const signature = createHmac('sha256', key).update(body).digest('hex');
    return fetch(source.hookUrl, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-github-event': event,
        'x-github-delivery': `d-${event}`,
        'x-hub-signature-256': `sha256=${signature}`,
      },
    });
  };
  const push = {
    ref: 'refs/heads/main',
    before: '0'.repeat(40),
    after,
    repository: { clone_url: (await scene.sourceNow(source.id)).url },
    pusher: { name: 'ada' },
  };
  expect((await post('ping', { zen: 'x', hook_id: 1 })).status).toBe(200);
  expect((await post('push', push, 'another secret')).status).toBe(401);
  expect((await post('push', push)).status).toBe(202);
  await eventually('the push has its effect', async () => (await scene.sourceNow(source.id)).headCommit === after);
});

test('a hook that comes before the host shows the commit waits for it', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal', { pollIntervalSeconds: 3600 });
  const first = await scene.push('terminal', source, folder({ vlan: 1 }));
  await eventually('the first commit', async () => (await scene.sourceNow(source.id)).headCommit === first);
  // The commit exists, but the branch does not show it yet.
  const second = await scene.host.commit('terminal', folder({ vlan: 2 }), { branch: 'elsewhere' });
  await postGitLabPush(source.hookUrl, { after: second });
  await eventually('the source waits', async () => (await scene.sourceNow(source.id)).status === 'waiting');
  await git(scene.host.pathOf('terminal'), ['update-ref', 'refs/heads/main', second]);
  await eventually('the commit has arrived', async () => (await scene.sourceNow(source.id)).headCommit === second);
  expect((await scene.sourceNow(source.id)).status).toBe('ok');
});

test('of a burst of pushes the last one counts, whatever the timing', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal', { pollIntervalSeconds: 3600 });
  const device = await scene.device('terminal-1', source.id);
  device.start();
  let head = '';
  for (let vlan = 1; vlan <= 12; vlan++) {
    head = await scene.host.commit('terminal', folder({ vlan }));
    expect((await postGitLabPush(source.hookUrl, { after: head }, { secret: SIGNING_TOKEN })).status).toBe(202);
  }
  await scene.converged('terminal-1', head);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":12}' });
});
