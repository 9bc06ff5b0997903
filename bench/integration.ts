import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { z } from 'zod';
import { startController } from '../controller/main.ts';
import { openApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import type { Sql } from '../src/db/connect.ts';
import { createLog } from '../src/log.ts';
import { type Api, clientOf, eventually } from '../test/support/service.ts';
import { note, report, round } from './support/numbers.ts';
import { lineOf, memoryMb, type Program, startProgram } from './support/processes.ts';
import { TARGETS } from './support/targets.ts';

const TOKEN = 'bench-admin-token-of-32-characters';
const PER_PAGE = 100;
const AT_ONCE = 4;
const READY_TIMEOUT_MS = 60_000;
const RUN_TIMEOUT_MS = 20 * 60_000;
const Account = z.object({
  url: z.string(),
  settings: z.looseObject({ projectId: z.string() }),
  credentials: z.object({ apiKey: z.string() }),
});

/**
 * Measures the sync of a platform's devices: the first import, a sync with 1 % changed, and an export, beside the bare walk of the same pages. Several
 * numbers of devices, as in `10000,100000`, are measured one after the other in a process each, and compared.
 */
export async function benchIntegration(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      devices: { type: 'string', default: '10000' },
      exports: { type: 'string', default: '1000' },
      latency: { type: 'string', default: '20' },
    },
  });
  const sizes = z.array(z.coerce.number().int().min(1).max(1_000_000)).parse(values.devices.split(','));
  const [devices = 0, ...others] = sizes;
  const exported = z.coerce
    .number()
    .int()
    .min(0)
    .max(Math.min(...sizes))
    .parse(values.exports);
  const latencyMs = z.coerce.number().int().min(0).max(10_000).parse(values.latency);
  if (others.length === 0) return measure({ devices, exported, latencyMs }, signal);
  const results: Measured[] = [];
  for (const size of sizes) results.push(await measureApart(size, { exported, latencyMs }, signal));
  compare(results);
}

type Wanted = { devices: number; exported: number; latencyMs: number };
const Measured = z.looseObject({
  devices: z.number(),
  ...{ importMs: z.number(), unchangedMs: z.number(), changedMs: z.number() },
  ...{ memoryStartMb: z.number(), memoryPeakMb: z.number(), memoryEndMb: z.number() },
});
type Measured = z.output<typeof Measured>;

async function measureApart(devices: number, { exported, latencyMs }: Omit<Wanted, 'devices'>, signal: AbortSignal): Promise<Measured> {
  const args = ['integration', '--devices', String(devices), '--exports', String(exported), '--latency', String(latencyMs)];
  await using program = startProgram('bench/main.ts', { args });
  program.child.stdout?.pipe(process.stdout, { end: false });
  program.child.stderr?.pipe(process.stderr, { end: false });
  const stop = () => void program.end();
  signal.addEventListener('abort', stop);
  const line = await lineOf(program, (text) => (text.startsWith('{') ? text : undefined), RUN_TIMEOUT_MS);
  signal.removeEventListener('abort', stop);
  return Measured.parse(JSON.parse(line));
}

/** The last one beside the first. */
function compare(results: readonly Measured[]): void {
  const [first, last] = [results[0], results.at(-1)];
  if (first === undefined || last === undefined) return;
  const times = (what: 'importMs' | 'unchangedMs' | 'changedMs') => round(last[what] / first[what], 1);
  const ratios = { importRatio: times('importMs'), unchangedRatio: times('unchangedMs'), changedRatio: times('changedMs') };
  const grown = ({ memoryStartMb, memoryPeakMb }: Measured) => round(memoryPeakMb - memoryStartMb, 1);
  const limit = TARGETS.syncGrowth;
  const rows = [
    { what: 'first import', seen: `${ratios.importRatio} ×`, limit },
    { what: 'sync without changes', seen: `${ratios.unchangedRatio} ×`, limit },
    { what: 'sync with 1 % changed', seen: `${ratios.changedRatio} ×`, limit },
    { what: 'memory, from start to peak', seen: results.map((one) => `${grown(one)} MB`).join(' · ') },
  ];
  report(`${last.devices} devices beside ${first.devices}`, rows, {
    bench: 'integration',
    ...{ devices: results.map((one) => one.devices), ...ratios, grownMb: results.map(grown) },
  });
}

async function measure({ devices, exported, latencyMs }: Wanted, signal: AbortSignal): Promise<void> {
  await using platform = startProgram('bench/support/programs/golioth.ts', { args: [String(devices), String(latencyMs)], messages: true });
  const line = await lineOf(platform, (text) => (text.startsWith('{') ? text : undefined), READY_TIMEOUT_MS);
  const account = Account.parse(JSON.parse(line));
  await using opened = await openBenchService();
  const { api, sql } = opened;
  const pages = Math.ceil(devices / PER_PAGE);
  note(`${devices} devices: bare walk of ${pages} pages, ${AT_ONCE} at once, ${latencyMs} ms latency`);
  const { walkMs, ids } = await bareWalk(account, pages);
  const bareExportMs = await bareExport(account, ids.slice(0, exported));
  signal.throwIfAborted();
  const before = await change(platform, 0);
  const memory = await watchMemory();
  note('first import');
  const { settings, credentials } = account;
  const wanted = { type: 'golioth', settings, credentials, direction: 'both', autoSync: false, intervalSeconds: 3_600 };
  const id = String((await api('POST', '/integrations', wanted)).body.id);
  const first = await sync(api, id);
  const importRequests = (await change(platform, 0)).requests - before.requests;
  // The service's PostgreSQL does so by itself about a minute later.
  await sql`analyze`;
  signal.throwIfAborted();
  const unchanged = await sync(api, id);
  await change(platform, Math.ceil(devices / 100));
  note('sync with 1 % changed');
  const second = await sync(api, id);
  signal.throwIfAborted();
  note(`export of ${exported} changed devices`);
  await edit(sql, exported);
  const third = await sync(api, id);
  const mb = await memory();
  const rows = [
    { what: `bare walk, ${pages} pages`, seen: `${walkMs} ms` },
    { what: 'first import with state', seen: `${first.ms} ms`, limit: TARGETS.firstImport },
    { what: 'requests of the first import', seen: importRequests },
    { what: 'sync without changes', seen: `${unchanged.ms} ms` },
    { what: 'sync with 1 % changed', seen: `${second.ms} ms`, limit: TARGETS.laterSync },
    { what: `bare read, write and read of ${exported} devices`, seen: `${bareExportMs} ms` },
    { what: `sync with ${exported} devices to write`, seen: `${third.ms} ms` },
    { what: 'memory of the process: start · peak · end', seen: `${mb.start} · ${mb.peak} · ${mb.end} MB` },
  ];
  report(`${devices} devices`, rows, {
    bench: 'integration',
    ...{ devices, bareMs: walkMs, importMs: first.ms, importRequests, unchangedMs: unchanged.ms, changedMs: second.ms },
    ...{ bareExportMs, exportMs: third.ms },
    ...{ created: first.details.created, updated: second.details.updated, exported: third.details.exported },
    ...{ memoryStartMb: mb.start, memoryPeakMb: mb.peak, memoryEndMb: mb.end },
  });
}

async function openBenchService(): Promise<AsyncDisposable & { api: Api; sql: Sql }> {
  const folder = await mkdtemp(join(tmpdir(), 'bellwether-bench-'));
  const config = readConfig({
    PORT: '0',
    DATA_DIR: folder,
    BELLWETHER_ADMIN_TOKEN: TOKEN,
    ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
    GIT_WORKERS: '1',
    LOG_LEVEL: 'error',
  });
  const app = await openApp(config, createLog('error'), startController);
  return {
    api: clientOf(app.url, TOKEN),
    sql: app.services.store.sql,
    [Symbol.asyncDispose]: async () => {
      await app.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const Run = z.object({ id: z.number(), status: z.string(), durationMs: z.number().nullable(), details: z.record(z.string(), z.number()) });

/** Syncs once. `ms` is the run's own duration: asking for it, and seeing its end, are not part of it. */
async function sync(api: Api, id: string): Promise<{ ms: number; details: Record<string, number> }> {
  const newest = async () => Run.optional().parse((await api('GET', `/integrations/${id}/sync-log?kind=runs&limit=1`)).body.items[0]);
  const before = (await newest())?.id ?? 0;
  const asked = await api('POST', `/integrations/${id}/sync`);
  if (asked.status !== 202) throw new Error(`The sync was refused: ${JSON.stringify(asked.body)}`);
  const isOver = async () => {
    const run = await newest();
    return run !== undefined && run.id > before && run.status !== 'running' ? run : undefined;
  };
  const run = await eventually('the end of the sync', isOver, RUN_TIMEOUT_MS);
  if (run.status !== 'succeeded') throw new Error(`The sync failed: ${JSON.stringify(run)}`);
  return { ms: run.durationMs ?? 0, details: run.details };
}

/** Resets the peak that Linux keeps. @returns reads what the memory of this process has been since, MB */
async function watchMemory(): Promise<() => Promise<{ start: number; peak: number; end: number }>> {
  await writeFile('/proc/self/clear_refs', '5').catch(() => {});
  const now = (what: 'VmHWM' | 'VmRSS') => memoryMb(process.pid, what);
  const start = await now('VmRSS');
  return async () => ({ start, peak: await now('VmHWM'), end: await now('VmRSS') });
}

type Bare = z.output<typeof Account>;

/** Reads and parses the same pages, without anything else. */
async function bareWalk({ url, settings, credentials }: Bare, pages: number): Promise<{ walkMs: number; ids: string[] }> {
  const Page = z.object({ list: z.array(z.object({ id: z.string() })) });
  const listed: string[][] = [];
  const walkMs = await atOnce({ url, credentials }, pages, async (call, page) => {
    const path = `/v1/projects/${settings.projectId}/devices?page=${page}&perPage=${PER_PAGE}&statePath=reported`;
    listed[page] = Page.parse(await call('GET', path)).list.map((device) => device.id);
  });
  return { walkMs, ids: listed.flat() };
}

/** Asks for the same three answers per device, without anything else. The value that it writes is there already. */
async function bareExport({ url, settings, credentials }: Bare, ids: readonly string[]): Promise<number> {
  return atOnce({ url, credentials }, ids.length, async (call, index) => {
    const path = `/v1/projects/${settings.projectId}/devices/${ids[index]}`;
    await call('GET', `${path}?statePath=reported`);
    await call('PATCH', path, { enabled: true });
    await call('GET', `${path}?statePath=reported`);
  });
}

type Call = (method: 'GET' | 'PATCH', path: string, body?: unknown) => Promise<unknown>;

/** @returns ms */
async function atOnce(
  { url, credentials }: Pick<Bare, 'url' | 'credentials'>,
  count: number,
  work: (call: Call, index: number) => Promise<void>,
): Promise<number> {
  const pool = new Pool(url, { connections: AT_ONCE });
  const headers = { 'x-api-key': credentials.apiKey, 'content-type': 'application/json' };
  const call: Call = async (method, path, body) =>
    (await pool.request({ method, path, headers, body: body === undefined ? null : JSON.stringify(body) })).body.json();
  const started = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await work(call, next - 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const tookMs = round(performance.now() - started, 0);
  await pool.close();
  return tookMs;
}

async function change({ child }: Program, count: number): Promise<{ requests: number }> {
  const answered = once(child, 'message');
  child.send(count);
  const [answer] = await answered;
  return z.object({ requests: z.number() }).parse(answer);
}

/** As the API does it, for many devices at once. */
async function edit(sql: Sql, count: number): Promise<void> {
  await sql`
    update devices d set integration_metadata = jsonb_set(integration_metadata, '{attributes,enabled}', 'false'),
      field_times = field_times || jsonb_build_object('enabled', now())
    where id in (select id from devices where source_kind = 'EXTERNAL' order by id limit ${count})`;
}
