import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { behaviourOf, fateOf } from '../../src/simulate/behaviour.ts';
import type { SimulationEvent } from '../../src/simulate/device.ts';
import { runSimulation, type SimulationOptions } from '../../src/simulate/run.ts';
import type { DeviceDeploymentState } from '../../src/wire/agent.ts';
import { type AgentServer, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { eventually } from '../support/service.ts';

const DEVICE = { id: 'terminal-1', apiKey: 'device-api-key' };

/** One device that behaves like that, beside a server that tells it what to do. */
async function simulate(behaviour: Omit<SimulationOptions, 'server' | 'devices' | 'signal' | 'onState'>) {
  const server = await startAgentServer();
  const stop = new AbortController();
  const told: SimulationEvent[] = [];
  const running = runSimulation({
    ...behaviour,
    server: server.url,
    devices: [DEVICE],
    signal: stop.signal,
    onState: (event) => told.push(event),
  });
  return {
    server,
    told,
    /** What the device has told of an attempt. */
    steps: (deploymentId: string) =>
      told.flatMap((event) => (event.kind === 'deployment' && event.deploymentId === deploymentId ? [event.state] : [])),
    ended: (deploymentId: string) =>
      eventually(`the end of ${deploymentId}`, async () =>
        told.find(
          (event) =>
            event.kind === 'deployment' &&
            event.deploymentId === deploymentId &&
            (event.state === 'succeeded' || event.state === 'rolled_back'),
        ),
      ),
    presence: (state: 'away' | 'back', from = 0) =>
      eventually(state, async () => told.slice(from).find((event) => event.kind === 'presence' && event.state === state)),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      await server.close();
    },
  };
}

const samplesOf = (server: AgentServer) => server.reports().flatMap((report) => (report.kind === 'telemetry' ? [report.metrics] : []));

test('a device that refuses says so before it fetches anything, and goes on with what it runs', async () => {
  await using device = await simulate({ refuseRate: 1 });
  const bundle = await makeBundle({ 'app.json': '{}' });
  await device.server.deploy(bundle, 'd-1');
  await device.ended('d-1');
  expect(device.steps('d-1')).toEqual(['failed', 'rolled_back']);
  expect(device.server.deploymentReport('d-1', 'failed')).toMatchObject({ code: 'refused', runningDigest: null });
  expect(device.server.requests.some(({ path }) => path.startsWith('/bundles/'))).toBe(false);
});

test('a bundle that comes with what is desired needs no download', async () => {
  await using device = await simulate({});
  const bundle = await makeBundle({ 'app.json': '{}' });
  device.server.inline(bundle.archive);
  await device.server.deploy(bundle, 'd-1');
  await device.ended('d-1');
  expect(device.steps('d-1')).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
  expect(device.server.requests.some(({ path }) => path.startsWith('/bundles/'))).toBe(false);
});

test('a slow device says that it applies, and confirms once it is done', async () => {
  await using device = await simulate({ slowRate: 1, slowMs: 30 });
  await device.server.deploy(await makeBundle({ 'app.json': '{}' }), 'd-1');
  await device.ended('d-1');
  expect(device.steps('d-1')).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
  const at = (state: 'applying' | 'confirming') => Date.parse(device.server.deploymentReport('d-1', state)?.at ?? '');
  expect(at('confirming')).toBeGreaterThan(at('applying'));
});

test('a bundle fails where one of its files matches, and another one does not', async () => {
  await using device = await simulate({ failWhen: /"host": *"[^"]+[.]invalid"/ });
  const good = await makeBundle({ 'app.json': '{"host":"a.example.com"}', 'notes.txt': 'invalid' });
  const bad = await makeBundle({ 'a.txt': 'nothing', 'app.json': '{\n"host": "a.invalid"}' });
  await device.server.deploy(good, 'd-1');
  await device.ended('d-1');
  await device.server.deploy(bad, 'd-2');
  await device.ended('d-2');
  expect(device.steps('d-1').at(-1)).toBe('succeeded');
  expect(device.steps('d-2')).toEqual(['delivering', 'applying', 'failed', 'rolled_back']);
  expect(device.server.deploymentReport('d-2', 'failed')).toMatchObject({ code: 'health_check_failed' });
  expect(device.server.deploymentReport('d-2', 'rolled_back')).toMatchObject({ runningDigest: good.digest });
  // Told again without force, it is not tried again.
  await device.server.deploy(bad, 'd-3');
  await device.ended('d-3');
  expect(device.server.deploymentReport('d-3', 'failed')).toMatchObject({ code: 'quarantined' });
});

test('the share of devices on which a bundle fails is drawn by their ids', async () => {
  await using device = await simulate({ failWhen: /bad/, failWhenShare: 0 });
  await device.server.deploy(await makeBundle({ 'app.json': 'bad' }), 'd-1');
  await device.ended('d-1');
  expect(device.steps('d-1').at(-1)).toBe('succeeded');
});

test('a device that goes away hangs up and says nothing; once back it goes on where it was', async () => {
  await using device = await simulate({ offlineRate: 1, offlineSeconds: 0.4, telemetrySeconds: 0.02 });
  const heard: number[] = [];
  let cut = 0;
  device.server.intercept((_request, response, path) => {
    if (path === '/reports') heard.push(device.told.length);
    if (path === '/desired') response.once('close', () => (cut += response.writableEnded ? 0 : 1));
    return false;
  });
  await eventually('a poll that is cut', async () => cut > 0);
  const before = device.told.length;
  await device.server.deploy(await makeBundle({ 'app.json': '{}' }), 'd-1');
  await device.ended('d-1');
  expect(device.steps('d-1')).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
  await device.presence('away', before);
  await device.presence('back', before);
  expect(device.told.filter(({ kind }) => kind === 'trouble')).toEqual([]);
  const away = device.told.findIndex((event, index) => index >= before && event.kind === 'presence' && event.state === 'away');
  // What was on its way when it left may still arrive: a heartbeat and a sample.
  expect(heard.filter((told) => told === away + 1).length).toBeLessThanOrEqual(2);
});

test('a report that was cut off is sent again, the same one', async () => {
  await using device = await simulate({ offlineRate: 1, offlineSeconds: 0.2 });
  let lost: { id: string; state: DeviceDeploymentState }[] = [];
  let toldThen = 0;
  const isBack = () => device.told.slice(toldThen).some((event) => event.kind === 'presence' && event.state === 'back');
  // From the first word of the attempt on, nothing is answered until the device has been away.
  device.server.intercept(async (request, _response, path) => {
    if (path !== '/reports' || (lost.length > 0 && isBack())) return false;
    const { reports } = JSON.parse(await text(request));
    if (reports[0].kind === 'deployment') [lost, toldThen] = [reports, device.told.length];
    return true;
  });
  await device.server.deploy(await makeBundle({ 'app.json': '{}' }), 'd-1');
  await device.ended('d-1');
  expect(lost.map(({ state }) => state)).toEqual(['delivering', 'applying', 'confirming']);
  expect(lost).toEqual(lost.map(({ state }) => device.server.deploymentReport('d-1', state)));
});

test('a device that cannot confirm in time goes back by itself and says why', async () => {
  await using device = await simulate({});
  const good = await makeBundle({ 'app.json': '1' });
  await device.server.deploy(good, 'd-1');
  await device.ended('d-1');
  let unanswered = 0;
  device.server.intercept(async (request, response, path) => {
    if (path !== '/reports' || unanswered > 0) return false;
    const { reports } = JSON.parse(await text(request));
    if (reports[0].kind === 'deployment') unanswered += 1;
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ accepted: 1, confirmed: [] }));
    return true;
  });
  await device.server.deploy(await makeBundle({ 'app.json': '2' }, { confirmTimeoutSeconds: 1 }), 'd-2');
  await device.ended('d-2');
  expect(device.steps('d-2')).toEqual(['delivering', 'applying', 'failed', 'rolled_back']);
  expect(device.server.deploymentReport('d-2', 'failed')).toMatchObject({ code: 'confirm_timeout', runningDigest: good.digest });
});

test('metrics are reported every so often, and drift while the device runs a bundle that matches', async () => {
  await using device = await simulate({ telemetrySeconds: 0.02, driftWhen: /"port":1\b/, driftMetric: 'cpu' });
  const cpu = () => samplesOf(device.server).at(-1)?.cpu ?? 0;
  await device.server.deploy(await makeBundle({ 'app.json': '{"port":2}' }), 'd-1');
  await device.ended('d-1');
  const samples = samplesOf(device.server).length;
  await eventually('ten samples', async () => samplesOf(device.server).length >= samples + 10);
  for (const sample of samplesOf(device.server)) {
    expect(Object.keys(sample)).toEqual(['cpu', 'memory', 'error_rate']);
    expect(sample.cpu).toBeLessThan(51);
  }
  const good = device.server.deploymentReport('d-1', 'succeeded')?.runningDigest;
  await device.server.deploy(await makeBundle({ 'app.json': '{"port":1}' }), 'd-2');
  await eventually('the top', async () => cpu() === 100);
  expect(samplesOf(device.server).at(-1)?.memory).toBeLessThan(60);
  await device.server.deploy(await makeBundle({ 'app.json': '{"port":2}' }), 'd-3');
  await device.ended('d-3');
  expect(device.server.deploymentReport('d-3', 'succeeded')?.runningDigest).toBe(good);
  await eventually('calm', async () => cpu() < 51);
});

test('without a pattern a metric drifts after an update: not after the first configuration, and not after going back', async () => {
  await using device = await simulate({ telemetrySeconds: 0.02, driftRate: 1, driftMetric: 'memory' });
  const memory = () => samplesOf(device.server).at(-1)?.memory ?? 0;
  const calmFor = async (count: number) => {
    const samples = samplesOf(device.server).length;
    await eventually('samples', async () => samplesOf(device.server).length >= samples + count);
    expect(memory()).toBeLessThan(56);
  };
  const [old, update] = [await makeBundle({ 'app.json': '1' }), await makeBundle({ 'app.json': '2' })];
  await device.server.deploy(old, 'd-1');
  await device.ended('d-1');
  await calmFor(12);
  await device.server.deploy(update, 'd-2');
  await eventually('the top', async () => memory() === 100);
  await device.server.deploy(old, 'd-3', { force: true });
  await device.ended('d-3');
  await eventually('calm', async () => memory() < 56);
  await calmFor(12);
});

test('an attempt that is begun again after trouble is the same one: nothing is drawn anew', async () => {
  const firstOnly = (seed: number) => {
    const fails = [1, 2].map(
      (number) => fateOf(behaviourOf({ failRate: 0.5, seed }), DEVICE.id, number, { fails: false, drifts: false }).failure,
    );
    return fails[0] === null && fails[1] !== null;
  };
  const seed = Array.from({ length: 100 }, (_, index) => index).find(firstOnly);
  await using device = await simulate({ failRate: 0.5, seed });
  let broken = 0;
  device.server.intercept((_request, response, path) => {
    if (!path.startsWith('/bundles/') || broken > 0) return false;
    broken += 1;
    response.writeHead(500).end();
    return true;
  });
  await device.server.deploy(await makeBundle({ 'app.json': '{}' }), 'd-1');
  await device.ended('d-1');
  expect(device.told.some(({ kind }) => kind === 'trouble')).toBe(true);
  expect(device.steps('d-1')).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
});

test('a device whose attempt is not wanted any more keeps the files and does not call it a success', async () => {
  await using device = await simulate({});
  const [one, two] = [await makeBundle({ 'app.json': '1' }), await makeBundle({ 'app.json': '2' })];
  device.server.supersede('d-1');
  await device.server.deploy(one, 'd-1');
  await eventually('confirming', async () => device.steps('d-1').includes('confirming'));
  await device.server.deploy(two, 'd-2');
  await device.ended('d-2');
  expect(device.steps('d-1')).toEqual(['delivering', 'applying', 'confirming']);
  expect(device.server.deploymentReport('d-2', 'delivering')?.runningDigest).toBe(one.digest);
});

test('two devices of the same seed go the same way, attempt by attempt', async () => {
  const outcomes = async (seed: number) => {
    await using device = await simulate({ failRate: 0.5, seed });
    for (let n = 1; n <= 8; n++) {
      await device.server.deploy(await makeBundle({ 'app.json': String(n) }), `d-${n}`);
      await device.ended(`d-${n}`);
    }
    return Array.from({ length: 8 }, (_, index) => device.steps(`d-${index + 1}`).at(-1));
  };
  const first = await outcomes(11);
  expect(await outcomes(11)).toEqual(first);
  expect(new Set(first).size).toBe(2);
});
