import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { registerSimulateCommand } from '../../src/simulate/command.ts';
import { startAgentServer } from '../support/agent-server.ts';
import { eventually } from '../support/service.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

async function refusalOf(...args: string[]): Promise<string> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  registerSimulateCommand(program, {});
  const ended = program.parseAsync(['simulate', ...args], { from: 'user' });
  return ended.then(
    () => 'it ran',
    (error: Error) => error.message,
  );
}

test.each([
  [['--fail-rate', '1.5'], /--fail-rate <share>' argument '1.5' is invalid. must be a number from 0 to 1/],
  [['--refuse-rate', '-1'], /must be a number from 0 to 1/],
  [['--slow-rate', ''], /must be a number from 0 to 1/],
  [['--offline-rate', 'half'], /must be a number from 0 to 1/],
  [['--devices', '0'], /must be a whole number from 1 to 100000/],
  [['--latency', '1.5'], /must be a whole number from 0 to 3600000/],
  [['--offline-seconds', '0'], /must be a number from 0.1 to 86400/],
  [['--telemetry-seconds', '1e3'], /must be a number from 0.1 to 86400/],
  [['--drift-metric', 'disk'], /must be cpu, memory, error_rate/],
  [['--fail-when', '(['], /must be a regular expression: .*Unterminated character class/],
  [['--prefix', 'Till 1'], /must begin a device id/],
  [['--seed', '-1'], /must be a whole number from 0 to 4294967295/],
  [['--drift-rate', '0.5'], /Cannot let metrics drift that no device reports/],
  [['--fail-when-share', '0.5'], /Cannot use a share of failing devices without a pattern/],
  [[], /give --enroll or --keys/],
  [['--keys', '/nowhere/keys.json'], /Cannot read the keys file "\/nowhere\/keys.json".*must be a JSON list/],
])('simulate %j is refused with what is allowed', async (args, refusal) => {
  expect(await refusalOf(...args)).toMatch(refusal);
});

test('simulate --json says nothing but one line at the end: what happened, the seed, and what it took', async () => {
  await using opened = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'bellwether-simulate-'));
  opened.defer(() => rm(dir, { recursive: true }));
  const server = await startAgentServer();
  opened.defer(() => server.close());
  const keys = join(dir, 'keys.json');
  await writeFile(keys, JSON.stringify([{ id: 'terminal-1', apiKey: 'device-api-key' }]));
  expect(await refusalOf('--keys', keys, '--devices', '2')).toContain('has keys of 1');
  const args = [MAIN, 'simulate', '--server', server.url, '--keys', keys, '--telemetry-seconds', '0.1', '--seed', '5', '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const ended = once(child, 'close');
  opened.defer(() => void child.kill('SIGKILL'));
  await eventually('a sample', async () => server.reports().some(({ kind }) => kind === 'telemetry'));
  // It polls again once its first poll was answered.
  await eventually('the second poll', async () => server.requests.filter(({ path }) => path === '/desired').length > 1);
  child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
  const [output, complaints] = await said;
  expect(complaints).toBe('');
  expect(JSON.parse(output)).toEqual({
    ...{ devices: 1, ready: 1, succeeded: 0, failed: 0, refused: 0, rolledBack: 0, away: 0, troubles: 0, seed: 5 },
    seconds: expect.any(Number),
    rssMb: expect.any(Number),
  });
});
