import type { EventType } from '../../wire/event/events.ts';
import type { LiveEvent } from '../../wire/live.ts';
import { blockersOf, demand, isStep, rolloutOf, tellBlockers } from '../observe.ts';
import type { Output } from '../output.ts';
import type { Recording, Seen } from '../stack/feed.ts';
import { commitAndPush, type Pushed } from '../stack/repositories.ts';
import { type DemoCommit, FIX, GOOD, HASTY_PAYMENTS, UNHEALTHY } from './commits.ts';
import { lookAtTills, showWaves, takenBy } from './look.ts';
import type { Flock } from './stage.ts';

/** What was observed so far; an act that fails has added what it saw. */
export type Observed = {
  devices: number;
  canaries: number;
  /** How each rollout ended. */
  rollouts: string[];
  /** Tills that began an attempt of a commit that was aborted. */
  touched: Set<string>;
  /** Canaries that went back by themselves, and those that the abort brought back. */
  rolledBack: number;
  reverted: number;
  /** Tills that run the last commit. */
  applied: number;
};

/** One commit on its way. */
type Way = { flock: Flock; out: Output; recording: Recording; pushed: Pushed; rolloutId: string; canaries: string[] };

/** Act 1: canaries, a bake, the gate, the rest. @throws Problem `demo_incomplete` */
export async function pushGoodCommit(flock: Flock, out: Output, observed: Observed): Promise<void> {
  out.heading('1  A good commit: a tenth of the tills first, then the others');
  await reachAll(flock, out, observed, GOOD);
}

/** Act 2: the canaries fail their health check. @throws Problem `demo_incomplete` */
export async function pushUnhealthyCommit(flock: Flock, out: Output, observed: Observed): Promise<void> {
  out.heading('2  A commit that validates, but fails the health check on the tills');
  const before = await lookAtTills(flock);
  using recording = flock.feed.record();
  const way = await begin(flock, out, recording, UNHEALTHY);
  const aborted = await until(way, 'rollout.aborted');
  await allCanaries(way, 'rolled_back');
  out.bad(`aborted after ${since(way, aborted)}: ${String(aborted.event.data.detail)}`);
  observed.rolledBack += way.canaries.length;
  await expectOnlyCanaries(way, observed, before);
}

/** Act 3: every health check passes, and then the canaries make more errors than the others. @throws Problem `demo_incomplete` */
export async function pushHastyCommit(flock: Flock, out: Output, observed: Observed): Promise<void> {
  out.heading('3  A commit that every health check passes, and that drives the error rate up');
  const before = await lookAtTills(flock);
  using recording = flock.feed.record();
  const way = await begin(flock, out, recording, HASTY_PAYMENTS);
  await allCanaries(way, 'succeeded');
  out.line(`    the canaries run it and are well; they are watched …`);
  const aborted = await until(way, 'rollout.aborted');
  out.bad(`aborted after ${since(way, aborted)}: ${String(aborted.event.data.detail)}`);
  demand(aborted.event.data.code === 'gate_failed', `the gate as the reason of the abort (${String(aborted.event.data.code)})`);
  const reverted = await until(way, 'rollout.reverted');
  out.line(`    the canaries are back after ${since(way, reverted)}`);
  observed.reverted += Number(reverted.event.data.reverted);
  await expectOnlyCanaries(way, observed, before);
}

/** Act 4: what mends it reaches all. @throws Problem `demo_incomplete` */
export async function pushFix(flock: Flock, out: Output, observed: Observed): Promise<void> {
  out.heading('4  The fix');
  observed.applied = await reachAll(flock, out, observed, FIX);
}

/** @returns how many tills run it */
async function reachAll(flock: Flock, out: Output, observed: Observed, commit: DemoCommit): Promise<number> {
  using recording = flock.feed.record();
  const way = await begin(flock, out, recording, commit);
  observed.canaries = way.canaries.length;
  await allCanaries(way, 'succeeded');
  out.line(`    the canaries run it and are well; they are watched, and the others wait:`);
  await tellWhy(way);
  const passed = await untilGood(way, 'rollout.wave_passed');
  out.line(`    the gate is passed after ${since(way, passed)}: the other ${flock.devices.length - way.canaries.length} get it`);
  const completed = await untilGood(way, 'rollout.completed');
  const { state } = await showWaves(flock, out, way.rolloutId);
  observed.rollouts.push(state);
  const running = [...(await lookAtTills(flock)).values()];
  demand(running.length === flock.devices.length && new Set(running).size === 1 && running[0] !== '', 'one configuration on all tills');
  out.good(`all ${running.length} tills run commit ${way.pushed.commit.slice(0, 8)}, ${since(way, completed)} after the push`);
  return running.length;
}

/** Pushes, and waits until the canaries have been told. */
async function begin(flock: Flock, out: Output, recording: Recording, commit: DemoCommit): Promise<Way> {
  const { repository } = flock;
  const pushed = await commitAndPush(repository, commit.message, commit.edits);
  for (const { file, from, to } of commit.edits) out.line(`    ${file}: ${from} becomes ${to}`);
  const rolloutId = await rolloutOf(recording, repository.name, pushed.commit);
  const way = { flock, out, recording, pushed, rolloutId, canaries: [] };
  const opened = await until(way, 'rollout.wave_opened');
  const canaries = await takenBy(flock, rolloutId, 0);
  out.line(`    ${canaries.length} canaries of ${flock.devices.length} tills are told after ${since(way, opened)}: ${listOf(canaries)}`);
  return { ...way, canaries };
}

/** The first event of one of these types. */
function until({ recording, rolloutId }: Way, ...types: EventType[]): Promise<Seen> {
  const matches = (event: LiveEvent) => event.subject === `rollout:${rolloutId}` && types.some((type) => type === event.type);
  return recording.find(`"${types.join('" or "')}" of the rollout`, matches);
}

/** @throws Problem `demo_incomplete` at once when it is aborted instead */
async function untilGood(way: Way, type: EventType): Promise<Seen> {
  const seen = await until(way, type, 'rollout.aborted');
  demand(seen.event.type === type, `"${type}" of the rollout, which was aborted: ${String(seen.event.data.detail)}`);
  return seen;
}

async function allCanaries({ recording, rolloutId, canaries }: Way, state: string): Promise<void> {
  await Promise.all(canaries.map((id) => recording.find(`"${state}" on ${id}`, isStep(id, state, rolloutId))));
}

/** The abort left every till with what it ran before, byte for byte, and only canaries were ever told of the commit. */
async function expectOnlyCanaries(way: Way, observed: Observed, before: ReadonlyMap<string, string>): Promise<void> {
  const { flock, out, recording, rolloutId, canaries } = way;
  const { state } = await showWaves(flock, out, rolloutId);
  observed.rollouts.push(state);
  const told = recording.seen.flatMap(({ event }) => touchedIn(event, rolloutId));
  for (const id of told) observed.touched.add(id);
  const others = [...told, ...(await takenBy(flock, rolloutId))].filter((id) => !canaries.includes(id));
  demand(others.length === 0, `nobody but the canaries touched (touched: ${listOf(others)})`);
  const after = await lookAtTills(flock);
  const changed = flock.devices.filter((id) => after.get(id) === '' || after.get(id) !== before.get(id));
  demand(changed.length === 0, `every till with the configuration from before (others: ${listOf(changed)})`);
  const [digest = ''] = after.values();
  out.good(
    `the ${canaries.length} canaries run what they ran before, byte for byte (SHA-256 ${digest.slice(0, 12)}…); nobody else was touched`,
  );
  const [code] = await tellWhy(way);
  demand(code === 'rollout_aborted', `the reason "rollout_aborted" from why (${code})`);
}

/** The till whose attempt in the rollout took a step. */
function touchedIn({ type, subject, data }: LiveEvent, rolloutId: string): string[] {
  return type === 'deployment.state' && data.rolloutId === rolloutId ? [subject.slice('device:'.length)] : [];
}

/** Of the last till, which is no canary. @returns the codes of what it waits for */
async function tellWhy({ flock, out }: Way): Promise<string[]> {
  const device = flock.devices.at(-1) ?? '';
  const blockers = await blockersOf(flock.api, device);
  out.line(`    why ${device} does not run the newest commit:`);
  tellBlockers(out, blockers);
  return blockers.map(({ code }) => code);
}

function since({ pushed }: Way, { atMs }: Seen): string {
  return `${((atMs - pushed.startedMs) / 1000).toFixed(1)} s`;
}

const LISTED = 6;

function listOf(ids: readonly string[]): string {
  const more = ids.length - LISTED;
  return `${ids.slice(0, LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
