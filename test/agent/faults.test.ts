import { cp } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FAULT_POINTS } from '../../agent/faults.ts';
import { type AgentServer, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { createDevice, type Device } from './device.ts';

/**
 * Cuts the power of a real process at each point of the fault table. At any instant, `current` is the whole old or the whole new release, and
 * the next start ends the deployment as it would have ended without the cut.
 */

let server: AgentServer;
/** A device with the old release. Each test starts an agent on a copy of its disk. */
let installed: Device;
let device: Device;

const HEALTHY = { a: 'new', 'deep/b': 'new too' };
const ROLLING_BACK = [
  'before_failure',
  'after_failure',
  'before_swap_back',
  'after_swap_back',
  'after_back_hook',
  'before_rolled_back',
  'after_rolled_back',
];
const ENROLLING = ['before_identity', 'after_identity'];

beforeAll(async () => {
  server = await startAgentServer();
  installed = await newDevice();
  await server.deploy(await makeBundle({ a: 'old', c: 'old too' }), 'd0');
  const agent = installed.start();
  await server.until('d0 succeeded', () => server.deploymentReport('d0', 'succeeded'));
  await agent.stop();
});

afterAll(async () => {
  await installed[Symbol.asyncDispose]();
  await server.close();
});

beforeEach(async () => {
  server.forget();
  device = await newDevice();
});

afterEach(() => device[Symbol.asyncDispose]());

async function newDevice(): Promise<Device> {
  const made = await createDevice(server.url);
  await made.hook('stop', 'exit 0');
  await made.hook('start', 'exit 0');
  await made.hook('check', '! grep -q bad a');
  return made;
}

const apply = { hooks: { before: 'stop', after: 'start' }, health: { hook: 'check' } };

async function installOld(): Promise<void> {
  await cp(installed.root, device.root, { recursive: true, verbatimSymlinks: true, force: false });
}

const OLD = { a: '644 old', c: '644 old too' };
const NEW = { a: '644 new', 'deep/b': '644 new too' };

test.each(FAULT_POINTS.filter((point) => !ROLLING_BACK.includes(point) && !ENROLLING.includes(point)))(
  'power cut at %s: the next start ends on the new release and reports each step once',
  async (point) => {
    await installOld();
    await server.deploy(await makeBundle(HEALTHY, apply), 'd1');
    const cut = device.start({ BELLWETHER_AGENT_FAULT: point });
    expect(await cut.ended).toEqual({ code: null, signal: 'SIGKILL' });
    expect([OLD, NEW]).toContainEqual(await device.current());
    device.start();
    await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
    expect(await device.current()).toEqual(NEW);
    expect(server.states('d1')).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
  },
);

test.each(ROLLING_BACK)('power cut at %s: the next start ends on the old release and reports why', async (point) => {
  await installOld();
  await server.deploy(await makeBundle({ a: 'bad' }, apply), 'd1');
  const cut = device.start({ BELLWETHER_AGENT_FAULT: point });
  expect(await cut.ended).toEqual({ code: null, signal: 'SIGKILL' });
  device.start();
  await server.until('d1 rolled back', () => server.deploymentReport('d1', 'rolled_back'));
  expect(await device.current()).toEqual(OLD);
  expect(server.states('d1')).toEqual(['delivering', 'applying', 'failed', 'rolled_back']);
  expect(server.deploymentReport('d1', 'failed')?.code).toBe('health_check_failed');
});

test.each(ENROLLING)('power cut at %s: the next start enrols or uses its stored identity', async (point) => {
  await server.deploy(await makeBundle(HEALTHY), 'd1');
  const cut = device.start({ BELLWETHER_AGENT_FAULT: point });
  expect(await cut.ended).toEqual({ code: null, signal: 'SIGKILL' });
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect(server.requests.filter(({ path }) => path === '/enroll')).toHaveLength(point === 'before_identity' ? 2 : 1);
});

test('a deployment that is interrupted a second time after the swap rolls back, and the agent quarantines its bundle', async () => {
  await installOld();
  const bundle = await makeBundle(HEALTHY, apply);
  await server.deploy(bundle, 'd1');
  for (let times = 1; times <= 2; times += 1) {
    const cut = device.start({ BELLWETHER_AGENT_FAULT: 'after_confirmed' });
    expect(await cut.ended).toEqual({ code: null, signal: 'SIGKILL' });
    expect(await device.current()).toEqual(NEW);
  }
  device.start();
  await server.until('d1 rolled back', () => server.deploymentReport('d1', 'rolled_back'));
  expect(server.deploymentReport('d1', 'failed')?.code).toBe('interrupted');
  expect(await device.current()).toEqual(OLD);
  expect((await device.state()).quarantined).toEqual([bundle.digest]);
});

test('after a power cut that outlasts the confirm timeout, the device rolls back and may try the bundle again', async () => {
  await installOld();
  const bundle = await makeBundle(HEALTHY, { ...apply, confirmTimeoutSeconds: 1 });
  await server.deploy(bundle, 'd1');
  const cut = device.start({ BELLWETHER_AGENT_FAULT: 'after_confirming' });
  await cut.ended;
  const swappedAt = Date.parse((await device.state()).attempt?.swappedAt ?? '');
  await expect.poll(() => Date.now() > swappedAt + 1000, { timeout: 60_000 }).toBe(true);
  device.start();
  await server.until('d1 rolled back', () => server.deploymentReport('d1', 'rolled_back'));
  expect(server.deploymentReport('d1', 'failed')?.code).toBe('confirm_timeout');
  expect(await device.current()).toEqual(OLD);
  expect((await device.state()).quarantined).toEqual([]);
});
