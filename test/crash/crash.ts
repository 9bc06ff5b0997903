import { parseArgs } from 'node:util';
import { FAULT_POINTS } from '../../agent/faults.ts';
import { checkEverything, createVerdicts, type Verdicts } from './checks.ts';
import { type EventLog, followEvents } from './history.ts';
import { killOne, VICTIMS } from './kills.ts';
import { cutAt } from './points.ts';
import { createRandom } from './random.ts';
import { relapse } from './relapse.ts';
import { cutServiceAt, SERVICE_FAULTS } from './service-points.ts';
import { pause } from './wait.ts';
import { openWorld, type World } from './world.ts';

/**
 * Kills the service, its database and the agents at random instants during a stream of pushes, and checks that nothing is lost or half done:
 * `node test/crash/crash.ts --kills N --seed S [--every K] [--points N] [--service-points N] [--relapse] [--faults] [--keep]`. It prints a line per
 * phase and one of JSON; the exit code is 1 after any violation. A seed repeats the choices, not the timing of the processes.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** Kills between two checks of everything. */
    every: { type: 'string', default: '10' },
    /** Number of the agent's fault points, which the seed selects. */
    points: { type: 'string', default: '0' },
    /** Number of the service's fault points. */
    'service-points': { type: 'string', default: '0' },
    /** The service dies repeatedly during the same push. */
    relapse: { type: 'boolean', default: false },
    /** Keeps the folder with all logs. */
    keep: { type: 'boolean', default: false },
    /** All points of both, and the relapse. */
    faults: { type: 'boolean', default: false },
  },
});

const startedMs = performance.now();
const print = (line: string) => process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}\n`);
/** Checks between two `git gc` of the repositories. */
const TIDY_EVERY = 5;

const random = createRandom(Number(values.seed));
const verdicts = createVerdicts();
const world = await openWorld(random);
// An early end also ends all started processes.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void world.close(values.keep).finally(() => process.exit(130)));
const killed: Record<string, number> = {};
let looks = 0;
let longestSettleMs = 0;
let events: EventLog | undefined;
try {
  print(`seed ${values.seed}: ${world.devices.size} devices run in ${world.folder}`);
  events = followEvents(world);
  try {
    await check(world, events, 'first commits');
    const wanted = Number(values.kills);
    while (count() < wanted) await round(events, Math.min(Number(values.every), wanted - count()), wanted);
    const points = values.faults ? FAULT_POINTS : shuffled(FAULT_POINTS).slice(0, Number(values.points));
    for (const point of points) await cut(`agent at ${point}`, (of) => cutAt(of, point, verdicts));
    const faults = values.faults ? SERVICE_FAULTS : shuffled(SERVICE_FAULTS).slice(0, Number(values['service-points']));
    for (const fault of faults) await cut(`service at ${fault}`, (of) => cutServiceAt(of, fault, verdicts));
    if (values.relapse || values.faults) await relapse(world, verdicts);
    const cuts = points.length + faults.length;
    if (cuts > 0 || values.relapse) await check(world, events, `${cuts} fault points`);
  } finally {
    await events.close();
  }
} catch (error) {
  verdicts.must(false, () => `the test ended early: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
} finally {
  const exitCode = await world.close(values.keep);
  verdicts.must(exitCode === 0, () => `the service ended with ${exitCode}, must be 0`);
}
const { violations } = verdicts;
const summary = {
  seed: Number(values.seed),
  kills: count(),
  killed,
  pushes: world.pushes.log.length,
  devices: world.devices.size,
  events: events?.total() ?? 0,
  looks,
  checks: verdicts.count(),
  longestSettleMs,
  memoryMb: Math.round(process.memoryUsage.rss() / 1_048_576),
  violations,
  seconds: Math.round((performance.now() - startedMs) / 100) / 10,
};
process.stdout.write(`${JSON.stringify(summary)}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;

function count(): number {
  return Object.values(killed).reduce((sum, times) => sum + times, 0);
}

function note(victim: string): void {
  killed[victim] = (killed[victim] ?? 0) + 1;
}

/** Pushes and kills concurrently, then a check of everything. */
async function round(log: EventLog, size: number, wanted: number): Promise<void> {
  let stopped = false;
  // A separate generator, because the number of its choices depends on time.
  const pushing = (async () => {
    while (!stopped) {
      await world.pushes.random();
      await pause(random.between(50, 500));
    }
  })();
  const victims: string[] = [];
  try {
    for (let done = 0; done < size; done++) {
      await pause(random.between(20, 900));
      const victim = random.pick(VICTIMS);
      victims.push(victim);
      await killOne(world, victim, verdicts);
      note(victim);
    }
  } finally {
    stopped = true;
    await pushing;
  }
  await check(world, log, `${count()} of ${wanted} kills (${victims.join(' ')})`);
  if (looks % TIDY_EVERY === 0) await world.tidy();
}

async function check(of: World, log: EventLog, what: string): Promise<void> {
  const settledMs = await checkEverything(of, log, verdicts);
  looks += 1;
  longestSettleMs = Math.max(longestSettleMs, settledMs);
  print(`${what}: settled in ${settledMs} ms, ${verdicts.count()} checks, ${verdicts.violations.length} violations`);
}

async function cut(what: string, act: (of: World) => Promise<void>): Promise<void> {
  note('fault_point');
  const before = (verdicts as Verdicts).violations.length;
  await act(world);
  print(`cut of the ${what}: ${verdicts.violations.length === before ? 'ok' : verdicts.violations.at(-1)}`);
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
