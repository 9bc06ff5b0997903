import { expect, test } from 'vitest';
import { git } from '../support/git-host.ts';
import { postGitLabPush } from '../support/hooks.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

const fleet = (configs: Record<string, unknown>) => ({
  'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n',
  ...Object.assign({}, ...Object.entries(configs).map(([id, config]) => folder(config, `devices/${id}/`))),
});

test('a commit of a fleet wakes only the devices whose files it changes, and an invalid folder blocks its own device only', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet' });
  const devices = await Promise.all(['a', 'b', 'c'].map(async (id) => [id, await scene.device(id, source.id)] as const));
  for (const [, device] of devices) device.start();
  const first = await scene.push('fleet', source, fleet({ a: { vlan: 1 }, b: { vlan: 1 }, c: { vlan: 1 } }));
  for (const [id] of devices) await scene.converged(id, first);

  const second = await scene.push('fleet', source, folder({ vlan: 2 }, 'devices/b/'));
  await scene.converged('b', second);
  const attempts = async (id: string) => (await scene.api('GET', `/devices/${id}/deployments`)).body.items.length;
  expect(await Promise.all(['a', 'b', 'c'].map(attempts))).toEqual([1, 2, 1]);

  const third = await scene.push('fleet', source, { ...folder({ vlan: 9999 }, 'devices/a/'), ...folder({ vlan: 3 }, 'devices/c/') });
  await scene.converged('c', third);
  expect(await scene.why('a')).toEqual(['validation_failed']);
  expect((await scene.sourceNow(source.id)).status).toBe('partial');
  expect(await Promise.all(['a', 'b', 'c'].map(attempts))).toEqual([1, 2, 2]);
});

test('with all-or-nothing one invalid folder holds back the whole commit until it is mended', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet', allOrNothing: true });
  const device = await scene.device('a', source.id);
  device.start();
  await scene.converged('a', await scene.push('fleet', source, fleet({ a: { vlan: 1 }, b: { vlan: 1 } })));
  const half = await scene.push('fleet', source, { ...folder({ vlan: 2 }, 'devices/a/'), ...folder({ vlan: 9999 }, 'devices/b/') });
  await eventually('the verdict', async () => {
    const seen = await scene.sourceNow(source.id);
    return seen.headCommit === half && seen.status === 'invalid';
  });
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":1}' });
  await scene.converged('a', await scene.push('fleet', source, folder({ vlan: 3 }, 'devices/b/')));
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":2}' });
});

test('a folder that a commit removes leaves its device as it is, and why says so', async () => {
  await using scene = await openScene();
  const source = await scene.source('fleet', { layout: 'fleet' });
  const device = await scene.device('a', source.id);
  device.start();
  await scene.converged('a', await scene.push('fleet', source, fleet({ a: { vlan: 1 }, b: { vlan: 1 } })));
  const gone = await scene.push('fleet', source, { 'devices/a': null });
  await eventually('the commit is prepared', async () => (await scene.sourceNow(source.id)).headCommit === gone);
  expect(await scene.why('a')).toEqual(['folder_removed']);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":1}' });
});

test('empty repository, first push, force-push, deleted and recreated branch: each has its outcome and a clear status', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();
  await eventually('the repository is empty', async () => (await scene.sourceNow(source.id)).status === 'empty');
  expect(await scene.why('terminal-1')).toContain('source_repository_empty');
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));

  const rewritten = await scene.push('terminal', source, folder({ vlan: 2 }), { force: true });
  await scene.converged('terminal-1', rewritten);

  await scene.host.deleteBranch('terminal', 'main');
  await scene.api('POST', `/sources/${source.id}/sync`);
  const missing = await eventually('the branch is missed', async () => {
    const seen = await scene.sourceNow(source.id);
    return seen.status === 'empty' || seen.status === 'ref_missing' ? seen : undefined;
  });
  expect(missing.lastError.detail).toContain('main');
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":2}' });

  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 3 })));
  expect((await scene.sourceNow(source.id)).status).toBe('ok');
});

test('a branch that is set back brings devices back, and the same commit again brings them forth', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();
  const first = await scene.push('terminal', source, folder({ vlan: 1 }));
  await scene.converged('terminal-1', first);
  const second = await scene.push('terminal', source, folder({ vlan: 2 }));
  await scene.converged('terminal-1', second);
  for (const [commit, vlan] of [
    [first, 1],
    [second, 2],
  ] as const) {
    await git(scene.host.pathOf('terminal'), ['update-ref', 'refs/heads/main', commit]);
    await postGitLabPush(source.hookUrl, { after: commit });
    await scene.converged('terminal-1', commit);
    expect(await device.current()).toEqual({ 'app.json': `644 {"vlan":${vlan}}` });
  }
});

test('tags and commits can be followed, and a private repository needs its credentials, which are never shown', async () => {
  await using scene = await openScene();
  const url = await scene.host.createRepository('private', { user: 'ada', password: 'correct-horse-battery' });
  const first = await scene.host.commit('private', folder({ vlan: 1 }));
  await scene.host.commit('private', folder({ vlan: 2 }));
  await scene.host.tag('private', 'v1', first, 'first');
  const create = async (name: string, settings: Record<string, unknown>) =>
    (await scene.api('POST', '/sources', { name, url, layout: 'repo', ...settings })).body;
  const auth = { username: 'ada', password: 'correct-horse-battery' };

  const refused = await create('refused', { auth: { username: 'ada', password: 'wrong-password-here' } });
  const failing = await eventually('the refusal', async () => {
    const seen = await scene.sourceNow(refused.id);
    return seen.status === 'failing' ? seen : undefined;
  });
  expect(failing.lastError.code).toBe('git_auth');
  expect((await scene.api('POST', `/sources/${refused.id}/test`)).body).toMatchObject({ ok: false, error: { code: 'git_auth' } });

  for (const ref of ['v1', 'refs/tags/v1', first]) {
    const source = await create(`at ${ref}`, { auth, ref });
    await eventually(`${ref} is prepared`, async () => (await scene.sourceNow(source.id)).headCommit === first);
  }
  const everything = JSON.stringify([
    (await scene.api('GET', '/sources')).body,
    (await scene.api('GET', '/events?limit=500')).body,
    (await scene.api('GET', '/audit?limit=500')).body,
    await scene.service.database.sql`select * from sources`,
  ]);
  expect(everything).not.toContain('correct-horse-battery');
  expect(everything).not.toContain('wrong-password-here');

  await scene.api('PATCH', `/sources/${refused.id}`, { auth });
  await eventually('it recovers', async () => (await scene.sourceNow(refused.id)).status === 'ok');
});

test('polling finds what no hook told', async () => {
  await using scene = await openScene();
  const source = await scene.source('quiet', { pollIntervalSeconds: 5 });
  await eventually('first look', async () => (await scene.sourceNow(source.id)).status === 'empty');
  const head = await scene.host.commit('quiet', folder({ vlan: 1 }));
  await eventually('the poll finds it', async () => (await scene.sourceNow(source.id)).headCommit === head);
});

test('a git host that hangs holds up its own source only', async () => {
  await using scene = await openScene({ GIT_TIMEOUT_SECONDS: '3' });
  const slow = await scene.source('slow');
  const quick = await scene.source('quick');
  const device = await scene.device('quick', quick.id);
  device.start();
  scene.host.fault('slow', { kind: 'hang' });
  await postGitLabPush(slow.hookUrl, { after: 'a'.repeat(40) });
  await scene.converged('quick', await scene.push('quick', quick, folder({ vlan: 1 })));
  const failing = await eventually('the hang is told', async () => {
    const seen = await scene.sourceNow(slow.id);
    return seen.status === 'failing' ? seen : undefined;
  });
  expect(failing.lastError.code).toBe('git_timeout');
  expect(Date.parse(failing.nextCheckAt)).toBeGreaterThan(Date.now());
  scene.host.clearFault('slow');
  await scene.host.commit('slow', folder({ vlan: 1 }));
  await scene.api('POST', `/sources/${slow.id}/sync`);
  await eventually('it recovers', async () => (await scene.sourceNow(slow.id)).status === 'ok');
});
