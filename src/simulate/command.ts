import { readFile, writeFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { messageOf, Problem } from '../errors.ts';
import { DeviceId } from '../wire/agent.ts';
import type { DeviceKey } from './device.ts';
import { enrollDevices } from './enroll.ts';
import { runSimulation } from './run.ts';

type Flags = { server: string; devices?: number; enroll?: string; prefix: string; keys?: string; failRate: number; latency: number };

const KeysFile = z.array(z.strictObject({ id: DeviceId, apiKey: z.string().min(1) })).min(1);
const PROGRESS_MS = 1_000;

/** Adds `simulate`: many light devices in this process, until it is interrupted. */
export function registerSimulateCommand(program: Command): void {
  program
    .command('simulate')
    .description('simulated devices that poll, apply and report like real ones but write nothing')
    .option('--server <url>', 'address of the service', 'http://127.0.0.1:8080')
    .option('--devices <n>', 'how many (default: 10, or all of the keys file)', count)
    .option('--enroll <token>', 'enrol them with this token, which needs as many uses')
    .option('--prefix <id>', 'they are called <id>-0001 and so on', 'sim')
    .option('--keys <file>', 'JSON list of {id, apiKey}; with --enroll it is written, so that the same devices can come back')
    .option('--fail-rate <share>', 'share of deployments that fail and go back, 0 to 1', share, 0)
    .option('--latency <ms>', 'how long a device takes to apply', milliseconds, 0)
    .action((flags: Flags) => simulate(flags));
}

async function simulate(flags: Flags): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  try {
    const devices = await devicesOf(flags, stop.signal);
    const { server, failRate, latency: latencyMs } = flags;
    const progress = startProgress(devices.length);
    await runSimulation({ server, devices, failRate, latencyMs, signal: stop.signal, onState: progress.take }).finally(progress.end);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  }
}

/** @throws Problem `usage`, `invalid_keys`, or the service's refusal to enrol */
async function devicesOf(flags: Flags, signal: AbortSignal): Promise<DeviceKey[]> {
  const { server, enroll: token, keys, prefix } = flags;
  if (token !== undefined) {
    const enrolled = await enrollDevices({ server, token, count: flags.devices ?? 10, prefix, signal });
    if (keys !== undefined) await writeFile(keys, `${JSON.stringify(enrolled, null, 1)}\n`, { mode: 0o600 });
    return enrolled;
  }
  if (keys === undefined) throw new Problem('usage', 'Cannot simulate devices without their keys: give --enroll or --keys');
  const known = await readKeys(keys);
  return known.slice(0, flags.devices ?? known.length);
}

async function readKeys(file: string): Promise<DeviceKey[]> {
  try {
    return KeysFile.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw new Problem('invalid_keys', `Cannot read the keys file "${file}": ${messageOf(cause)}; must be a JSON list of {id, apiKey}`, {
      cause,
    });
  }
}

/** A line on stdout whenever a second brought something new, and one at the end. */
function startProgress(devices: number): { take: NonNullable<Parameters<typeof runSimulation>[0]['onState']>; end(): void } {
  const counts = { ready: 0, succeeded: 0, failed: 0, rolled_back: 0, troubles: 0 };
  let told = '';
  let lastTrouble = '';
  const tell = (): void => {
    const line = `devices ${devices}  ready ${counts.ready}  succeeded ${counts.succeeded}  failed ${counts.failed}  rolled back ${counts.rolled_back}  troubles ${counts.troubles}`;
    if (line !== told) process.stdout.write(`${line}${lastTrouble === '' ? '' : `  (${lastTrouble})`}\n`);
    told = line;
    lastTrouble = '';
  };
  const timer = setInterval(tell, PROGRESS_MS);
  return {
    take: (event) => {
      if (event.kind === 'ready') counts.ready += 1;
      else if (event.kind === 'trouble')
        [counts.troubles, lastTrouble] = [counts.troubles + 1, event.problem.replaceAll(/\s+/g, ' ').slice(0, 200)];
      else if (event.state === 'succeeded' || event.state === 'failed' || event.state === 'rolled_back') counts[event.state] += 1;
    },
    end: () => {
      clearInterval(timer);
      tell();
    },
  };
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100_000) throw new InvalidArgumentError('must be a whole number from 1 to 100000');
  return value;
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) throw new InvalidArgumentError('must be a number from 0 to 1');
  return value;
}

function milliseconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 3_600_000)) throw new InvalidArgumentError('must be from 0 to 3600000');
  return value;
}
