import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ENROLL_TOKEN, makeBundle, startAgentServer } from '../test/support/agent-server.ts';
import { median, report, round } from './support/numbers.ts';
import { cpuSeconds, lineOf, memoryMb, startProgram } from './support/processes.ts';

/** Measuring time for the processor use of an idle agent, ms. */
const IDLE_MS = 3_000;
/** Pause before the memory is read, ms, in which the agent may release memory. */
const SETTLE_MS = 500;
const READY_TIMEOUT_MS = 20_000;

type Measured = { startMs: number; residentMb: number; peakMb: number; idleCpuShare: number };

/** Measures the agent's resident memory and the time from its start to its first long poll. A Node that only prints a line is the baseline. */
export async function benchAgent(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({ args, options: { runs: { type: 'string', default: '5' } } });
  const runs = z.coerce.number().int().min(1).max(1_000).parse(values.runs);
  const agents: Measured[] = [];
  const bare: Pick<Measured, 'startMs' | 'residentMb'>[] = [];
  for (let n = 0; n < runs; n++) {
    signal.throwIfAborted();
    agents.push(await oneAgent(signal));
    bare.push(await bareNode());
  }
  printResults(runs, agents, bare);
}

/** Measures an agent's second start and its idle long poll. Its first start enrols it and applies a bundle of a few files. */
async function oneAgent(signal: AbortSignal): Promise<Measured> {
  const opened = new AsyncDisposableStack();
  await using _closing = opened;
  const server = await startAgentServer();
  opened.defer(() => server.close());
  const root = await mkdtemp(join(tmpdir(), 'bellwether-bench-agent-'));
  opened.defer(() => rm(root, { recursive: true, force: true }));
  const args = ['--server', server.url, '--root', root, '--enroll', ENROLL_TOKEN, '--device-id', 'terminal-1', '--log-level', 'warn'];
  const bundle = await makeBundle({ 'app.json': '{"vlan":10}', 'config/a.yaml': 'a: 1\n', 'config/b.yaml': 'b: 2\n' });
  {
    await using _first = startProgram('agent/main.ts', { args });
    await server.deploy(bundle, 'deployment-1');
    await server.until('the first start to apply the bundle', () => server.deploymentReport('deployment-1', 'succeeded'), READY_TIMEOUT_MS);
  }
  const before = server.requests.length;
  const started = performance.now();
  await using agent = startProgram('agent/main.ts', { args });
  await server.until('the agent to poll', () => server.requests.slice(before).some(({ path }) => path === '/desired'), READY_TIMEOUT_MS);
  const startMs = performance.now() - started;
  await sleep(SETTLE_MS, undefined, { signal });
  const spent = await cpuSeconds(agent.pid);
  await sleep(IDLE_MS, undefined, { signal });
  const idleCpuShare = (await cpuSeconds(agent.pid)) - spent;
  const [residentMb, peakMb] = await Promise.all([memoryMb(agent.pid, 'VmRSS'), memoryMb(agent.pid, 'VmHWM')]);
  return { startMs, residentMb, peakMb, idleCpuShare: idleCpuShare / (IDLE_MS / 1000) };
}

async function bareNode(): Promise<Pick<Measured, 'startMs' | 'residentMb'>> {
  const started = performance.now();
  await using node = startProgram('bench/support/programs/bare.ts');
  await lineOf(node, (line) => (line === 'ready' ? true : undefined), READY_TIMEOUT_MS);
  const startMs = performance.now() - started;
  await sleep(SETTLE_MS);
  return { startMs, residentMb: await memoryMb(node.pid, 'VmRSS') };
}

function printResults(runs: number, agents: readonly Measured[], bare: readonly Pick<Measured, 'startMs' | 'residentMb'>[]): void {
  const startMs = median(agents.map((seen) => seen.startMs));
  const residentMb = median(agents.map((seen) => seen.residentMb));
  const peakMb = median(agents.map((seen) => seen.peakMb));
  const idleCpuPercent = round((agents.reduce((sum, seen) => sum + seen.idleCpuShare, 0) / agents.length) * 100, 1);
  const bareStartMs = median(bare.map((seen) => seen.startMs));
  const bareResidentMb = median(bare.map((seen) => seen.residentMb));
  const rows = [
    { what: 'start → first poll', seen: `${startMs} ms`, limit: `bare Node: ${bareStartMs} ms` },
    { what: 'resident, idle in the long poll', seen: `${residentMb} MB`, limit: `bare Node: ${bareResidentMb} MB` },
    { what: 'peak resident', seen: `${peakMb} MB` },
    { what: 'processor, idle', seen: `${idleCpuPercent} %` },
  ];
  const ratios = { startToBareNode: round(startMs / bareStartMs, 2), residentToBareNode: round(residentMb / bareResidentMb, 2) };
  report(`agent, median of ${runs}`, rows, {
    bench: 'agent',
    runs,
    startMs,
    residentMb,
    peakMb,
    idleCpuPercent,
    bareStartMs,
    bareResidentMb,
    ...ratios,
  });
}
