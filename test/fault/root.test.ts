import { chmod, chown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDevice, type Device } from '../agent/device.ts';
import { type AgentServer, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { afterMounting, canUnshare, inNamespaceOf, succeeds } from '../support/namespaces.ts';

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

const logLine = (text: string) => server.reports().some((report) => report.kind === 'log' && report.message.includes(text));

describe('one root has one agent', () => {
  const polls = () => server.requests.filter(({ path }) => path === '/desired').length;

  test('also when a second one uses a symbolic link to it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bellwether-link-'));
    try {
      await symlink(device.root, join(folder, 'root'));
      device.start();
      await server.until('the first polls', () => polls() === 1);
      const second = device.start({ BELLWETHER_AGENT_ROOT: join(folder, 'root') }, ['--enroll', 'enroll-token'], [], null);
      expect((await second.ended).code).toBe(1);
      expect(second.log()).toContain('another agent runs on this root');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test.skipIf(!canUnshare)('also when the second has a mount namespace of its own, as containers have', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bellwether-mount-'));
    try {
      const first = device.start();
      await server.until('the first polls', () => polls() === 1);
      const under = afterMounting(`mount --bind '${device.root}' '${folder}'`);
      const elsewhere = () => device.start({ BELLWETHER_AGENT_ROOT: folder }, ['--enroll', 'enroll-token'], under, null);
      const second = elsewhere();
      expect((await second.ended).code).toBe(1);
      expect(second.log()).toContain('another agent runs on this root');
      // The root is free as soon as the first agent ends in any way.
      await first.kill();
      const third = elsewhere();
      await server.until('the third polls', () => polls() === 2);
      expect((await device.start().ended).code).toBe(1);
      await third.kill();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test.skipIf(!canUnshare)(
  'a mount in the place of current is reported with what to do, holds up no later bundle, and ends with the mount',
  async () => {
    await server.deploy(await makeBundle({ a: 'one' }), 'd1');
    const first = device.start();
    await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
    await first.stop();
    await rm(device.path('current'));
    await mkdir(device.path('current'));
    const { root } = device;
    const agent = device.start({}, undefined, afterMounting(`mount --bind '${root}/hooks' '${root}/current'`));
    await server.deploy(await makeBundle({ a: 'two' }), 'd2');
    await server.until('d2 rolled back', () => server.deploymentReport('d2', 'rolled_back'));
    expect(server.deploymentReport('d2', 'failed')).toMatchObject({ code: 'root_unusable', detail: expect.stringContaining('unmount it') });
    await server.deploy(await makeBundle({ a: 'three' }), 'd3');
    await server.until('d3 is tried', () => server.deploymentReport('d3', 'failed'));
    inNamespaceOf(agent.child.pid!, `umount '${root}/current'`);
    await server.deploy(await makeBundle({ a: 'four' }), 'd4');
    await server.until('d4 succeeded', () => server.deploymentReport('d4', 'succeeded'));
    expect(await device.current()).toEqual({ a: '644 four' });
  },
);

test.skipIf(!canUnshare)('a read-only file system is reported with what to do, and the agent goes on after it', async () => {
  await server.deploy(await makeBundle({ a: 'one' }), 'd1');
  const first = device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  await first.stop();
  const { root } = device;
  const agent = device.start({}, undefined, afterMounting(`mount --bind '${root}' '${root}' && mount -o remount,bind,ro '${root}'`));
  await server.until('the log line at its start', () => logLine('remount it writable'));
  const pid = agent.child.pid!;
  inNamespaceOf(pid, `mount -o remount,bind,rw '${root}'`);
  await server.deploy(await makeBundle({ a: 'two' }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  expect(await device.current()).toEqual({ a: '644 two' });
});

const OTHER = ['setpriv', '--reuid', '65534', '--clear-groups'];
const canBeAnother = process.getuid?.() === 0 && succeeds('setpriv', [...OTHER.slice(1), process.execPath, '--version']);

test.skipIf(!canBeAnother)(
  'a root that belongs to somebody else is reported with whom, at a start and while the agent runs, and used once it is given to the agent',
  async () => {
    await chmod(device.root, 0o755);
    await writeFile(device.path('mine'), 'mine');
    const agent = device.start({}, undefined, OTHER);
    await expect.poll(() => agent.log(), { timeout: 60_000 }).toContain('it belongs to uid 0, the agent runs as uid 65534');
    expect(await readdir(device.root)).toEqual(['hooks', 'mine']);
    for (const name of ['', 'hooks']) await chown(device.path(name), 65_534, 65_534);
    await server.deploy(await makeBundle({ a: 'one' }), 'd1');
    await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
    await chown(device.root, 0, 0);
    await server.deploy(await makeBundle({ a: 'two' }), 'd2');
    await server.until('the log line while it runs', () => logLine('it belongs to uid 0'));
    expect(await device.current()).toEqual({ a: '644 one' });
    await chown(device.root, 65_534, 65_534);
    await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  },
);
