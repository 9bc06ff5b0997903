import { expect, test } from 'vitest';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

test('a device that was offline catches up straight to the latest revision, without the ones between', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  const agent = device.start();
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));
  await agent.stop();

  const states = async (): Promise<string[]> =>
    (await scene.api('GET', '/devices/terminal-1/deployments')).body.items.map((deployment: { state: string }) => deployment.state);
  let head = '';
  for (const vlan of [2, 3, 4]) {
    head = await scene.push('terminal', source, folder({ vlan }));
    await eventually('an attempt waits for the device', async () => (await states()).length === vlan);
  }
  expect((await scene.status('terminal-1')).device.syncStatus).toBe('pending');
  device.start();
  await scene.converged('terminal-1', head);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":4}' });
  expect(await states()).toEqual(['succeeded', 'superseded', 'superseded', 'succeeded']);
});

test('a manual rollback stays through newer commits until a person lifts the hold, and why names it', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 2 })));

  const answer = await scene.api('POST', '/devices/terminal-1/rollback', { reason: 'till 3 is stuck' });
  expect(answer.status).toBe(200);
  await eventually(
    'the device is back',
    async () => JSON.stringify(await device.current()) === JSON.stringify({ 'app.json': '644 {"vlan":1}' }),
  );
  const newer = await scene.push('terminal', source, folder({ vlan: 3 }));
  await eventually('the newer commit is prepared', async () => (await scene.sourceNow(source.id)).headCommit === newer);
  await eventually('the device counts as held', async () => (await scene.status('terminal-1')).device.syncStatus === 'held');
  expect((await scene.why('terminal-1'))[0]).toBe('held');
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":1}' });

  expect((await scene.api('DELETE', '/devices/terminal-1/hold')).status).toBe(200);
  await scene.converged('terminal-1', newer);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":3}' });
});

test('a hold "until a newer revision" ends with the next commit', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 2 })));
  await scene.api('POST', '/devices/terminal-1/rollback', { untilNewerRevision: true });
  await eventually(
    'the device is back',
    async () => JSON.stringify(await device.current()) === JSON.stringify({ 'app.json': '644 {"vlan":1}' }),
  );
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 3 })));
  expect((await scene.status('terminal-1')).device.hold).toBeNull();
});

test('a stopped device is left alone, and started again it follows at once', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));
  await scene.api('POST', '/devices/terminal-1/stop');
  const head = await scene.push('terminal', source, folder({ vlan: 2 }));
  await eventually('the commit is prepared', async () => (await scene.sourceNow(source.id)).headCommit === head);
  expect(await scene.why('terminal-1')).toContain('stopped');
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":1}' });
  await scene.api('POST', '/devices/terminal-1/start');
  await scene.converged('terminal-1', head);
});

test('commands reach the device and come back with their results; unknown ones and bad payloads are refused', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  await device.hook('greet', 'echo hello');
  device.start();
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));
  for (const command of [
    { type: 'ping' },
    { type: 'health_check' },
    { type: 'status_request' },
    { type: 'run_hook', payload: { hook: 'greet' } },
  ]) {
    const { status, body } = await scene.api('POST', '/devices/terminal-1/commands', command);
    expect(status).toBe(201);
    const done = await eventually(`${command.type} is done`, async () =>
      (await scene.api('GET', '/devices/terminal-1/commands')).body.items.find(
        (item: { id: string; state: string }) => item.id === body.id && item.state !== 'queued' && item.state !== 'sent',
      ),
    );
    expect(done.state).toBe('completed');
  }
  expect((await scene.api('POST', '/devices/terminal-1/commands', { type: 'format_disk' })).body.code).toBe('invalid_request');
  const refused = await scene.api('POST', '/devices/terminal-1/commands', { type: 'run_hook', payload: { hook: '../evil' } });
  expect(refused.body.errors[0].pointer).toBe('/payload/hook');
});

test('a device that somebody changed by hand is healed, or only reported where the source says so', async () => {
  await using scene = await openScene();
  for (const driftPolicy of ['heal', 'report']) {
    const source = await scene.source(`with-${driftPolicy}`, { driftPolicy });
    const device = await scene.device(driftPolicy, source.id);
    device.start({ BELLWETHER_AGENT_HEARTBEAT_SECONDS: '1' });
    await scene.converged(driftPolicy, await scene.push(`with-${driftPolicy}`, source, folder({ vlan: 7 })));
    const { writeFile } = await import('node:fs/promises');
    await writeFile(device.path('current', 'app.json'), '{"vlan":666}');
    if (driftPolicy === 'heal') {
      await eventually('the file is back', async () => (await device.current())?.['app.json'] === '644 {"vlan":7}');
    } else {
      await eventually('the drift is told', async () => (await scene.status(driftPolicy)).device.syncStatus === 'drifted');
      expect(await scene.why(driftPolicy)).toContain('drifted');
      expect((await device.current())?.['app.json']).toBe('644 {"vlan":666}');
    }
  }
});

test('a newer commit replaces one on which the device is stuck', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  await device.hook('reload', 'if grep -q stuck "$BELLWETHER_RELEASE/app.json"; then touch "$ROOT/stuck"; sleep 30; fi');
  device.start({ BELLWETHER_AGENT_HOOK_TIMEOUT_SECONDS: '3' });
  await scene.converged('terminal-1', await scene.push('terminal', source, folder({ vlan: 1 })));
  await scene.push('terminal', source, folder({ vlan: 2, host: 'stuck' }));
  await eventually('the device is stuck in its hook', async () => (await device.list('.')).includes('stuck'));
  const fix = await scene.push('terminal', source, folder({ vlan: 3 }));
  await eventually('the stuck attempt is superseded at once', async () =>
    (await scene.api('GET', '/devices/terminal-1/deployments')).body.items.some(
      (attempt: { state: string }) => attempt.state === 'superseded',
    ),
  );
  await scene.converged('terminal-1', fix);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":3}' });
});
