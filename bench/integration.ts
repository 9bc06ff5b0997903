import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
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
import { type Api, clientOf } from '../test/support/service.ts';
import { syncOnce } from '../test/sync/support.ts';
import { note, report, round } from './support/numbers.ts';
import { lineOf, memoryMb, type Program, startProgram } from './support/processes.ts';
import { TARGETS } from './support/targets.ts';

const TOKEN = 'bench-admin-token-of-32-characters';
const PER_PAGE = 100;
const AT_ONCE = 4;
const READY_TIMEOUT_MS = 60_000;
const Account = z.object({
  url: z.string(),
  settings: z.looseObject({ projectId: z.string() }),
  credentials: z.object({ apiKey: z.string() }),
});

/** Measures the sync of a platform's devices: the first import, a sync with 1 % changed, and an export, beside the bare walk of the same pages. */
export async function benchIntegration(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      devices: { type: 'string', default: '10000' },
      exports: { type: 'string', default: '1000' },
      latency: { type: 'string', default: '20' },
    },
  });
  const devices = z.coerce.number().int().min(1).max(1_000_000).parse(values.devices);
  const exported = z.coerce.number().int().min(0).max(devices).parse(values.exports);
  const latencyMs = z.coerce.number().int().min(0).max(10_000).parse(values.latency);
  await using platform = startProgram('bench/support/programs/golioth.ts', { args: [String(devices), String(latencyMs)], messages: true });
  const line = await lineOf(platform, (text) => (text.startsWith('{') ? text : undefined), READY_TIMEOUT_MS);
  const account = Account.parse(JSON.parse(line));
  await using opened = await openBenchService();
  const { api, sql } = opened;
  note(`bare walk of ${Math.ceil(devices / PER_PAGE)} pages, ${AT_ONCE} at once, ${latencyMs} ms latency`);
  const bareMs = await bareWalk(account, devices);
  signal.throwIfAborted();
  const before = await change(platform, 0);
  note(`first import of ${devices} devices`);
  const { settings, credentials } = account;
  const wanted = { type: 'golioth', settings, credentials, direction: 'both', autoSync: false, intervalSeconds: 3_600 };
  const id = String((await api('POST', '/integrations', wanted)).body.id);
  const first = await timed(() => syncOnce({ api }, id));
  const importRequests = (await change(platform, 0)).requests - before.requests;
  const memoryAfterImportMb = await memoryMb(process.pid, 'VmRSS');
  await sql`analyze`;
  const unchanged = await timed(() => syncOnce({ api }, id));
  await change(platform, Math.ceil(devices / 100));
  note('sync with 1 % changed');
  const second = await timed(() => syncOnce({ api }, id));
  note(`export of ${exported} changed devices`);
  await edit(sql, exported);
  const third = await timed(() => syncOnce({ api }, id));
  const rows = [
    { what: `bare walk, ${Math.ceil(devices / PER_PAGE)} pages`, seen: `${bareMs} ms` },
    { what: 'first import with state', seen: `${first.ms} ms`, limit: TARGETS.firstImport },
    { what: 'requests of the first import', seen: importRequests },
    { what: 'sync without changes', seen: `${unchanged.ms} ms` },
    { what: 'sync with 1 % changed', seen: `${second.ms} ms`, limit: TARGETS.laterSync },
    { what: `sync with ${exported} devices to write`, seen: `${third.ms} ms` },
    { what: 'memory of the process after the import', seen: `${memoryAfterImportMb} MB` },
    { what: 'peak of its memory', seen: `${await memoryMb(process.pid, 'VmHWM')} MB` },
  ];
  report(`${devices} devices`, rows, {
    bench: 'integration',
    ...{ devices, bareMs, importMs: first.ms, importRequests, unchangedMs: unchanged.ms, changedMs: second.ms, exportMs: third.ms },
    ...{ created: first.run.details.created, updated: second.run.details.updated, exported: third.run.details.exported },
    ...{ memoryAfterImportMb, memoryPeakMb: await memoryMb(process.pid, 'VmHWM') },
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

/** The run's own duration: asking for it, and seeing its end, are not part of it. */
async function timed(work: () => Promise<Awaited<ReturnType<typeof syncOnce>>>) {
  const run = await work();
  if (run.status !== 'succeeded') throw new Error(`The sync failed: ${JSON.stringify(run.error)}`);
  return { run, ms: Number(run.durationMs) };
}

/** Reads and parses the same pages, without anything else. @returns ms */
async function bareWalk({ url, settings, credentials }: z.output<typeof Account>, devices: number): Promise<number> {
  const pool = new Pool(url, { connections: AT_ONCE });
  const started = performance.now();
  const pages = Array.from({ length: Math.ceil(devices / PER_PAGE) }, (_, index) => index);
  const worker = async () => {
    for (let page = pages.shift(); page !== undefined; page = pages.shift()) {
      const path = `/v1/projects/${settings.projectId}/devices?page=${page}&perPage=${PER_PAGE}&statePath=reported`;
      const { body } = await pool.request({ method: 'GET', path, headers: { 'x-api-key': credentials.apiKey } });
      await body.json();
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
