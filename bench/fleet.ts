import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import type { Files } from '../test/support/git-host.ts';
import { postGitLabPush } from '../test/support/hooks.ts';
import { note, report, round } from './support/numbers.ts';
import { cpuSeconds, familyCpuSeconds, memoryMb } from './support/processes.ts';
import { registerDevices } from './support/register.ts';
import { type SimulatedDevices, startDevices } from './support/simulated-devices.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

const REPOSITORY = 'fleet';
/** Devices that the second, small commit changes. */
const FEW = 3;
const START_TIMEOUT_MS = 300_000;
/** The service writes some 160 workspaces a second, which is ten minutes for 100,000. */
const ROLLOUT_TIMEOUT_MS = 30 * 60_000;
/** Devices per process of the service: each connection needs a port, and one of the 20,000 files that a process may often open. */
const DEVICES_PER_API = 18_000;
const FLEET = `apiVersion: bellwether/v1
kind: Fleet
devices: "devices/*"
schemas: schemas
`;
const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - files: app.json
    schema: app.schema.json
files:
  - from: app.json
`;
const SCHEMA = JSON.stringify({
  type: 'object',
  required: ['device', 'push'],
  properties: { device: { type: 'string' }, push: { type: 'integer', minimum: 0 }, vlan: { type: 'integer', minimum: 1, maximum: 4094 } },
});

/** Process ids of the service, and the devices. */
type Processes = { servers: number[]; devices: SimulatedDevices };
type Measured = { seconds: number; serverCpu: number; postgresCpu: number; devicesCpu: number };

/** Measures one commit that changes every device of a fleet repository: push → the last device applied it and reported. */
export async function benchFleet(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { devices: { type: 'string', default: '1000' }, rest: { type: 'string', default: '0' }, profile: { type: 'string' } },
  });
  const count = z.coerce.number().int().min(1).max(100_000).parse(values.devices);
  const restSeconds = z.coerce.number().int().min(0).max(3_600).parse(values.rest);
  await using stack = await openStack({ profileDir: values.profile, signal });
  await stack.host.createRepository(REPOSITORY);
  const source = await stack.createSource(REPOSITORY, 'fleet');
  note(`registering ${count} devices`);
  const keys = await registerDevices(stack, source.id, count);
  const apis = await Promise.all(Array.from({ length: Math.ceil(count / DEVICES_PER_API) - 1 }, () => stack.addApi()));
  const servers = [stack, ...apis].map(({ url, service }) => ({ url, pid: service.pid }));
  const each = Math.ceil(count / servers.length);
  const orders = servers.map(({ url }, n) => ({ server: url, devices: keys.slice(n * each, (n + 1) * each), failRate: 0, latencyMs: 0 }));
  await using devices = startDevices(orders, signal);
  await devices.until('all devices to be there', ({ ready }) => ready === count, START_TIMEOUT_MS);
  const memory = (of: 'VmRSS' | 'VmHWM') => sumOf(servers.map(({ pid }) => memoryMb(pid, of)));
  const idleMb = await memory('VmRSS');
  note(`all connected: ${idleMb} MB`);
  const ids = keys.map((key) => key.id);
  const processes = { servers: servers.map(({ pid }) => pid), devices };
  const commit = (n: number, changed: readonly string[]) => rollOut(stack, processes, source.hookUrl, n, changed, signal);
  note('first commit');
  const first = await commit(0, ids);
  note(`a commit that changes all ${count}`);
  const all = await commit(1, ids);
  const few = await commit(2, ids.slice(0, FEW));
  const applied = await converged(stack, count);
  await settle(stack, signal);
  const settledMb = await memory('VmRSS');
  const peakMb = await memory('VmHWM');
  if (restSeconds > 0) note(`resting for ${restSeconds} s: ${settledMb} MB`);
  const spent = await spentSoFar(stack, processes);
  await sleep(restSeconds * 1000, undefined, { signal });
  const rest = { seconds: restSeconds, ...since(spent, await spentSoFar(stack, processes)) };
  const restedMb = await memory('VmRSS');
  const [{ databaseMb }] = await stack.sql<[{ databaseMb: number }]>`
    select round(pg_database_size(current_database()) / 1048576.0)::int as "databaseMb"`;
  const seen = { count, applied, servers: servers.length, troubles: devices.counts().troubles };
  printResults(seen, { first, all, few, rest }, { idleMb, settledMb, restedMb, peakMb, databaseMb });
}

/** Waits until the service is idle, commits new files for `changed`, posts the hook, and waits until each of them reported success. */
async function rollOut(
  stack: Stack,
  processes: Processes,
  hookUrl: string,
  n: number,
  changed: readonly string[],
  signal: AbortSignal,
): Promise<Measured> {
  await settle(stack, signal);
  const commit = await stack.host.commit(REPOSITORY, filesOf(n, changed));
  const { devices } = processes;
  const before = devices.counts().succeeded;
  const spent = await spentSoFar(stack, processes);
  const started = performance.now();
  const answer = await postGitLabPush(hookUrl, { after: commit });
  if (answer.status !== 202) throw new Error(`The hook was answered ${answer.status}: ${await answer.text()}`);
  await devices.until(
    `${changed.length} devices to apply commit ${n}`,
    ({ succeeded }) => succeeded - before >= changed.length,
    ROLLOUT_TIMEOUT_MS,
  );
  const seconds = (performance.now() - started) / 1000;
  const measured = { seconds, ...since(spent, await spentSoFar(stack, processes)) };
  // A large fleet takes many minutes, so the results appear one by one.
  note(
    `commit ${n}, ${changed.length} devices: ${JSON.stringify(measured, (_key, value) => (typeof value === 'number' ? round(value, 2) : value))}`,
  );
  return measured;
}

function filesOf(n: number, ids: readonly string[]): Files {
  const files: Files = n === 0 ? { 'fleet.yaml': FLEET, 'schemas/app.schema.json': SCHEMA } : {};
  for (const id of ids) {
    if (n === 0) files[`devices/${id}/bellwether.yaml`] = MANIFEST;
    files[`devices/${id}/app.json`] = JSON.stringify({ device: id, push: n, vlan: 10 });
  }
  return files;
}

/** Seconds of processor. */
type Spent = Omit<Measured, 'seconds'>;

async function spentSoFar(stack: Stack, { servers, devices }: Processes): Promise<Spent> {
  const [serverCpu, postgresCpu, devicesCpu] = await Promise.all([
    sumOf(servers.map(cpuSeconds)),
    familyCpuSeconds(stack.postgresPid),
    sumOf(devices.pids.map(cpuSeconds)),
  ]);
  return { serverCpu, postgresCpu, devicesCpu };
}

function since(before: Spent, now: Spent): Spent {
  return {
    serverCpu: now.serverCpu - before.serverCpu,
    postgresCpu: now.postgresCpu - before.postgresCpu,
    devicesCpu: now.devicesCpu - before.devicesCpu,
  };
}

/** Waits until the workspaces have the devices' bundles and no rollout is open, so that the next measurement starts idle. */
async function settle({ sql }: Stack, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + ROLLOUT_TIMEOUT_MS;
  for (;;) {
    const [row] = await sql<[{ busy: boolean }]>`
      select exists (select 1 from devices where good_bundle is distinct from workspace_bundle)
          or exists (select 1 from rollouts where state in ('planned', 'running')) as busy`;
    if (!row.busy) return;
    if (Date.now() > deadline) throw new Error('The workspaces or the rollout did not come to rest');
    await sleep(100, undefined, { signal });
  }
}

async function converged({ sql }: Stack, count: number): Promise<number> {
  const [row] = await sql<[{ applied: number }]>`
    select count(*)::int as applied from devices d join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
    where d.sync_status = 'in_sync' and d.reported_bundle = d.desired_bundle and d.good_bundle = p.bundle`;
  if (row.applied !== count) note(`only ${row.applied} of ${count} devices are on the last commit`);
  return row.applied;
}

async function sumOf(values: readonly Promise<number>[]): Promise<number> {
  const all = await Promise.all(values);
  return round(
    all.reduce((sum, value) => sum + value, 0),
    2,
  );
}

function printResults(
  { count, applied, servers, troubles }: Record<'count' | 'applied' | 'servers' | 'troubles', number>,
  { first, all, few, rest }: Record<'first' | 'all' | 'few' | 'rest', Measured>,
  { idleMb, settledMb, restedMb, peakMb, databaseMb }: Record<'idleMb' | 'settledMb' | 'restedMb' | 'peakMb' | 'databaseMb', number>,
): void {
  const seconds = ({ seconds: value }: Measured) => `${round(value, 2)} s`;
  const rows = [
    { what: 'devices on the last commit', seen: `${applied} of ${count}` },
    { what: 'push → all applied and reported', seen: seconds(all), limit: TARGETS.fleet },
    { what: 'first commit, all devices', seen: seconds(first) },
    { what: `push that changes ${FEW} of them`, seen: seconds(few) },
    { what: 'processor: service', seen: `${round(all.serverCpu, 2)} s` },
    { what: 'processor: PostgreSQL', seen: `${round(all.postgresCpu, 2)} s` },
    { what: 'processor: simulated devices', seen: `${round(all.devicesCpu, 2)} s` },
    { what: 'service, resident with all connected', seen: `${idleMb} MB`, limit: TARGETS.memory },
    { what: 'service, resident after the commits', seen: `${settledMb} MB` },
    { what: `service, resident ${rest.seconds} s later`, seen: `${restedMb} MB`, limit: TARGETS.memory },
    {
      what: 'at rest, of a core: service · PostgreSQL · simulated devices',
      seen: shares(rest)
        .map((share) => `${share} %`)
        .join(' · '),
    },
    { what: 'service, peak resident', seen: `${peakMb} MB` },
    { what: 'processes of the service', seen: servers },
    { what: 'database', seen: `${databaseMb} MB` },
    { what: 'requests that devices had to repeat', seen: troubles },
  ];
  report(`${count} devices, one fleet repository`, rows, {
    ...{ bench: 'fleet', devices: count, applied },
    pushToAllAppliedSeconds: round(all.seconds, 3),
    firstCommitSeconds: round(first.seconds, 3),
    pushToFewAppliedSeconds: round(few.seconds, 3),
    serverCpuSeconds: round(all.serverCpu, 2),
    postgresCpuSeconds: round(all.postgresCpu, 2),
    devicesCpuSeconds: round(all.devicesCpu, 2),
    ...{
      serverIdleRssMb: idleMb,
      serverSettledRssMb: settledMb,
      serverRestedRssMb: restedMb,
      restSeconds: rest.seconds,
      restCpuPercent: shares(rest),
      serverPeakRssMb: peakMb,
      databaseMb,
      servers,
      troubles,
    },
  });
}

/** Processor use of service, database and devices, in percent of one core; empty without a measuring time. */
function shares({ seconds, serverCpu, postgresCpu, devicesCpu }: Measured): number[] {
  return seconds === 0 ? [] : [serverCpu, postgresCpu, devicesCpu].map((spent) => round((spent / seconds) * 100, 1));
}
