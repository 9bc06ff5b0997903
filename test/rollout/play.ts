import { RolloutPolicy, waveCount } from '../../src/policy/policy.ts';
import { plan, type RolloutStep } from '../../src/rollout/decide/plan.ts';
import { currentWave } from '../../src/rollout/decide/snapshot.ts';
import { isActive } from '../../src/rollout/rollout.ts';
import { isCarried } from './bystanders.ts';
import { checkEnd, checkStep, isProven, judge } from './laws.ts';
import { allowance, checkStarts, demand } from './limits.ts';
import { abort, execute, expiry, join, type Model, openModel, openNext, passWave, snapshotOf } from './model.ts';
import type { Act, Scenario } from './scenario.ts';
import {
  answers,
  cancelAttempts,
  converge,
  type Device,
  deploy,
  newest,
  nextEventAt,
  outcome,
  passTime,
  SECOND,
  setOnline,
} from './world.ts';

type Wait = Extract<RolloutStep, { do: 'wait' }>;
type Play = { model: Model; story: string[] };

const START = Date.parse('2026-03-01T00:00:00Z');
/** Maximum number of checks until nothing happens any more. */
const MAX_CHECKS = 5_000;
const NO_END = `the rollout does not end within ${MAX_CHECKS} checks`;

/** Plays the scenario to its end and checks the laws. @throws Error that names the violated law and lists all events */
export function play({ policy, devices, acts }: Scenario): Play {
  const model = openModel(RolloutPolicy.parse(policy), devices, START);
  const running: Play = { model, story: [] };
  try {
    for (const act of acts) {
      advance(running, model.world.now + act.afterSeconds * SECOND);
      perform(running, act);
    }
    playToEnd(running);
    // All devices come online, and all holds end.
    for (const device of model.world.devices) {
      setOnline(model.world, device, true);
      release(model, device);
    }
    log(running, 'all devices come online');
    playToEnd(running);
    checkEnd(model);
    return running;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error([reason, ...running.story].join('\n  '), { cause: error });
  }
}

function log({ model, story }: Play, what: string): void {
  story.push(`${((model.world.now - START) / SECOND).toFixed(0).padStart(6)} s  ${what}`);
}

/** Reconciles and processes due events until the given time. */
function advance(running: Play, until: number): void {
  const { world } = running.model;
  for (let checks = 0; checks < MAX_CHECKS; checks++) {
    const wait = reconcile(running);
    const next = Math.min(wait.until?.getTime() ?? Number.POSITIVE_INFINITY, nextEventAt(world));
    world.now = Math.min(next, until);
    if (next > until) return;
    passTime(world);
  }
  throw new Error(NO_END);
}

/** Advances until no event is left. An operator answers requests, and skips a wave that waits for offline devices. */
function playToEnd(running: Play): void {
  const { world } = running.model;
  for (let checks = 0; checks < MAX_CHECKS; checks++) {
    const wait = reconcile(running);
    if (help(running, wait)) continue;
    const next = Math.min(wait.until?.getTime() ?? Number.POSITIVE_INFINITY, nextEventAt(world));
    if (next === Number.POSITIVE_INFINITY) {
      demand(!isActive(running.model.state) && running.model.state !== 'reverting', `the rollout waits for ever: ${wait.why.code}`);
      return;
    }
    world.now = next;
    passTime(world);
  }
  throw new Error(NO_END);
}

/** Plans and executes steps until the rollout waits. */
function reconcile(running: Play): Wait {
  const { model } = running;
  const { world } = model;
  const now = new Date(world.now);
  let snapshot = freeze(snapshotOf(model));
  const maxSteps = 4 * waveCount(model.policy) + world.devices.length + 8;
  for (let steps = 0; steps < maxSteps; steps++) {
    const step = plan(snapshot, now);
    const before = JSON.stringify(snapshot);
    demand(
      JSON.stringify(plan(structuredClone(snapshot), new Date(now))) === JSON.stringify(step),
      'the same snapshot gives the same step',
    );
    if (step.do === 'wait') {
      demand(step.until === null || step.until > now, `the next check is in the future: ${step.why.code}`);
      return step;
    }
    checkStep(model, step);
    const allowed = step.do === 'open_wave' ? allowance(model, step.wave) : null;
    const started = execute(model, step);
    log(running, `${describe(step)}${started.length === 0 ? '' : `: ${started.map(({ id }) => id).join(' ')}`}`);
    if (allowed !== null) checkStarts(model, started, allowed);
    snapshot = freeze(snapshotOf(model));
    demand(JSON.stringify(snapshot) !== before, `a step changes something: ${step.do}`);
  }
  throw new Error(`the rollout takes more than ${maxSteps} steps without a wait`);
}

function describe({ do: name, ...rest }: RolloutStep): string {
  const values = Object.entries(rest).map(([key, value]) => `${key} ${value}`);
  return [name, values.join(', ')].join(' ').trim();
}

/** Freezes plain objects and arrays deeply, so that a planner that changes its input fails. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value))
    for (const part of Object.values(Object.freeze(value))) freeze(part);
  return value;
}

function help(running: Play, { why }: Wait): boolean {
  const { model } = running;
  const act = helpFor(model, why.code);
  if (act !== null) perform(running, { do: act, device: 0, afterSeconds: 0 });
  return act !== null;
}

function helpFor(model: Model, code: string): Act['do'] | null {
  const { world, policy, waves } = model;
  const wave = currentWave(policy, snapshotOf(model).waves);
  if (code === 'paused') return 'resume';
  if (code === 'awaiting_approval') return 'approve';
  if (code === 'source_held') return 'release_source';
  if (code === 'gate' || code === 'no_success') {
    demand(judge(model, wave) === 'unknown', 'a gate waits only for successes that may still come');
    demand(code === 'gate' || !isProven(model, wave), 'a wave with a success does not ask for one');
    return nextEventAt(world) === Number.POSITIVE_INFINITY ? 'skip_wave' : null;
  }
  const isUpdated = (device: Device) =>
    (newest(device)?.wave === wave && outcome(device) === 'succeeded') || isCarried(model, wave, device);
  const reports = world.devices.some((device) => isUpdated(device) && answers(device));
  return code === 'no_telemetry' && waves[wave] !== undefined && !reports && nextEventAt(world) === Number.POSITIVE_INFINITY
    ? 'skip_wave'
    : null;
}

function release(model: Model, device: Device): void {
  if (!device.held) return;
  device.held = false;
  converge(model.world, device);
}

function perform(running: Play, act: Act): void {
  const { model } = running;
  const { devices } = model.world;
  const device = devices[act.device % devices.length];
  if (device !== undefined && act.do in DEVICE_ACTS) {
    DEVICE_ACTS[act.do as keyof typeof DEVICE_ACTS](model, device);
    log(running, `${act.do} ${device.id}`);
  }
  if (act.do === 'hold_source' || act.do === 'release_source') {
    model.blocked = act.do === 'hold_source';
    log(running, act.do);
  }
  if (act.do in SOURCE_ACTS && !model.world.superseded) {
    SOURCE_ACTS[act.do as keyof typeof SOURCE_ACTS](model);
    log(running, act.do);
  }
  if (isActive(model.state) && act.do in OPERATOR_ACTS) {
    OPERATOR_ACTS[act.do as keyof typeof OPERATOR_ACTS](model);
    log(running, act.do);
  }
}

const DEVICE_ACTS = {
  go_away: ({ world }: Model, device: Device) => setOnline(world, device, false),
  come_back: ({ world }: Model, device: Device) => setOnline(world, device, true),
  join,
  leave: (_: Model, device: Device) => {
    Object.assign(device, { bound: false, hasLeft: true });
  },
  hold: ({ world }: Model, device: Device) => {
    cancelAttempts(world, device);
    device.held = true;
  },
  release,
  relabel: (_: Model, device: Device) => {
    device.ring = device.ring === 'wide' ? 'canary' : 'wide';
  },
  roll_back_device: ({ world }: Model, device: Device) => {
    device.held = true;
    deploy(world, device, 'other', { inRollout: false, wave: 0, kind: 'rollback', number: 1 });
  },
};

/** Each starts another rollout, or none. */
const SOURCE_ACTS = {
  /** An operator starts Git's revision again. */
  restart: (model: Model) => {
    if (!model.isRolledBack) openNext(model, { isBack: false });
  },
  roll_back: (model: Model) => {
    model.isRolledBack = true;
    openNext(model, { isBack: true });
  },
  /** Lifts the hold of a rollback. That does not restart an aborted rollout. */
  lift_hold: (model: Model) => {
    if (!model.isRolledBack) return;
    model.isRolledBack = false;
    if (!model.wasAborted) openNext(model, { isBack: false });
  },
};

const OPERATOR_ACTS = {
  approve: (model: Model) => {
    const asked = model.approvals.find(({ decision }) => decision === null);
    if (asked === undefined) return;
    Object.assign(asked, { decision: 'approved', expiresAt: expiry(model) });
    if (model.state === 'awaiting_approval') model.state = 'running';
  },
  reject: (model: Model) => {
    if (model.approvals.some(({ decision }) => decision === null))
      abort(model, { code: 'rejected', revert: model.policy.onAbort !== 'stop' });
  },
  pause: (model: Model) => pause(model, true),
  resume: (model: Model) => pause(model, false),
  /** Skips the open wave, or the next one. */
  skip_wave: (model: Model) => {
    const wave = currentWave(model.policy, snapshotOf(model).waves);
    if (wave >= waveCount(model.policy)) return;
    model.approvals = model.approvals.filter((approval) => approval.wave !== wave || approval.decision !== null);
    passWave(model, wave, true);
    if (model.state === 'awaiting_approval') model.state = 'running';
  },
  abort: (model: Model) => abort(model, { code: 'aborted', revert: model.policy.onAbort !== 'stop' }),
  supersede: (model: Model) => {
    model.state = 'superseded';
    Object.assign(model.world, { superseded: true, paused: false });
  },
  override_windows: (model: Model) => {
    model.windowsOverridden = true;
  },
};

function pause(model: Model, isPaused: boolean): void {
  if ((model.state === 'paused') === isPaused) return;
  model.state = isPaused ? 'paused' : 'running';
  model.world.paused = isPaused;
}
