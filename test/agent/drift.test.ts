import { mkdir, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AgentServer, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { createDevice, type Device, readTree } from './device.ts';

let server: AgentServer;
let device: Device;

beforeEach(async () => {
  server = await startAgentServer();
  device = await createDevice(server.url);
});

afterEach(async () => {
  await device[Symbol.asyncDispose]();
  await server.close();
});

const GOOD = { a: '644 one', 'deep/b': '644 two', 'deep/er/c': '644 three' };

async function install(driftPolicy: 'heal' | 'report') {
  const bundle = await makeBundle({ a: 'one', 'deep/b': 'two', 'deep/er/c': 'three' });
  await server.deploy(bundle, 'd1', { driftPolicy });
  const agent = device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  return { bundle, agent };
}

const drifts = () => server.reports().flatMap((report) => (report.kind === 'drift' ? [report] : []));

test('policy heal: the agent restores changed, removed and added files, follows no links, and keeps a copy of the changed state', async () => {
  const { bundle, agent } = await install('heal');
  await agent.stop();
  const release = device.path('releases', bundle.digest);
  await writeFile(`${release}/a`, 'tampered');
  await unlink(`${release}/deep/b`);
  await writeFile(`${release}/added`, 'x');
  await rm(`${release}/deep/er`, { recursive: true });
  await mkdir(device.path('outside'));
  await symlink(device.path('outside'), `${release}/deep/er`);
  device.start();
  const report = await server.until('a drift report', () => drifts()[0]);
  expect(report).toMatchObject({ healed: true, runningDigest: bundle.digest, changed: ['a', 'added', 'deep/b', 'deep/er', 'deep/er/c'] });
  expect(await device.current()).toEqual(GOOD);
  expect(await readTree(device.path('outside'))).toEqual({});
  expect((await readTree(device.path('drifted', `000001-${bundle.digest}`)).catch(() => ({ a: 'unreadable link' }))).a).toBeDefined();
});

test('policy heal: a running agent detects an edit and undoes it', async () => {
  const { bundle } = await install('heal');
  await writeFile(device.path('releases', bundle.digest, 'a'), 'tampered');
  expect(await server.until('a drift report', () => drifts()[0])).toMatchObject({ healed: true, changed: ['a'] });
  expect(await device.current()).toEqual(GOOD);
});

test('policy heal: without its archive the agent downloads the bundle again', async () => {
  const { bundle, agent } = await install('heal');
  await agent.stop();
  await unlink(device.path('bundles', `${bundle.digest}.tar`));
  await writeFile(device.path('current', 'a'), 'tampered');
  device.start();
  expect(await server.until('a drift report', () => drifts()[0])).toMatchObject({ healed: true, changed: ['a'] });
  expect(await device.current()).toEqual(GOOD);
});

test('policy report: the agent reports an edit once and keeps it', async () => {
  const { bundle } = await install('report');
  await writeFile(device.path('releases', bundle.digest, 'deep', 'b'), 'tampered');
  expect(await server.until('a drift report', () => drifts()[0])).toMatchObject({ healed: false, changed: ['deep/b'] });
  await server.desire({
    driftPolicy: 'report',
    commands: [{ id: 'c1', type: 'update_config', payload: {}, expiresAt: new Date(Date.now() + 60_000).toISOString() }],
  });
  await server.until('a second check', () => server.reports().find((report) => report.kind === 'command' && report.state === 'completed'));
  expect((await device.current())?.['deep/b']).toBe('644 tampered');
});

test('the changes of a deployment itself are no drift', async () => {
  await install('report');
  await device.hook('slow', 'sleep 0.5');
  await server.deploy(await makeBundle({ z: 'other' }, { hooks: { after: 'slow' } }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  expect(drifts()).toEqual([]);
});

test('a backup has the real files before a change, including manual edits', async () => {
  const { bundle } = await install('report');
  await writeFile(device.path('current', 'a'), 'tampered');
  await server.until('a drift report', () => drifts()[0]);
  await server.deploy(await makeBundle({ z: 'other' }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  expect(await readTree(device.path('backups', `000001-${bundle.digest}`))).toEqual({ ...GOOD, a: '644 tampered' });
});
