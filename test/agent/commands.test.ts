import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AgentCommand } from '../../src/wire/agent.ts';
import { type AgentServer, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { createDevice, type Device } from './device.ts';

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

function command(id: string, type: string, payload: Record<string, unknown> = {}, ttlMs = 60_000): AgentCommand {
  return { id, type, payload, expiresAt: new Date(Date.now() + ttlMs).toISOString() };
}

function answers(id: string) {
  return server.reports().flatMap((report) => (report.kind === 'command' && report.commandId === id ? [report] : []));
}

const outcome = (id: string) => server.until(`an answer to ${id}`, () => answers(id).find(({ state }) => state !== 'sent'));

test('each type of command does its work or reports why not', async () => {
  await device.hook('check', 'echo fine');
  await device.hook('hello', 'echo hello from "$BELLWETHER_DEVICE_ID"');
  await server.deploy(await makeBundle({ a: '1' }, { health: { hook: 'check' } }), 'd1');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const commands = [
    command('c1', 'ping'),
    command('c2', 'health_check'),
    command('c3', 'status_request'),
    command('c4', 'update_config'),
    command('c5', 'restart'),
    command('c6', 'run_hook', { hook: 'hello' }),
    command('c7', 'run_hook', { hook: '../../bin/sh' }),
    command('c8', 'run_script', { script: 'reboot' }),
    command('c9', 'ping', {}, -1000),
    command('c10', 'constructor'),
  ];
  await server.desire({ commands });
  expect(await outcome('c1')).toMatchObject({ state: 'completed', result: { pong: true } });
  expect(await outcome('c2')).toMatchObject({ state: 'completed', result: { healthy: true, output: 'fine' } });
  expect(await outcome('c3')).toMatchObject({ state: 'completed', result: { runningDigest: expect.any(String), deployment: null } });
  expect(await outcome('c4')).toMatchObject({ state: 'completed', result: { changed: [] } });
  expect(await outcome('c5')).toMatchObject({ state: 'failed', result: { detail: 'the hook "restart" is not installed on this device' } });
  expect(await outcome('c6')).toMatchObject({ state: 'completed', result: { output: 'hello from terminal-1' } });
  expect(await outcome('c7')).toMatchObject({ state: 'failed', result: { error: 'invalid_payload' } });
  expect(await outcome('c8')).toMatchObject({ state: 'failed', result: { error: 'unknown_command' } });
  expect(await outcome('c9')).toMatchObject({ state: 'failed', result: { error: 'expired' } });
  expect(await outcome('c10')).toMatchObject({ state: 'failed', result: { error: 'unknown_command' } });
  expect(answers('c1').map(({ state }) => state)).toEqual(['sent', 'completed']);
});

test('a command that the server lists again, even to a restarted agent, runs once', async () => {
  await device.hook('count', 'echo x >> $ROOT/count');
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  const first = device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const count = command('c1', 'run_hook', { hook: 'count' });
  await server.desire({ commands: [count] });
  await outcome('c1');
  await server.desire({ commands: [count, command('c2', 'ping')] });
  await outcome('c2');
  await first.stop();
  device.start();
  await server.desire({ commands: [count, command('c3', 'ping')] });
  await outcome('c3');
  expect(await readFile(device.path('count'), 'utf8')).toBe('x\n');
});

test('the next start reports a command during which the agent was killed; a restart counts as completed', async () => {
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  const started = 'touch $ROOT/started; kill -9 $PPID';
  await device.hook('hang', started);
  await device.hook('restart', started);
  const first = device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  await server.desire({ commands: [command('c1', 'run_hook', { hook: 'hang' })] });
  expect((await first.ended).signal).toBe('SIGKILL');
  await server.desire({ commands: [command('c2', 'restart')] });
  const second = device.start();
  expect(await outcome('c1')).toMatchObject({ state: 'failed', result: { error: 'interrupted' } });
  expect((await second.ended).signal).toBe('SIGKILL');
  device.start();
  expect(await outcome('c2')).toMatchObject({ state: 'completed', result: { restarted: true } });
});

test('a long command does not delay a new deployment', async () => {
  await device.hook('long', 'touch $ROOT/long; while ! test -e $ROOT/enough; do sleep 0.05; done');
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  await device.hook('done', 'touch $ROOT/enough');
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  await server.desire({ commands: [command('c1', 'run_hook', { hook: 'long' })] });
  await server.until('c1 begun', () => answers('c1').length > 0);
  await server.deploy(await makeBundle({ a: '2' }, { hooks: { after: 'done' } }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  await outcome('c1');
});
