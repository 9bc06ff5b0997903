import { readFile, stat } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AgentServer, etagOf, json, makeBundle, startAgentServer } from '../support/agent-server.ts';
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

test('an enrolled device downloads its desired bundle, applies it with its modes and reports each step', async () => {
  const bundle = await makeBundle(
    { 'app/config.json': '{"vlan":7}', 'bin/run': 'run' },
    {},
    { 'app/config.json': '0640', 'bin/run': '0755' },
  );
  await server.deploy(bundle, 'd1');
  const agent = device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect(await device.current()).toEqual({ 'app/config.json': '640 {"vlan":7}', 'bin/run': '755 run' });
  expect(server.states('d1')).toEqual(['delivering', 'applying', 'confirming', 'succeeded']);
  expect(server.deploymentReport('d1', 'succeeded')?.runningDigest).toBe(bundle.digest);
  expect((await stat(device.path('identity.json'))).mode & 0o777).toBe(0o600);
  expect(await agent.stop()).toEqual({ code: 0, signal: null });
  expect((await device.state()).running).toBe(bundle.digest);
});

test('the agent applies an inline bundle without a download, and downloads a damaged one', async () => {
  const [whole, damaged] = [await makeBundle({ a: 'one' }), await makeBundle({ a: 'two' })];
  const downloads = () => server.requests.flatMap(({ path }) => (path.startsWith('/bundles/') ? [path.slice('/bundles/'.length)] : []));
  server.inline(whole.archive);
  await server.deploy(whole, 'd1');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect([await device.current(), downloads()]).toEqual([{ a: '644 one' }, []]);
  server.inline(Buffer.from(damaged.archive.toString('latin1').replace('two', 'bad'), 'latin1'));
  await server.deploy(damaged, 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  expect([await device.current(), downloads()]).toEqual([{ a: '644 two' }, [damaged.digest]]);
  expect(await device.list('staging')).toEqual([]);
});

test('a device registered by hand pins the signing keys at its first contact', async () => {
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  device.start({}, ['--device-id', 'terminal-1', '--api-key', 'device-api-key']);
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect(server.requests.some(({ path }) => path === '/keys')).toBe(true);
});

test('the agent sends the confirming report over a new connection, which serves no other request', async () => {
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const closing = server.requests.filter(({ path, headers }) => path === '/reports' && headers.connection === 'close');
  expect(closing).toHaveLength(1);
  expect(server.requests.filter(({ port }) => port === closing[0]?.port)).toHaveLength(1);
});

test('a second bundle replaces the first, which stays as a backup, and a bundle that is still on the disk needs no download', async () => {
  const first = await makeBundle({ a: 'one' });
  const second = await makeBundle({ a: 'two', b: 'new' });
  await server.deploy(first, 'd1');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  await server.deploy(second, 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  expect(await device.current()).toEqual({ a: '644 two', b: '644 new' });
  expect(await readTree(device.path('backups', `000001-${first.digest}`))).toEqual({ a: '644 one' });
  const downloads = () => server.requests.filter(({ path }) => path === `/bundles/${first.digest}`).length;
  expect(downloads()).toBe(1);
  await server.deploy(first, 'd3');
  await server.until('d3 succeeded', () => server.deploymentReport('d3', 'succeeded'));
  expect(await device.current()).toEqual({ a: '644 one' });
  expect(downloads()).toBe(1);
});

test('the agent resumes an interrupted download', async () => {
  const bundle = await makeBundle({ big: 'x'.repeat(3_000_000) });
  await server.deploy(bundle, 'd1');
  let cuts = 0;
  server.intercept((_request, response, path) => {
    if (!path.startsWith('/bundles/') || cuts > 0) return false;
    cuts += 1;
    response.writeHead(200, { etag: etagOf(bundle), 'content-length': bundle.archive.length });
    response.write(bundle.archive.subarray(0, 1_000_000), () => response.destroy());
    return true;
  });
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const second = server.requests.filter(({ path }) => path.startsWith('/bundles/'))[1];
  expect(second?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
  expect(second?.status).toBe(206);
  expect((await device.current())?.big).toBe(`644 ${'x'.repeat(3_000_000)}`);
});

test('the agent discards a damaged download and repeats it', async () => {
  const bundle = await makeBundle({ big: 'x'.repeat(10_000) });
  await server.deploy(bundle, 'd1');
  let damaged = 0;
  server.intercept((_request, response, path) => {
    if (!path.startsWith('/bundles/') || damaged > 0) return false;
    damaged += 1;
    const bytes = Buffer.from(bundle.archive);
    bytes.write('y', 5000);
    response.writeHead(200, { etag: '"e"', 'content-length': bytes.length }).end(bytes);
    return true;
  });
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect((await device.current())?.big).toBe(`644 ${'x'.repeat(10_000)}`);
});

test('a failed health check rolls back byte for byte and reports why, and the agent does not try the bundle again', async () => {
  const good = await makeBundle({ a: 'good', 'deep/er/b': 'b' });
  await device.hook('check', 'grep -q good a || { echo "a is not good" >&2; exit 3; }');
  await server.deploy(good, 'd1');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const before = await device.current();
  const bad = await makeBundle({ a: 'bad' }, { health: { hook: 'check', attempts: 2, intervalSeconds: 0 } });
  await server.deploy(bad, 'd2');
  const report = await server.until('d2 rolled back', () => server.deploymentReport('d2', 'rolled_back'));
  expect(report.runningDigest).toBe(good.digest);
  expect(server.deploymentReport('d2', 'failed')).toMatchObject({
    code: 'health_check_failed',
    detail: expect.stringContaining('a is not good'),
  });
  expect(await device.current()).toEqual(before);
  await server.deploy(bad, 'd3');
  await server.until('d3 refused', () => server.deploymentReport('d3', 'rolled_back'));
  expect(server.deploymentReport('d3', 'failed')?.code).toBe('quarantined');
  expect(server.states('d3')).toEqual(['failed', 'rolled_back']);
});

test('the agent applies a quarantined bundle that an operator forces, and one that is desired again after another', async () => {
  await device.hook('check', 'test -e $ROOT/healthy');
  const bad = await makeBundle({ a: 'bad' }, { health: { hook: 'check' } });
  await server.deploy(bad, 'd1');
  device.start();
  await server.until('d1 rolled back', () => server.deploymentReport('d1', 'rolled_back'));
  expect(await device.current()).toBe(null);
  await server.deploy(bad, 'd2', { force: true });
  await server.until('d2 rolled back', () => server.deploymentReport('d2', 'rolled_back'));
  expect(server.deploymentReport('d2', 'failed')?.code).toBe('health_check_failed');
  await server.deploy(await makeBundle({ a: 'other' }), 'd3');
  await server.until('d3 succeeded', () => server.deploymentReport('d3', 'succeeded'));
  await device.hook('check', 'exit 0');
  await server.deploy(bad, 'd4');
  await server.until('d4 succeeded', () => server.deploymentReport('d4', 'succeeded'));
});

test('hooks run in the release, before and after the swap, with their environment and no other', async () => {
  await device.hook('stop', 'echo "before $(readlink $ROOT/current)" >> $ROOT/hooks.log; env > $ROOT/env.txt; pwd >> $ROOT/env.txt');
  await device.hook('start', 'echo "after $(readlink $ROOT/current)" >> $ROOT/hooks.log');
  const bundle = await makeBundle({ a: '1' }, { hooks: { before: 'stop', after: 'start' } });
  await server.deploy(bundle, 'd1');
  device.start({ SECRET_OF_THE_AGENT: 'x' });
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const log = await readFile(device.path('hooks.log'), 'utf8');
  const env = await readFile(device.path('env.txt'), 'utf8');
  expect(log).toBe(`before \nafter releases/${bundle.digest}\n`);
  expect(env).toContain(`BELLWETHER_RELEASE=${device.path('releases', bundle.digest)}`);
  expect(env).toContain('BELLWETHER_DEVICE_ID=terminal-1');
  expect(env).toContain(`\n${device.path('releases', bundle.digest)}\n`);
  expect(env).not.toContain('SECRET_OF_THE_AGENT');
});

test('a hook that is not installed, and one that hangs with its children, fail the deployment', async () => {
  await server.deploy(await makeBundle({ a: '1' }, { hooks: { before: 'missing' } }), 'd1');
  device.start({ BELLWETHER_AGENT_HOOK_TIMEOUT_SECONDS: '0.3' });
  await server.until('d1 rolled back', () => server.deploymentReport('d1', 'rolled_back'));
  expect(server.deploymentReport('d1', 'failed')).toMatchObject({
    code: 'hook_failed',
    detail: 'The hook "missing" is not installed on this device',
  });
  await device.hook('hang', 'sleep 300 & echo $! > $ROOT/child; echo waiting; wait');
  await server.deploy(await makeBundle({ a: '2' }, { hooks: { after: 'hang' } }), 'd2');
  await server.until('d2 failed', () => server.deploymentReport('d2', 'rolled_back'));
  expect(server.deploymentReport('d2', 'failed')).toMatchObject({
    code: 'hook_failed',
    detail: expect.stringMatching(/longer than 0\.3 s[\s\S]*waiting/),
  });
  const child = Number(await readFile(device.path('child'), 'utf8'));
  expect(child).toBeGreaterThan(0);
  await expect.poll(() => isAlive(child), { timeout: 60_000 }).toBe(false);
});

test('a device that cannot confirm in time rolls back by itself and reports it once the server is reachable', async () => {
  const good = await makeBundle({ a: 'good' });
  await server.deploy(good, 'd1');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  let isBack = false;
  await device.hook('cut', 'case "$(readlink $ROOT/current)" in *"$(basename "$PWD")") touch $ROOT/cut;; esac');
  server.intercept(async (request, response) => {
    if (isBack || !(await stat(device.path('cut')).catch(() => null))) return false;
    request.resume();
    response.destroy();
    return true;
  });
  const bad = await makeBundle({ a: 'cuts the network' }, { hooks: { after: 'cut' }, confirmTimeoutSeconds: 1 });
  await server.deploy(bad, 'd2');
  await expect
    .poll(async () => (await device.state()).attempt === null && (await device.state()).quarantined.includes(bad.digest), {
      timeout: 60_000,
    })
    .toBe(true);
  expect(await device.current()).toEqual({ a: '644 good' });
  isBack = true;
  const failed = await server.until('d2 failed', () => server.deploymentReport('d2', 'failed'));
  expect(failed.code).toBe('confirm_timeout');
  await server.until('d2 rolled back', () => server.deploymentReport('d2', 'rolled_back'));
});

test('a deployment that is superseded before its confirmation keeps its files and reports no success', async () => {
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  server.supersede('d1');
  device.start();
  await server.until('d1 confirming', () => server.deploymentReport('d1', 'confirming'));
  await server.deploy(await makeBundle({ a: '2' }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  expect(server.states('d1')).toEqual(['delivering', 'applying', 'confirming']);
  expect(await device.list('backups')).toHaveLength(1);
});

test('a newer deployment replaces one whose download is stuck', async () => {
  const stuck = await makeBundle({ a: 'stuck' });
  await server.deploy(stuck, 'd1');
  server.intercept((_request, _response, path) => path === `/bundles/${stuck.digest}`);
  device.start();
  await server.until('the download hangs', () => server.requests.some(({ path }) => path === `/bundles/${stuck.digest}`));
  await server.deploy(await makeBundle({ a: 'next' }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  expect(server.states('d1')).toEqual(['delivering']);
  expect(await device.current()).toEqual({ a: '644 next' });
});

test('the agent keeps the last five backups only, and the releases that a rollback needs', async () => {
  device.start();
  for (let n = 1; n <= 7; n += 1) {
    await server.deploy(await makeBundle({ a: `version ${n}` }), `d${n}`);
    await server.until(`d${n} succeeded`, () => server.deploymentReport(`d${n}`, 'succeeded'));
  }
  await expect.poll(() => device.list('releases'), { timeout: 60_000 }).toHaveLength(2);
  const backups = await device.list('backups');
  expect(backups.map((name) => name.split('-')[0])).toEqual(['000002', '000003', '000004', '000005', '000006']);
});

test('a full disk fails the deployment with no_space and leaves nothing staged, and the agent retries when there is space', async () => {
  for (const point of ['during_download', 'during_extract', 'during_backup']) {
    const own = await createDevice(server.url);
    try {
      await server.deploy(await makeBundle({ a: `before ${point}` }), `first-${point}`);
      const setUp = own.start();
      await server.until('first', () => server.deploymentReport(`first-${point}`, 'succeeded'));
      await setUp.stop();
      await server.deploy(await makeBundle({ a: `after ${point}` }), point);
      own.start({ BELLWETHER_AGENT_FAULT: `${point}:ENOSPC` });
      const failed = await server.until('no space', () => server.deploymentReport(point, 'failed'));
      expect(failed.code).toBe('no_space');
      await server.until('tried again', () => server.deploymentReport(point, 'succeeded'));
      expect(server.states(point).slice(0, 3)).toEqual(['delivering', 'failed', 'rolled_back']);
      expect(await own.current()).toEqual({ a: `644 after ${point}` });
      expect(await own.list('staging')).toEqual([]);
    } finally {
      await own[Symbol.asyncDispose]();
    }
  }
});

test('after a 304 for an unchanged desired state the agent polls again, one poll at a time', async () => {
  let open = 0;
  let most = 0;
  server.intercept((_request, response, path) => {
    if (path !== '/desired') return false;
    open += 1;
    most = Math.max(most, open);
    response.once('close', () => {
      open -= 1;
    });
    return false;
  });
  await server.desire({});
  device.start({ BELLWETHER_AGENT_WAIT_SECONDS: '1' });
  await server.until('two unchanged answers', () => server.requests.filter(({ status }) => status === 304).length >= 2);
  expect(most).toBe(1);
  expect(server.requests.filter(({ path, status }) => path === '/desired' && status === 200)).toHaveLength(1);
});

test('after a 500 or 429 the agent retries with a pause, the one that Retry-After names', async () => {
  const at: number[] = [];
  server.intercept((_request, response, path) => {
    if (path !== '/desired') return false;
    at.push(performance.now());
    if (at.length === 1) json(response, 500, { code: 'internal' });
    else if (at.length === 2) json(response, 429, { code: 'rate_limited' }, { 'retry-after': '1' });
    return at.length <= 2;
  });
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect((at[2] ?? 0) - (at[1] ?? 0)).toBeGreaterThanOrEqual(999);
});

test('a stop during an open poll and a running hook ends the process within seconds, and the next start continues', async () => {
  await device.hook('slow', 'test -e $ROOT/again || { touch $ROOT/again; sleep 300; }');
  await server.deploy(await makeBundle({ a: '1' }, { hooks: { before: 'slow' } }), 'd1');
  const first = device.start();
  await expect.poll(() => stat(device.path('again')).catch(() => null), { timeout: 60_000 }).not.toBe(null);
  const startedAt = performance.now();
  expect(await first.stop()).toEqual({ code: 0, signal: null });
  expect(performance.now() - startedAt).toBeLessThan(5000);
  expect((await device.state()).attempt?.interruptions).toBe(0);
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
});

test('a second agent on the same root is refused', async () => {
  device.start();
  await server.until('the first polls', () => server.requests.some(({ path }) => path === '/desired'));
  const second = device.start();
  expect((await second.ended).code).toBe(1);
  expect(second.log()).toContain('another agent runs on this root');
});

/** A killed process may stay a zombie after the death of its parent, so a zombie counts as ended. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return status !== null && !/\) [ZX] /.test(status);
}
