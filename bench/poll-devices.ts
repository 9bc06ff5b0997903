import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import type { DeviceKey } from '../src/simulate/device.ts';
import { note, report, round } from './support/numbers.ts';
import { cpuSeconds, familyCpuSeconds, lineOf, type Program, startProgram } from './support/processes.ts';
import { LoadDone, type LoadOrder } from './support/programs/poll-load-messages.ts';
import { registerDevices } from './support/register.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

const READY_TIMEOUT_MS = 20_000;
/** Requests per second of one device that the service accepts. It must refuse none here. */
const RATE_LIMIT_DEVICE = '1000000';

type Measured = LoadDone & { cpu: number; postgresCpu: number };

/** Measures polls per second of devices with an unchanged desired state. A bare route of the same framework with the same answer is the baseline. */
export async function benchPollDevices(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      devices: { type: 'string', default: '2000' },
      connections: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '10' },
      profile: { type: 'string' },
    },
  });
  const count = z.coerce.number().int().min(1).max(100_000).parse(values.devices);
  const connections = z.coerce.number().int().min(1).max(10_000).parse(values.connections);
  const seconds = z.coerce.number().min(0.1).max(600).parse(values.seconds);
  await using stack = await openStack({ profileDir: values.profile, env: { RATE_LIMIT_DEVICE }, signal });
  await stack.host.createRepository('fleet');
  const source = await stack.createSource('fleet', 'fleet');
  const polls = await withEtags(stack, await registerDevices(stack, source.id, count));
  await using load = startProgram('bench/support/programs/poll-load.ts', { messages: true });
  await using bare = startProgram('bench/support/programs/bare-route.ts');
  const bareUrl = await lineOf(bare, (line) => (line.startsWith('http://') ? line : undefined), READY_TIMEOUT_MS);
  const measure = async (url: string, pid: number): Promise<Measured> => {
    const order = { url, polls, connections };
    // Warm-up: Node compiles code in the first seconds.
    await run(load, { ...order, seconds: Math.min(seconds, 2) }, signal);
    const before = { cpu: await cpuSeconds(pid), postgres: await familyCpuSeconds(stack.postgresPid) };
    const done = await run(load, { ...order, seconds }, signal);
    return {
      ...done,
      cpu: (await cpuSeconds(pid)) - before.cpu,
      postgresCpu: (await familyCpuSeconds(stack.postgresPid)) - before.postgres,
    };
  };
  note(`polls of ${count} devices over ${connections} connections`);
  const service = await measure(stack.url, stack.service.pid);
  note('the bare route');
  const limit = await measure(bareUrl, bare.pid);
  printResults(count, connections, service, limit);
}

/** Adds the ETag that each device knows, from one poll without a tag. */
async function withEtags({ url }: Stack, keys: readonly DeviceKey[]): Promise<LoadOrder['polls']> {
  const first = keys[0];
  const answer = await fetch(`${url}/agent/v1/desired`, { headers: { 'x-device-id': first?.id ?? '', 'x-api-key': first?.apiKey ?? '' } });
  await answer.arrayBuffer();
  // All devices are new, so all have the same empty desired state.
  return keys.map((key) => ({ ...key, etag: answer.headers.get('etag') ?? '' }));
}

async function run({ child, output }: Program, order: LoadOrder, signal: AbortSignal): Promise<LoadDone> {
  child.send(order);
  const ended = once(child, 'close', { signal }).then(() => {
    throw new Error(`The process that polls ended:\n${output()}`);
  });
  ended.catch(() => undefined);
  const [message] = await Promise.race([once(child, 'message', { signal }), ended]);
  return LoadDone.parse(message);
}

function printResults(devices: number, connections: number, service: Measured, bare: Measured): void {
  const rate = (measured: Measured) => Math.round(measured.unchanged / measured.seconds);
  const perCpuSecond = (measured: Measured) => Math.round(measured.unchanged / measured.cpu);
  const rows = [
    { what: 'polls per second', seen: rate(service), limit: TARGETS.devicePolls },
    { what: 'polls per second of its processor time', seen: perCpuSecond(service) },
    { what: 'bare route, requests per second', seen: rate(bare) },
    { what: 'bare route, per second of its processor time', seen: perCpuSecond(bare) },
    { what: 'share of the bare route, per second of processor', seen: round(perCpuSecond(service) / perCpuSecond(bare), 2) },
    { what: 'processor: PostgreSQL, per 1,000 polls', seen: `${round((service.postgresCpu / service.unchanged) * 1000, 3)} s` },
    { what: 'answers that were not "unchanged"', seen: service.others },
  ];
  report(`${devices} unchanged devices over ${connections} connections`, rows, {
    ...{ bench: 'poll-devices', devices, connections, unchanged: service.unchanged, others: service.others },
    ...{ pollsPerSecond: rate(service), pollsPerCpuSecond: perCpuSecond(service) },
    ...{ barePerSecond: rate(bare), barePerCpuSecond: perCpuSecond(bare) },
    ratioToBarePerCpuSecond: round(perCpuSecond(service) / perCpuSecond(bare), 3),
    serverCpuSeconds: round(service.cpu, 2),
    postgresCpuSeconds: round(service.postgresCpu, 2),
  });
}
