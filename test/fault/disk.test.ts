import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createDevice } from '../agent/device.ts';
import { readFiles } from '../crash/device.ts';
import { openTestDatabase } from '../support/database.ts';
import { canFillDisk, fillDisk, makeRoom, onFullDisk } from '../support/full-disk.ts';
import { openGitHost } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { FLEET } from '../support/hostile.ts';
import { folder, openScene } from '../support/scene.ts';
import { ADMIN_TOKEN, clientOf, eventually } from '../support/service.ts';
import { startServiceProcess } from '../support/service-process.ts';

describe.skipIf(!canFillDisk)('a full disk', () => {
  test('of a device: the device reports it and changes nothing, and recovers once there is space', async () => {
    await using scene = await openScene();
    const source = await scene.source('till');
    const device = await scene.device('till', source.id);
    const agent = device.start();
    await scene.converged('till', await scene.push('till', source, folder({ vlan: 1 })));
    const complaints = async () => {
      const lines: { message: string }[] = (await scene.api('GET', '/devices/till/logs?limit=500')).body.items;
      return lines.filter(({ message }) => message.includes("The device's disk is full")).length;
    };

    await fillDisk(agent.child.pid!);
    const second = await scene.push('till', source, folder({ vlan: 2 }));
    await eventually('the report of the device', async () => (await complaints()) === 1);
    expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":1}' });
    expect((await scene.api('GET', '/devices/till')).body.connectivity).toBe('online');
    await makeRoom(agent.child.pid!);
    await scene.converged('till', second);
    expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":2}' });
    expect(await device.list('staging')).toEqual([]);

    // A device that restarts with a full disk reports it, too, and then continues.
    await agent.stop();
    const third = await scene.push('till', source, folder({ vlan: 3 }));
    const again = device.start({}, onFullDisk);
    await eventually('the report at its start', async () => (await complaints()) === 2);
    expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":2}' });
    await makeRoom(again.child.pid!);
    await scene.converged('till', third);
    expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":3}' });
  });

  test('of the service: source and device report it, mirror and workspace stay complete, and both recover once there is space', async () => {
    await using opened = new AsyncDisposableStack();
    const dataDir = await mkdtemp(join(tmpdir(), 'bellwether-disk-'));
    opened.defer(() => rm(dataDir, { recursive: true, force: true }));
    const database = await openTestDatabase();
    opened.defer(() => database.close());
    const host = opened.use(await openGitHost());
    const env = { DATA_DIR: dataDir, DATABASE_URL: database.url, BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN };
    const service = await startServiceProcess(env, () => undefined);
    opened.defer(() => service.close());
    const api = clientOf(service.url, ADMIN_TOKEN);
    const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
    const source = (await api('POST', '/sources', { name: 'fleet', url: await host.createRepository('fleet'), layout: 'fleet', webhook }))
      .body;
    const { apiKey } = (await api('POST', '/devices', { id: 'till', type: 'till', sourceId: source.id })).body;
    const device = opened.use(await createDevice(service.url));
    for (const hook of ['reload', 'check-config']) await device.hook(hook, 'exit 0');
    device.start({}, ['--device-id', 'till', '--api-key', apiKey]);
    const push = async (vlan: number) => {
      const after = await host.commit('fleet', { 'fleet.yaml': FLEET, ...folder({ vlan }, 'devices/till/') });
      expect((await postGitLabPush(source.hookUrl, { after })).status).toBe(202);
      return after;
    };
    /** The files on the device, and those in its workspace. */
    const holds = async (vlan: number) => {
      const text = `{"vlan":${vlan}}`;
      const [row] = await database.sql<{ workspace: string | null }[]>`select workspace from devices where good_bundle = workspace_bundle`;
      if (typeof row?.workspace !== 'string') return false;
      const kept = await readFiles(await realpath(join(dataDir, 'workspaces', row.workspace, 'current')));
      return kept['app.json'] === text && (await device.current())?.['app.json'] === `644 ${text}`;
    };
    const sourceNow = async () => (await api('GET', `/sources/${source.id}`)).body;
    const events = async () => {
      const events: { type: string; data: { code?: string } }[] = (await api('GET', '/devices/till/events?limit=500')).body.items;
      return events.filter(({ type }) => type.startsWith('workspace.')).map(({ type, data }) => `${type} ${data.code ?? ''}`.trim());
    };
    for (const vlan of [1, 2]) {
      await push(vlan);
      await eventually(`all is at ${vlan}`, () => holds(vlan));
    }

    await fillDisk(service.pid);
    const third = await push(3);
    const failing = await eventually('the error of the source', async () => {
      const seen = await sourceNow();
      return seen.status === 'failing' ? seen : undefined;
    });
    expect(failing.lastError).toEqual({
      code: 'mirror_no_space',
      detail: expect.stringMatching(/disk of this service is full; free space on the disk of DATA_DIR/),
    });
    // The database still serves the bundle to the device; its workspace keeps the old bundle.
    expect((await api('POST', '/devices/till/rollback', {})).status).toBeLessThan(300);
    await eventually('the rollback of the device', async () => (await device.current())?.['app.json'] === '644 {"vlan":1}');
    await eventually('the device shows it', async () => (await events()).includes('workspace.failed workspace_no_space'));
    const files = await readdir(dataDir, { recursive: true });
    const [row] = await database.sql<[{ workspace: string }]>`select workspace from devices`;
    const kept = await readFiles(await realpath(join(dataDir, 'workspaces', row.workspace, 'current')));
    expect(kept['app.json']).toBe('{"vlan":2}');
    expect(files.filter((name) => name.startsWith('mirrors') && name.endsWith('.tmp'))).toEqual([]);

    await makeRoom(service.pid);
    await eventually('the source recovers', async () => (await sourceNow()).headCommit === third, 240_000);
    expect((await api('DELETE', '/devices/till/hold')).status).toBeLessThan(300);
    await eventually('all is at 3', () => holds(3));
    expect((await events()).filter((type) => type === 'workspace.failed workspace_no_space')).toHaveLength(1);
    await eventually('the device shows that too', async () => (await events()).includes('workspace.recovered'));
    expect((await api('GET', '/devices/till/status')).body.converged).toBe(true);
  });
});
