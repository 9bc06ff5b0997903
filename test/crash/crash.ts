import { parseArgs } from 'node:util';
import { FAULT_POINTS, type FaultPoint } from '../../agent/faults.ts';
import { checkEverything, createVerdicts, type Verdicts } from './checks.ts';
import { type EventLog, followEvents } from './history.ts';
import { killOne, VICTIMS } from './kills.ts';
import { cutAt } from './points.ts';
import { createRandom } from './random.ts';
import { relapse } from './relapse.ts';
import { pause } from './wait.ts';
import { openWorld, type World } from './world.ts';

/**
 * Proves that nothing is lost or half done when the service, its database and the agents are killed at random instants under a stream of
 * pushes: `node test/crash/crash.ts --kills N --seed S [--every K] [--points N] [--relapse] [--faults] [--keep]`. Prints a line per phase and one of JSON; exit code 1
 * on any violation. A seed repeats the choices, not the instants at which the processes are.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** Kills between two looks at everything. */
    every: { type: 'string', default: '10' },
    /** How many of the agent's fault points, picked by the seed. */
    points: { type: 'string', default: '0' },
    /** The service dies of the same push again and again. */
    relapse: { type: 'boolean', default: false },
    /** Leaves the folder with all logs. */
    keep: { type: 'boolean', default: false },
    /** All points, and the relapse. */
    faults: { type: 'boolean', default: false },
  },
});

const startedMs = performance.now();
const say = (line: string) => process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}\n`);

const random = createRandom(Number(values.seed));
const verdicts = createVerdicts();
const world = await openWorld(random);
let kills = 0;
try {
  say(`seed ${values.seed}: ${world.devices.size} devices run in ${world.folder}`);
  const events = followEvents(world);
  try {
    await look(world, events, 'first commits');
    while (kills < Number(values.kills)) await round(events, Math.min(Number(values.every), Number(values.kills) - kills));
    const points = values.faults ? FAULT_POINTS : shuffled(FAULT_POINTS).slice(0, Number(values.points));
    for (const point of points) await cut(point);
    if (values.relapse || values.faults) await relapse(world, verdicts);
    if (points.length > 0 || values.relapse) await look(world, events, `${points.length} fault points`);
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
const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
const summary = { kills, pushes: world.pushes.log.length, devices: world.devices.size, checks: verdicts.count(), violations, seconds };
process.stdout.write(`${JSON.stringify(summary)}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;

/** Pushes and kills side by side, then a look at everything. */
async function round(events: EventLog, count: number): Promise<void> {
  let stopped = false;
  // Its own choices, since how many it makes depends on time.
  const pushing = (async () => {
    while (!stopped) {
      await world.pushes.random();
      await pause(random.between(50, 500));
    }
  })();
  const victims: string[] = [];
  try {
    for (let killed = 0; killed < count; killed++) {
      await pause(random.between(20, 900));
      const victim = random.pick(VICTIMS);
      victims.push(victim);
      await killOne(world, victim, verdicts);
      kills += 1;
    }
  } finally {
    stopped = true;
    await pushing;
  }
  await look(world, events, `${kills} kills (${victims.join(' ')})`);
}

async function look(of: World, events: EventLog, what: string): Promise<void> {
  const settledMs = await checkEverything(of, events, verdicts);
  say(`${what}: settled in ${settledMs} ms, ${verdicts.count()} checks, ${verdicts.violations.length} violations`);
}

async function cut(point: FaultPoint): Promise<void> {
  kills += 1;
  const before = (verdicts as Verdicts).violations.length;
  await cutAt(world, point, verdicts);
  say(`cut at ${point}: ${verdicts.violations.length === before ? 'ok' : verdicts.violations.at(-1)}`);
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
