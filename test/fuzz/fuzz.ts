import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { memoryMb } from '../../bench/support/processes.ts';
import { openEmbeddedPostgres } from '../../src/db/embedded.ts';
import { createLog } from '../../src/log.ts';
import { readOperations } from './description.ts';
import { ADMIN_TOKEN } from './golden.ts';
import { type Finding, fuzz, type Outcome } from './run.ts';
import { closeConnections } from './send.ts';
import { startService } from './service.ts';
import { openWorld } from './world.ts';

/** `npm run test:fuzz -- [--seconds 60] [--seed N] [--only "POST /api/v1/devices"]`: exits with 1 when an answer broke a law. */
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' }, only: { type: 'string' } },
});
/** Limit of printed complaints of the service. */
const SHOWN = 20;
const seconds = Number(values.seconds);
const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(values.seed);
process.exitCode = await main();

async function main(): Promise<number> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'bellwether-fuzz-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  // As root the database runs under another account, which must be able to enter the folder.
  await chmod(folder, 0o711);
  const postgres = await openEmbeddedPostgres(join(folder, 'database'), createLog('silent'));
  opened.defer(() => postgres.close());
  const service = await startService({
    DATA_DIR: join(folder, 'data'),
    DATABASE_URL: postgres.url,
    BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN,
  });
  opened.defer(() => {
    for (const line of service.complaints.slice(0, SHOWN)) console.error(`log: ${line.slice(0, 2_000)}`);
  });
  opened.defer(() => service.close());
  const world = await openWorld(service.url, postgres.url);
  opened.defer(() => world.close());
  opened.defer(closeConnections);
  const all = await readOperations(service.url);
  const operations = all.filter(({ name }) => values.only === undefined || name === values.only);
  console.error(`${operations.length} operations, ${seconds} s, seed ${seed}`);
  const endAt = Date.now() + seconds * 1000;
  const goOn = () => Date.now() < endAt && !service.hasEnded();
  const outcome = await fuzz({
    url: service.url,
    operations,
    world,
    seed,
    requestsPerRound: operations.length === 1 ? 500 : 25,
    lanes: 6,
    goOn,
    onRound: async (requests) => console.error(`${requests} requests, ${await memoryMb(service.pid, 'VmRSS')} MB`),
    onFinding: printFinding,
  });
  const ready = await fetch(`${service.url}/health/ready`).then((answer) => answer.status);
  const metrics = await fetch(`${service.url}/metrics`).then((answer) => answer.text());
  // Independent of the options: the number of routes.
  const routes = new Set(metrics.match(/route="[^"]*"/g)).size;
  summarise(outcome);
  const [rssMb, peakRssMb] = [await memoryMb(service.pid, 'VmRSS'), await memoryMb(service.pid, 'VmHWM')];
  const { requests, findings, uncovered } = outcome;
  const complaints = service.complaints.length;
  console.log(
    JSON.stringify({
      ...{ seed, seconds, operations: operations.length, requests, uncovered },
      ...{ findings: findings.length, complaints, ready, routes, rssMb, peakRssMb },
    }),
  );
  return findings.length + complaints + uncovered.length === 0 && ready === 200 ? 0 : 1;
}

function printFinding({ operation, law, detail, seed: runSeed, curl }: Finding): void {
  console.error(`\n${operation} ${law} (seed ${runSeed} of this operation)\n  ${detail}\n  ${curl}`);
}

function summarise({ answers, slowest }: Outcome): void {
  const kinds = ['2xx', '3xx', '4xx', '5xx'];
  console.log(`${[...kinds, 'max ms'].map((title) => title.padStart(7)).join('')}  operation`);
  for (const [name, counts] of answers) {
    const numbers = [...kinds.map((kind) => counts[kind] ?? 0), slowest.get(name) ?? 0];
    console.log(`${numbers.map((number) => String(number).padStart(7)).join('')}  ${name}`);
  }
}
