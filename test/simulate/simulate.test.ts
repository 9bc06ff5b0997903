import { expect, test } from 'vitest';
import type { SimulationEvent } from '../../src/simulate/device.ts';
import { enrollDevices } from '../../src/simulate/enroll.ts';
import { runSimulation, type SimulationOptions } from '../../src/simulate/run.ts';
import { createTrust } from '../../src/simulate/trust.ts';
import { makeBundle, startAgentServer } from '../support/agent-server.ts';
import { openGitHost } from '../support/git-host.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

const COUNT = 5;

/** Runs the devices beside `work`, and ends them with it. @returns everything that they told */
async function simulated(
  options: Omit<SimulationOptions, 'signal' | 'onState'>,
  work: (told: SimulationEvent[]) => Promise<void>,
): Promise<SimulationEvent[]> {
  const stop = new AbortController();
  const told: SimulationEvent[] = [];
  const running = runSimulation({ ...options, signal: stop.signal, onState: (event) => told.push(event) });
  await work(told).finally(() => stop.abort());
  await running;
  return told;
}

async function enrolled(service: TestService, sourceId: string) {
  const { token } = (await service.api('POST', '/enrolment-tokens', { uses: COUNT, sourceId })).body;
  return enrollDevices({ server: service.url, token, count: COUNT, prefix: 'sim', signal: AbortSignal.timeout(180_000) });
}

const stepsOf = (told: readonly SimulationEvent[], id: string) =>
  told.flatMap((event) => (event.kind === 'deployment' && event.deviceId === id ? [event.state] : []));
/** The service knows a step before the device has its answer: until every device has it. */
const endOf = (told: readonly SimulationEvent[], devices: readonly { id: string }[], state: 'succeeded' | 'rolled_back') =>
  eventually(`all told ${state}`, async () => devices.every(({ id }) => stepsOf(told, id).includes(state)));
const devicesOf = async (service: TestService) =>
  (await service.api('GET', '/devices')).body.items as { id: string; simulated: boolean; syncStatus: string; connectivity: string }[];

async function openFleet() {
  const opened = new AsyncDisposableStack();
  const host = opened.use(await openGitHost());
  const service = opened.use(await openService());
  const url = await host.createRepository('shared');
  await host.commit('shared', { 'app.json': '{"n":1}' });
  const source = (await service.api('POST', '/sources', { name: 'shared', url, layout: 'repo' })).body;
  return { host, service, source, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

test('simulated devices enrol as such, apply what a commit brings, and report each step in order', async () => {
  await using fleet = await openFleet();
  const devices = await enrolled(fleet.service, fleet.source.id);
  expect(devices.map((device) => device.id)).toEqual(['sim-0001', 'sim-0002', 'sim-0003', 'sim-0004', 'sim-0005']);
  const told = await simulated({ server: fleet.service.url, devices }, async (events) => {
    await eventually('all in sync', async () => (await devicesOf(fleet.service)).every(({ syncStatus }) => syncStatus === 'in_sync'));
    await endOf(events, devices, 'succeeded');
  });
  const stored = await devicesOf(fleet.service);
  expect(stored).toHaveLength(COUNT);
  expect(stored.every((device) => device.simulated && device.connectivity === 'online')).toBe(true);
  for (const { id } of devices) expect(stepsOf(told, id)).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
  expect(told.filter(({ kind }) => kind === 'ready')).toHaveLength(COUNT);
  expect(told.filter(({ kind }) => kind === 'trouble')).toEqual([]);
});

test('with a fail rate of 1 every device fails its health check and goes back', async () => {
  await using fleet = await openFleet();
  const devices = await enrolled(fleet.service, fleet.source.id);
  const told = await simulated({ server: fleet.service.url, devices, failRate: 1 }, async (events) => {
    await eventually('all rolled back', async () =>
      (await devicesOf(fleet.service)).every(({ syncStatus }) => syncStatus === 'rolled_back' || syncStatus === 'failed'),
    );
    await eventually('each attempt ended as rolled back', async () => {
      const [row] = await fleet.service.database.sql<
        [{ n: number }]
      >`select count(*)::int as n from deployments where state = 'rolled_back' and error_code = 'health_check_failed'`;
      return row.n === COUNT;
    });
    await endOf(events, devices, 'rolled_back');
  });
  for (const { id } of devices) expect(stepsOf(told, id).slice(0, 4)).toEqual(['delivering', 'applying', 'failed', 'rolled_back']);
});

test('a device that refuses has begun nothing; why says that it refused', async () => {
  await using fleet = await openFleet();
  const devices = await enrolled(fleet.service, fleet.source.id);
  const told = await simulated({ server: fleet.service.url, devices, refuseRate: 1 }, async (events) => {
    await endOf(events, devices, 'rolled_back');
  });
  for (const { id } of devices) expect(stepsOf(told, id)).toEqual(['failed', 'rolled_back']);
  const attempts = await fleet.service.database.sql`select distinct state, error_code, delivering_at from deployments`;
  expect(attempts).toEqual([{ state: 'rolled_back', error_code: 'refused', delivering_at: null }]);
  const [blocker] = (await fleet.service.api('GET', '/devices/sim-0001/why')).body;
  expect(blocker).toMatchObject({ code: 'rolled_back', detail: expect.stringContaining('refused') });
});

test('devices that keep going away all end on the commit', async () => {
  await using fleet = await openFleet();
  const devices = await enrolled(fleet.service, fleet.source.id);
  const flapping = { offlineRate: 1, offlineSeconds: 0.5, slowRate: 1, slowMs: 500, telemetrySeconds: 0.1 };
  const told = await simulated({ server: fleet.service.url, devices, ...flapping }, async (events) => {
    await endOf(events, devices, 'succeeded');
    await eventually('each has been away', async () => {
      const away = events.filter((event) => event.kind === 'presence' && event.state === 'away').map(({ deviceId }) => deviceId);
      return new Set(away).size === COUNT;
    });
  });
  for (const { id } of devices) expect(stepsOf(told, id)).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
  expect(told.filter(({ kind }) => kind === 'trouble')).toEqual([]);
});

test('a used-up enrolment token is refused with the reason', async () => {
  await using service = await openService();
  const { token } = (await service.api('POST', '/enrolment-tokens', { uses: 1 })).body;
  await expect(
    enrollDevices({ server: service.url, token, count: 2, prefix: 'sim', signal: AbortSignal.timeout(180_000) }),
  ).rejects.toThrow(/401.*enrolment token/s);
});

test('a wrong key is told as trouble and the simulation goes on until it is stopped', async () => {
  await using service = await openService();
  const told = await simulated({ server: service.url, devices: [{ id: 'nobody', apiKey: 'wrong' }] }, async (events) => {
    await eventually('trouble', async () => events.some(({ kind }) => kind === 'trouble'));
  });
  expect(told.every(({ kind }) => kind === 'trouble')).toBe(true);
});

test('a desired state is refused when forged, foreign, expired or older; an archive when its bytes are another bundle', async () => {
  const server = await startAgentServer();
  try {
    const trust = createTrust();
    const keys = await fetch(`${server.url}/agent/v1/keys`, { headers: { 'x-device-id': 'terminal-1', 'x-api-key': 'device-api-key' } });
    const pinned = (await keys.json()) as Parameters<typeof trust.desired>[1];
    const device = { ...pinned, deviceId: 'terminal-1', sequence: 5, now: new Date() };
    const jws = await server.sign(server.stateOf('terminal-1', { sequence: 5 }));
    await expect(trust.desired(jws, device)).resolves.toMatchObject({ sequence: 5 });
    await expect(trust.desired(jws, { ...device, sequence: 6 })).rejects.toThrow('at least 6 is required');
    await expect(trust.desired(jws, { ...device, deviceId: 'terminal-2' })).rejects.toThrow('it is for "terminal-1"');
    await expect(trust.desired(jws, { ...device, now: new Date(Date.now() + 86_400_000) })).rejects.toThrow('it expired');
    await expect(trust.desired(`${jws.slice(0, -6)}AAAAAA`, device)).rejects.toThrow('Cannot accept the desired state');
    const [one, other] = [await makeBundle({ a: '1' }), await makeBundle({ a: '2' })];
    await trust.archive(one.digest, one.archive);
    await trust.archive(one.digest, one.archive);
    await expect(trust.archive(one.digest, other.archive)).rejects.toThrow('its digest is');
  } finally {
    await server.close();
  }
});
