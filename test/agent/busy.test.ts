import { chmod, readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readBusy } from '../../agent/deploy/busy.ts';
import type { AgentCommand } from '../../src/wire/agent.ts';
import { type AgentServer, json, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { createDevice, type Device } from './device.ts';

const NOW = new Date('2026-03-01T12:00:00.000Z');
const DEADLINE = new Date('2026-03-01T13:00:00.000Z');

test.each([
  ['a minute', 'shop is open', '12:01:00.000', 'shop is open'],
  ['the seconds it names', 'shop is open\nfor 90', '12:01:30.000', 'shop is open'],
  ['the time it names, in any zone', 'two lines\nof reason\nuntil 2026-03-01T14:30:00+02:00\r\n', '12:30:00.000', 'two lines\nof reason'],
  ['at least five seconds', 'until 2026-03-01T11:00:00Z', '12:00:05.000', ''],
  ['the deadline at the latest', 'for 999999999999', '13:00:00.000', ''],
  ['a minute when it cannot be read', 'until tomorrow', '12:01:00.000', 'until tomorrow'],
  ['a minute without output', '', '12:01:00.000', ''],
])('a busy device waits %s', (_title, stdout, time, reason) => {
  expect(readBusy(stdout, NOW, DEADLINE)).toEqual({ until: new Date(`2026-03-01T${time}Z`), reason });
});

test('a deadline within five seconds applies, and a long reason is cut between two characters', () => {
  const deadline = new Date(NOW.getTime() + 1000);
  const { until, reason } = readBusy(`${'x'.repeat(499)}\u{1F512} closed`, NOW, deadline);
  expect(until).toEqual(deadline);
  expect(reason).toBe(`${'x'.repeat(499)}\uFFFD`);
});

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

/** A hook that records each call and reports a busy device until `$ROOT/free` exists. */
const busyUnlessFree = (output: string) => `echo asked >> $ROOT/asked; test -e $ROOT/free || { ${output}; exit 75; }`;
const timesAsked = async () => (await readFile(device.path('asked'), 'utf8').catch(() => '')).split('\n').length - 1;
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const deferrals = (deploymentId: string) =>
  server.reports().flatMap((report) => (report.kind === 'deferred' && report.deploymentId === deploymentId ? [report] : []));
const logs = () => server.reports().flatMap((report) => (report.kind === 'log' ? [`${report.level} ${report.message}`] : []));
const command = (id: string, type: string, payload: Record<string, unknown> = {}): AgentCommand => ({
  ...{ id, type, payload },
  expiresAt: inMs(60_000),
});
const answered = (id: string) =>
  server.until(`${id} completed`, () =>
    server.reports().some((report) => report.kind === 'command' && report.commandId === id && report.state === 'completed'),
  );

test('a busy device defers the deployment, reports until when and why, runs commands meanwhile, and begins once it is free and an operator asks', async () => {
  const beginBefore = inMs(3_600_000);
  await device.hook('may-update', busyUnlessFree('echo till is open; echo noise >&2; echo for 7200'));
  await device.hook('close', 'touch $ROOT/free');
  const bundle = await makeBundle({ a: '1' });
  await server.deploy(bundle, 'd1', { beginBefore });
  device.start();
  await server.until('the deferral', () => deferrals('d1').length > 0);
  await server.deploy(bundle, 'd1', { beginBefore, commands: [command('c1', 'run_hook', { hook: 'close' })] });
  await answered('c1');
  expect(deferrals('d1')).toMatchObject([{ until: beginBefore, reason: 'till is open' }]);
  expect(server.states('d1')).toEqual([]);
  expect(await device.current()).toBe(null);
  await server.deploy(bundle, 'd1', { beginBefore, commands: [command('c2', 'update_config')] });
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect(await timesAsked()).toBe(2);
  expect(deferrals('d1')).toHaveLength(1);
});

test('the agent runs the hook again after the wait that it named', async () => {
  await device.hook('may-update', 'test -e $ROOT/asked && exit 0; touch $ROOT/asked; echo for 1; exit 75');
  await server.deploy(await makeBundle({ a: '1' }), 'd1', { beginBefore: inMs(60_000) });
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const [deferral] = deferrals('d1');
  expect(deferrals('d1')).toHaveLength(1);
  expect(Date.parse(server.deploymentReport('d1', 'delivering')?.at ?? '')).toBeGreaterThanOrEqual(Date.parse(deferral?.until ?? ''));
});

test('a device that stays busy begins at the deadline, by the server’s clock and not before, also under force', async () => {
  const ahead = () => new Date(Date.now() + 1_800_000);
  server.intercept((_request, response, path) => {
    response.setHeader('date', ahead().toUTCString());
    if (path !== '/time') return false;
    json(response, 200, { now: ahead().toISOString() });
    return true;
  });
  await device.hook('may-update', busyUnlessFree('echo always busy; echo for 7200'));
  device.start();
  await server.until('the first poll', () => server.requests.some(({ path }) => path === '/desired'));
  const beginBefore = new Date(ahead().getTime() + 3000).toISOString();
  await server.deploy(await makeBundle({ a: '1' }), 'd1', { beginBefore, force: true });
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  expect(deferrals('d1')).toMatchObject([{ until: beginBefore, reason: 'always busy' }]);
  expect(Date.parse(server.deploymentReport('d1', 'delivering')?.at ?? '')).toBeGreaterThanOrEqual(Date.parse(beginBefore));
  expect(await timesAsked()).toBe(1);
  await server.until('the log', () =>
    logs().includes(`info The hook "may-update" was skipped: this deployment had to begin before ${beginBefore}.`),
  );
});

test('a newer deployment replaces the waiting one, and one that allows no delay begins without the hook', async () => {
  await device.hook('may-update', busyUnlessFree('echo till is open'));
  await server.deploy(await makeBundle({ a: '1' }), 'd1', { beginBefore: inMs(3_600_000) });
  device.start();
  await server.until('the deferral', () => deferrals('d1').length > 0);
  await server.deploy(await makeBundle({ a: '2' }), 'd2', { beginBefore: inMs(3_600_000) });
  await server.until('the deferral of the newer one', () => deferrals('d2').length > 0);
  await server.deploy(await makeBundle({ a: '3' }), 'd3');
  await server.until('d3 succeeded', () => server.deploymentReport('d3', 'succeeded'));
  expect([server.states('d1'), server.states('d2')]).toEqual([[], []]);
  expect(await timesAsked()).toBe(2);
  await server.until('the log', () => logs().includes('info The hook "may-update" was skipped: this deployment allows no delay.'));
});

test('a deferral during an outage of the server survives a power cut, and the next start runs the hook again', async () => {
  await device.hook('may-update', busyUnlessFree('echo till is open'));
  server.intercept((_request, response, path) => {
    if (path !== '/reports') return false;
    json(response, 503, { code: 'unavailable' });
    return true;
  });
  await server.deploy(await makeBundle({ a: '1' }), 'd1', { beginBefore: inMs(3_600_000) });
  const first = device.start();
  await expect.poll(() => readFile(device.path('outbox.jsonl'), 'utf8'), { timeout: 60_000 }).toContain('"deferred"');
  await first.kill();
  expect(deferrals('d1')).toEqual([]);
  server.intercept(null);
  device.start();
  await server.until('both deferrals', () => deferrals('d1').length === 2);
  expect(await timesAsked()).toBe(2);
  expect(server.states('d1')).toEqual([]);
});

test('a hook that fails, hangs or cannot be run does not delay the update, and the agent reports it', async () => {
  await device.hook('may-update', "printf 'a\\000b'; exit 1");
  await server.deploy(await makeBundle({ a: '1' }), 'd1', { beginBefore: inMs(3_600_000) });
  device.start({ BELLWETHER_AGENT_HOOK_TIMEOUT_SECONDS: '0.5' });
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  await device.hook('may-update', 'trap "exit 75" TERM; while true; do sleep 0.1; done');
  await server.deploy(await makeBundle({ a: '2' }), 'd2', { beginBefore: inMs(3_600_000) });
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  await chmod(device.path('hooks', 'may-update'), 0o644);
  await server.deploy(await makeBundle({ a: '3' }), 'd3', { beginBefore: inMs(3_600_000) });
  await server.until('d3 succeeded', () => server.deploymentReport('d3', 'succeeded'));
  const begins = 'warn The deployment begins although the busy check failed: the hook "may-update"';
  for (const why of ['ended with code 1:\na\uFFFDb', 'took longer than 0.5 s and was killed', 'is not executable'])
    await server.until(why, () => logs().includes(`${begins} ${why}`));
  expect(server.reports().filter(({ kind }) => kind === 'deferred')).toEqual([]);
});
