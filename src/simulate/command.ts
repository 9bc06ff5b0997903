import { randomInt } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { numberFrom, wholeNumber } from '../cli/numbers.ts';
import { messageOf, Problem } from '../errors.ts';
import { DeviceId } from '../wire/agent.ts';
import { DEVICE_ID_RULE, issueText, nameFault } from '../wire/names.ts';
import { type Proxies, readProxies } from '../wire/proxies.ts';
import { tokenText } from '../wire/text/secret-text.ts';
import { type Behaviour, behaviourOf } from './behaviour.ts';
import type { DeviceKey } from './device.ts';
import { enrollDevices } from './enroll.ts';
import { METRICS, type Metric } from './metrics.ts';
import { type Counts, startProgress } from './progress.ts';
import { runSimulation } from './run.ts';

type Flags = Partial<Behaviour> & {
  server: string;
  devices?: number;
  enroll?: string;
  prefix: string;
  keys?: string;
  latency: number;
  json?: boolean;
};

const Token = tokenText({ min: 1, max: 200 });
const KeysFile = z.array(z.strictObject({ id: DeviceId, apiKey: Token })).min(1);
const MAX_MS = 3_600_000;
const MAX_SECONDS = 86_400;
const MAX_SEED = 2 ** 32 - 1;

const share = numberFrom(0, 1);
const milliseconds = wholeNumber(0, MAX_MS);
const seconds = numberFrom(0.1, MAX_SECONDS);

/** Adds `simulate`, which runs many light devices in this process until a signal stops it. */
export function registerSimulateCommand(program: Command, env: Record<string, string | undefined>): void {
  program
    .command('simulate')
    .description('run simulated devices that poll, apply and report like real ones but write nothing; the service marks them as simulated')
    .option('--server <url>', 'address of the service', 'http://127.0.0.1:8080')
    .option('--devices <n>', 'number of devices (default: 10, or all of the keys file)', wholeNumber(1, 100_000))
    .option('--enroll <token>', 'enrol them with this token, which needs as many uses', enrolmentToken)
    .option('--prefix <id>', 'ids are <id>-0001 and so on', prefix, 'sim')
    .option('--keys <file>', 'JSON list of {id, apiKey}; --enroll writes it, so that the same devices can run again')
    .option('--fail-rate <share>', 'share of attempts, 0 to 1, in which the health check fails and the device rolls back', share)
    .option('--refuse-rate <share>', 'share of attempts that the device refuses before any change', share)
    .option('--latency <ms>', 'time that a device takes to apply, plus or minus half', milliseconds, 0)
    .option('--slow-rate <share>', 'share of attempts that take --slow-ms longer', share)
    .option('--slow-ms <ms>', 'extra time of slow attempts (default: 5000)', milliseconds)
    .option('--offline-rate <share>', 'share of devices, always the same ones, that disconnect and return repeatedly', share)
    .option('--offline-seconds <s>', 'length of each offline and online period, plus or minus half (default: 30)', seconds)
    .option('--telemetry-seconds <s>', `interval of telemetry: ${METRICS.join(', ')} in percent (default: never)`, seconds)
    .option('--drift-rate <share>', 'share of devices on which a metric rises after an update (default: 0; with --drift-when 1)', share)
    .option('--drift-metric <name>', `the metric: ${METRICS.join(', ')} (default: error_rate)`, metric)
    .option('--drift-when <regex>', 'only while a file of the running bundle matches', pattern)
    .option('--fail-when <regex>', 'fail the health check if a file of the bundle matches', pattern)
    .option('--fail-when-share <share>', 'share of devices, always the same ones, to which --fail-when applies (default: 1)', share)
    .option('--seed <n>', 'repeat a run: the same devices with the same seed behave alike', wholeNumber(0, MAX_SEED))
    .option('--json', 'print only one line of JSON at the end')
    .action((flags: Flags) => simulate(flags, readProxies(env)));
}

async function simulate(flags: Flags, proxies: Proxies): Promise<void> {
  const behaviour = behaviourOf({ ...flags, latencyMs: flags.latency, seed: flags.seed ?? randomInt(MAX_SEED) });
  const print = (line: string): void => void (flags.json === true || process.stdout.write(`${line}\n`));
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  const startedMs = performance.now();
  try {
    const devices = await devicesOf(flags, proxies, stop.signal);
    print(`seed ${behaviour.seed}`);
    const progress = startProgress(devices.length, print);
    await runSimulation({ ...behaviour, server: flags.server, proxies, devices, signal: stop.signal, onState: progress.take }).finally(
      progress.end,
    );
    if (flags.json === true)
      process.stdout.write(`${JSON.stringify(summaryOf(devices.length, progress.counts, behaviour.seed, startedMs))}\n`);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  }
}

function summaryOf(devices: number, counts: Counts, seed: number, startedMs: number) {
  const rssMb = Math.round(process.memoryUsage.rss() / 2 ** 20);
  return { devices, ...counts, seed, seconds: Math.round((performance.now() - startedMs) / 100) / 10, rssMb };
}

/** @throws Problem `usage`, `invalid_keys`, or the service's refusal to enrol */
async function devicesOf(flags: Flags, proxies: Proxies, signal: AbortSignal): Promise<DeviceKey[]> {
  const { server, enroll: token, keys } = flags;
  if (token !== undefined) {
    const enrolled = await enrollDevices({ server, proxies, token, count: flags.devices ?? 10, prefix: flags.prefix, signal });
    if (keys !== undefined) await writeFile(keys, `${JSON.stringify(enrolled, null, 1)}\n`, { mode: 0o600 });
    return enrolled;
  }
  if (keys === undefined) throw new Problem('usage', 'Cannot simulate devices without their keys: give --enroll or --keys');
  const known = await readKeys(keys);
  if (flags.devices !== undefined && flags.devices > known.length)
    throw new Problem('usage', `Cannot simulate ${flags.devices} devices: "${keys}" has keys of ${known.length}`);
  return known.slice(0, flags.devices);
}

async function readKeys(file: string): Promise<DeviceKey[]> {
  const refuse = (why: string, cause?: unknown) =>
    new Problem('invalid_keys', `Cannot read the keys file "${file}": ${why}; must be a JSON list of {id, apiKey}`, { cause });
  const value: unknown = await readFile(file, 'utf8')
    .then((text) => JSON.parse(text))
    .catch((cause: unknown) => {
      throw refuse(messageOf(cause), cause);
    });
  const { data, error } = KeysFile.safeParse(value);
  if (data === undefined) throw refuse(error.issues.map((issue) => `/${issue.path.join('/')} ${issueText(issue)}`).join('; '));
  return data;
}

function enrolmentToken(text: string): string {
  const { data, error } = Token.safeParse(text);
  if (data === undefined) throw new InvalidArgumentError(error?.issues[0]?.message ?? 'is not valid');
  return data;
}

function prefix(text: string): string {
  if (!DeviceId.safeParse(`${text}-000001`).success)
    throw new InvalidArgumentError(`must begin a device id, which ${nameFault(DEVICE_ID_RULE, text)}`);
  return text;
}

function metric(text: string): Metric {
  const known = METRICS.find((name) => name === text);
  if (known === undefined) throw new InvalidArgumentError(`must be ${METRICS.join(', ')}`);
  return known;
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError(`must be a regular expression: ${messageOf(error)}`);
  }
}
