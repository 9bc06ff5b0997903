import { unreachable } from '../../src/async/unreachable.ts';
import { type Store, transact, type Unit } from '../../src/event/transact.ts';
import { rolloutSize } from '../../src/rollout/decide/capacity.ts';
import { plan, type RolloutStep } from '../../src/rollout/decide/plan.ts';
import type { Rollout } from '../../src/rollout/rollout.ts';
import { loadSnapshot } from '../../src/rollout/store/load.ts';
import { noteWaiting, rolloutById } from '../../src/rollout/store/store.ts';
import {
  abortRollout,
  askForApproval,
  cancelQueued,
  completeRollout,
  emitRolloutEvent,
  finishRevert,
  lockAsRead,
  openWave,
  passWave,
} from '../../src/rollout/transitions.ts';
import { lockSource } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';

/** A reconcile executes steps until the rollout waits. More steps than this mean that the planner loops. */
const MAX_STEPS = 1_000;

/** Snapshot → `plan` → step, until the rollout waits. @returns the number of devices in the snapshot */
export async function reconcileRollout(controller: Controller, id: string): Promise<number> {
  const { store } = controller;
  for (let taken = 0; taken < MAX_STEPS; taken++) {
    const rollout = await rolloutById(store.sql, id);
    if (rollout === undefined) return 0;
    const snapshot = await loadSnapshot(store.sql, rollout);
    const step = plan(snapshot, new Date());
    if (step.do === 'wait') {
      await wait(store, rollout, step);
      return rolloutSize(snapshot);
    }
    await transact(store, (unit) => execute(unit, rollout, step));
  }
  throw new Error(`rollout ${id} did not reach a wait within ${MAX_STEPS} steps`);
}

/** Reasons to wait that a person can resolve: these emit an event. */
const REPORTED_CODES = new Set(['source_held', 'dependency', 'window_closed', 'no_telemetry', 'no_success', 'gate']);

/** Records why the rollout waits. An ended rollout waits for nothing. A pause has already recorded who made it, and the reason. */
async function wait(store: Store, rollout: Rollout, { why, until }: Extract<RolloutStep, { do: 'wait' }>): Promise<void> {
  if (why.code === 'ended' || (why.code === 'paused' && rollout.waiting?.code === 'paused')) return;
  await transact(store, async (unit) => {
    if ((await noteWaiting(unit.tx, rollout, why, until)) && REPORTED_CODES.has(why.code))
      emitRolloutEvent(unit, rollout, 'rollout.blocked', why);
  });
}

async function execute(unit: Unit, rollout: Rollout, step: Exclude<RolloutStep, { do: 'wait' }>): Promise<void> {
  // Completing writes folders, and every writer of folders locks the source first.
  const source = step.do === 'complete' ? await lockSource(unit.tx, rollout.sourceId) : undefined;
  if (!(await lockAsRead(unit, rollout))) return;
  switch (step.do) {
    case 'open_wave':
      return openWave(unit, rollout, step);
    case 'pass_wave':
      return passWave(unit, rollout, step.wave, null);
    case 'request_approval':
      return askForApproval(unit, rollout, step.wave);
    case 'abort':
      return abortRollout(unit, rollout, { code: step.code, detail: step.detail }, step.revert);
    case 'cancel_queued':
      return cancelQueued(unit, rollout);
    case 'finish_revert':
      return finishRevert(unit, rollout);
    case 'complete':
      return completeRollout(unit, rollout, source?.name ?? '');
    default:
      return unreachable(step);
  }
}
