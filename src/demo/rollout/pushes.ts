import type { EventType } from '../../wire/event/events.ts';
import type { LiveEvent } from '../../wire/live.ts';
import { blockersOf, demand, isStep, printBlockers, rolloutOf } from '../observe.ts';
import type { Output } from '../output.ts';
import type { Recording, Seen } from '../stack/feed.ts';
import { commitAndPush, type Pushed } from '../stack/repositories.ts';
import { type DemoCommit, FIX, GOOD, HASTY_PAYMENTS, UNHEALTHY } from './commits.ts';
import { runningBundles, showWaves, takenBy } from './inspect.ts';
import type { Tills } from './tills.ts';

/** The observations so far; a step that fails has added its own observations. */
export type Observed = {
  devices: number;
  canaries: number;
  /** How each rollout ended. */
  rollouts: string[];
  /** Tills that began an attempt of a commit that was aborted. */
  touched: Set<string>;
  /** Canaries that rolled back by themselves, and those that the abort reverted. */
  rolledBack: number;
  reverted: number;
  /** Tills that run the last commit. */
  applied: number;
};

/** One commit, and its rollout. */
type Push = { tills: Tills; out: Output; recording: Recording; pushed: Pushed; rolloutId: string; canaries: string[] };

/** Step 1: canaries, a bake, the gate, the rest. @throws Problem `demo_incomplete` */
export async function pushGoodCommit(tills: Tills, out: Output, observed: Observed): Promise<void> {
  out.heading('1  A good commit: a tenth of the tills first, then the others');
  await reachAll(tills, out, observed, GOOD);
}

/** Step 2: the canaries fail their health check. @throws Problem `demo_incomplete` */
export async function pushUnhealthyCommit(tills: Tills, out: Output, observed: Observed): Promise<void> {
  out.heading('2  A commit that validates, but fails the health check on the tills');
  const before = await runningBundles(tills);
  using recording = tills.feed.record();
  const push = await begin(tills, out, recording, UNHEALTHY);
  const aborted = await until(push, 'rollout.aborted');
  await allCanaries(push, 'rolled_back');
  out.bad(`aborted after ${since(push, aborted)}: ${String(aborted.event.data.detail)}`);
  observed.rolledBack += push.canaries.length;
  await expectOnlyCanaries(push, observed, before);
}

/** Step 3: every health check passes, and then the canaries make more errors than the others. @throws Problem `demo_incomplete` */
export async function pushHastyCommit(tills: Tills, out: Output, observed: Observed): Promise<void> {
  out.heading('3  A commit that every health check passes, and that drives the error rate up');
  const before = await runningBundles(tills);
  using recording = tills.feed.record();
  const push = await begin(tills, out, recording, HASTY_PAYMENTS);
  await allCanaries(push, 'succeeded');
  out.line(`    the canaries run it and are healthy; their metrics are watched …`);
  const aborted = await until(push, 'rollout.aborted');
  out.bad(`aborted after ${since(push, aborted)}: ${String(aborted.event.data.detail)}`);
  demand(aborted.event.data.code === 'gate_failed', `the gate as the reason of the abort (${String(aborted.event.data.code)})`);
  const reverted = await until(push, 'rollout.reverted');
  out.line(`    the canaries are back after ${since(push, reverted)}`);
  observed.reverted += Number(reverted.event.data.reverted);
  await expectOnlyCanaries(push, observed, before);
}

/** Step 4: the fix reaches all tills. @throws Problem `demo_incomplete` */
export async function pushFix(tills: Tills, out: Output, observed: Observed): Promise<void> {
  out.heading('4  The fix');
  observed.applied = await reachAll(tills, out, observed, FIX);
}

/** @returns how many tills run it */
async function reachAll(tills: Tills, out: Output, observed: Observed, commit: DemoCommit): Promise<number> {
  using recording = tills.feed.record();
  const push = await begin(tills, out, recording, commit);
  observed.canaries = push.canaries.length;
  await allCanaries(push, 'succeeded');
  out.line(`    the canaries run it and are healthy; they are watched, and the others wait:`);
  await printReasons(push);
  const passed = await untilGood(push, 'rollout.wave_passed');
  out.line(`    the gate is passed after ${since(push, passed)}: the other ${tills.devices.length - push.canaries.length} get it`);
  const completed = await untilGood(push, 'rollout.completed');
  const { state } = await showWaves(tills, out, push.rolloutId);
  observed.rollouts.push(state);
  const running = [...(await runningBundles(tills)).values()];
  demand(running.length === tills.devices.length && new Set(running).size === 1 && running[0] !== '', 'one configuration on all tills');
  out.good(`all ${running.length} tills run commit ${push.pushed.commit.slice(0, 8)}, ${since(push, completed)} after the push`);
  return running.length;
}

/** Pushes, and waits until the first wave has opened. */
async function begin(tills: Tills, out: Output, recording: Recording, commit: DemoCommit): Promise<Push> {
  const { repository } = tills;
  const pushed = await commitAndPush(repository, commit.message, commit.edits);
  for (const { file, from, to } of commit.edits) out.line(`    ${file}: ${from} becomes ${to}`);
  const rolloutId = await rolloutOf(recording, repository.name, pushed.commit);
  const push = { tills, out, recording, pushed, rolloutId, canaries: [] };
  const opened = await until(push, 'rollout.wave_opened');
  const canaries = await takenBy(tills, rolloutId, 0);
  out.line(
    `    ${canaries.length} canaries of ${tills.devices.length} tills get the commit after ${since(push, opened)}: ${listOf(canaries)}`,
  );
  return { ...push, canaries };
}

/** The first event of one of these types. */
function until({ recording, rolloutId }: Push, ...types: EventType[]): Promise<Seen> {
  const matches = (event: LiveEvent) => event.subject === `rollout:${rolloutId}` && types.some((type) => type === event.type);
  return recording.find(`"${types.join('" or "')}" of the rollout`, matches);
}

/** @throws Problem `demo_incomplete` at once when it is aborted instead */
async function untilGood(push: Push, type: EventType): Promise<Seen> {
  const seen = await until(push, type, 'rollout.aborted');
  demand(seen.event.type === type, `"${type}" of the rollout, which was aborted: ${String(seen.event.data.detail)}`);
  return seen;
}

async function allCanaries({ recording, rolloutId, canaries }: Push, state: string): Promise<void> {
  await Promise.all(canaries.map((id) => recording.find(`"${state}" on ${id}`, isStep(id, state, rolloutId))));
}

/** Every till runs its earlier configuration, byte for byte, and only canaries ever got the commit. */
async function expectOnlyCanaries(push: Push, observed: Observed, before: ReadonlyMap<string, string>): Promise<void> {
  const { tills, out, recording, rolloutId, canaries } = push;
  const { state } = await showWaves(tills, out, rolloutId);
  observed.rollouts.push(state);
  const touched = recording.seen.flatMap(({ event }) => touchedIn(event, rolloutId));
  for (const id of touched) observed.touched.add(id);
  const others = [...touched, ...(await takenBy(tills, rolloutId))].filter((id) => !canaries.includes(id));
  demand(others.length === 0, `nobody but the canaries touched (touched: ${listOf(others)})`);
  const after = await runningBundles(tills);
  const changed = tills.devices.filter((id) => after.get(id) === '' || after.get(id) !== before.get(id));
  demand(changed.length === 0, `every till with the configuration from before (others: ${listOf(changed)})`);
  const [digest = ''] = after.values();
  out.good(
    `the ${canaries.length} canaries run what they ran before, byte for byte (SHA-256 ${digest.slice(0, 12)}…); nobody else was touched`,
  );
  const [code] = await printReasons(push);
  demand(code === 'rollout_aborted', `the reason "rollout_aborted" from why (${code})`);
}

/** The till whose attempt in the rollout took a step. */
function touchedIn({ type, subject, data }: LiveEvent, rolloutId: string): string[] {
  return type === 'deployment.state' && data.rolloutId === rolloutId ? [subject.slice('device:'.length)] : [];
}

/** @returns the codes of the blockers of the last till, which is no canary */
async function printReasons({ tills, out }: Push): Promise<string[]> {
  const device = tills.devices.at(-1) ?? '';
  const blockers = await blockersOf(tills.api, device);
  out.line(`    why ${device} does not run the newest commit:`);
  printBlockers(out, blockers);
  return blockers.map(({ code }) => code);
}

function since({ pushed }: Push, { atMs }: Seen): string {
  return `${((atMs - pushed.startedMs) / 1000).toFixed(1)} s`;
}

const LISTED = 6;

function listOf(ids: readonly string[]): string {
  const more = ids.length - LISTED;
  return `${ids.slice(0, LISTED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
