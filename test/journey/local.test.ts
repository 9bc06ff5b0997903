import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { io } from 'socket.io-client';
import { expect, test } from 'vitest';
import { git } from '../support/git-host.ts';
import { folder, openScene } from '../support/scene.ts';
import { ADMIN_TOKEN, eventually } from '../support/service.ts';

test('a source that is a path on this machine is watched: a commit is seen without a hook or a poll', async () => {
  const repository = await mkdtemp(join(tmpdir(), 'bellwether-local-'));
  await using scene = await openScene({ ALLOW_LOCAL_SOURCES: '1' });
  const commit = async (config: unknown) => {
    for (const [path, content] of Object.entries(folder(config))) {
      await mkdir(join(repository, path, '..'), { recursive: true });
      await writeFile(join(repository, path), content);
    }
    await git(repository, ['add', '.']);
    await git(repository, ['-c', 'user.name=A', '-c', 'user.email=a@example.com', 'commit', '-qm', 'change']);
    return (await git(repository, ['rev-parse', 'HEAD'])).toString().trim();
  };
  await git(repository, ['init', '-q', '-b', 'main']);
  const first = await commit({ vlan: 1 });
  const source = (await scene.api('POST', '/sources', { name: 'local', url: repository, layout: 'repo', pollIntervalSeconds: 86_400 }))
    .body;
  await eventually('the first commit', async () => (await scene.sourceNow(source.id)).headCommit === first);
  // Watching begins within two seconds of the source's creation; commits after that are seen at once.
  await eventually('a later commit', async () => {
    const head = await commit({ vlan: Math.floor(Math.random() * 4000) + 1 });
    return eventually('seen', async () => (await scene.sourceNow(source.id)).headCommit === head, 1_000).catch(() => false);
  });
  await rm(repository, { recursive: true, force: true });
});

test('local paths are refused where they are not allowed', async () => {
  await using scene = await openScene();
  const answer = await scene.api('POST', '/sources', { name: 'local', url: '/srv/config', layout: 'repo' });
  expect(answer.status).toBe(400);
  expect(answer.body.code).toBe('invalid_url');
});

test('the workspace follows the device with its backups, and tampering by hand is told and healed', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 2 })));
  const root = join(scene.service.dataDir, 'workspaces');
  const current = await eventually('the workspace has followed', async () => {
    const [name] = (await readdir(root)).filter((entry) => /^[0-9a-f]{32}$/.test(entry));
    if (name === undefined) return undefined;
    const path = join(root, name, 'current', 'app.json');
    return (await readFile(path, 'utf8').catch(() => '')) === '{"vlan":2}' ? path : undefined;
  });
  expect(await readdir(join(current, '../../backups'))).toHaveLength(1);
  await writeFile(current, 'tampered');
  await eventually('it is healed', async () => (await readFile(current, 'utf8').catch(() => '')) === '{"vlan":2}');
  const types = await eventually('it is told', async () => {
    const events = (await scene.api('GET', '/devices/terminal-1/events')).body.items.map((event: { type: string }) => event.type);
    return events.includes('workspace.healed') ? events : undefined;
  });
  expect(types).toContain('workspace.drifted');
  expect((await scene.api('GET', '/devices/terminal-1/backups')).body.items).toHaveLength(1);
});

test('a device of the adapter "directory" gets its bundle on the share, swapped as a whole', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  await scene.api('POST', '/devices', { id: 'boot-1', sourceId: source.id, adapter: 'directory' });
  await scene.push('terminal', source, folder({ vlan: 1 }));
  const head = await scene.push('terminal', source, folder({ vlan: 2 }));
  await scene.converged('boot-1', head);
  const outbox = join(scene.service.dataDir, 'outbox');
  const [organization] = (await readdir(outbox)).filter((name) => !name.startsWith('.'));
  expect(await readFile(join(outbox, organization ?? '', 'boot-1', 'app.json'), 'utf8')).toBe('{"vlan":2}');
});

test('a dashboard sees every step of a push live, and after a reconnect what it missed', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();
  await eventually('the device is online', async () => (await scene.status('terminal-1')).device.connectivity === 'online');
  // What takes it long is told while it lasts; what takes less than a second is told together with how it ended.
  await device.hook('reload', 'until [ -e "$ROOT/go-on" ]; do sleep 0.05; done');
  const seen: { type: string; cursor: number }[] = [];
  const updates: { status: string; sync_status: string }[] = [];
  const connect = async (after?: number) => {
    const socket = io(`${scene.service.url}/live`, { auth: { token: ADMIN_TOKEN }, transports: ['websocket'], forceNew: true });
    socket.on('event', (event) => seen.push(event));
    socket.on('device_update', (update) => updates.push(update));
    await new Promise((resolve) =>
      socket.emit('subscribe', { topics: ['events', 'devices'], ...(after === undefined ? {} : { after }) }, resolve),
    );
    return socket;
  };
  const socket = await connect();
  const commit = await scene.push('terminal', source, folder({ vlan: 1 }));
  await eventually('it is told to be at work', async () => updates.at(-1)?.status === 'UPDATING');
  expect(updates.map((update) => update.sync_status)).toContain('pending');
  await writeFile(device.path('go-on'), '');
  await scene.converged('terminal-1', commit);
  await eventually('the success is seen', async () => seen.some((event) => event.type === 'rollout.completed'));
  const types = seen.map((event) => event.type);
  const order = ['hook.received', 'revision.prepared', 'rollout.planned', 'rollout.running', 'deployment.state', 'rollout.completed'];
  expect(order.map((type) => types.indexOf(type))).toEqual([...order.map((type) => types.indexOf(type))].sort((a, b) => a - b));
  expect(types).toEqual(expect.arrayContaining(order));
  await eventually('the last status is told', async () => updates.at(-1)?.status === 'ONLINE');

  const last = seen.at(-1)?.cursor ?? 0;
  socket.close();
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 2 })));
  const missed = (await scene.api('GET', `/events?after=${last}&limit=500`)).body.items.map((event: { cursor: number }) => event.cursor);
  const before = seen.length;
  const again = await connect(last);
  await eventually('all that was missed is replayed', async () => seen.length >= before + missed.length);
  expect(seen.slice(before, before + missed.length).map((event) => event.cursor)).toEqual(missed);
  again.close();
});
