import { audit } from '../audit/store.ts';
import { lockQueued } from '../deployment/store.ts';
import { markDiverged } from '../device/store/status.ts';
import type { NewEvent } from '../event/event.ts';
import type { Unit } from '../event/transact.ts';
import { newId } from '../ids.ts';
import { waveCount, waveName } from '../policy/policy.ts';
import { establishFolders } from '../revision/store.ts';
import type { EventData, EventType } from '../wire/event/events.ts';
import { cancelDeployments, deploy, limitsOf } from './converge.ts';
import type { RolloutStep } from './decide/plan.ts';
import type { Waiting } from './rollout.ts';
import { isActive, type Rollout } from './rollout.ts';
import { closeRequests, requestApproval } from './store/approvals.ts';
import { revertedCounts, waveCounts } from './store/counts.ts';
import { lockRollout, moveRollout, noteWave, rolloutsAfter } from './store/store.ts';
import { revertTargets, waveTargets } from './store/targets.ts';

/** Executes the steps of a plan, each in the transaction of its unit. The caller holds the rollout's lock. */

type Step<Name extends RolloutStep['do']> = Extract<RolloutStep, { do: Name }>;

type RolloutEventType = EventType & `rollout.${string}`;

export function emitRolloutEvent<Type extends RolloutEventType>(
  unit: Unit,
  rollout: Rollout,
  type: Type,
  data: Omit<EventData<Type>, 'sourceId' | 'revisionId'>,
): void {
  const { organizationId, id, sourceId, revisionId } = rollout;
  // The compiler cannot infer that the two ids and `data` form the event's data.
  unit.emit({ organizationId, type, subject: `rollout:${id}`, data: { sourceId, revisionId, ...data } } as NewEvent);
  unit.enqueue('commit_status', id);
}

function note(unit: Unit, rollout: Rollout, action: string, detail: Record<string, unknown>): Promise<void> {
  const { organizationId, id, sourceId, revisionId } = rollout;
  const subject = `rollout:${id}`;
  return audit(unit.tx, {
    organizationId,
    actor: 'controller',
    action,
    subject,
    outcome: 'ok',
    detail: { sourceId, revisionId, ...detail },
  });
}

export async function openWave(unit: Unit, rollout: Rollout, step: Step<'open_wave'>): Promise<void> {
  const isCatchUp = rollout.state === 'completed';
  const targets = step.limit === 0 ? [] : await waveTargets(unit.tx, rollout, step);
  const isNew = await noteWave(unit.tx, rollout, step.wave, null);
  const starts = rollout.state === 'planned' || rollout.state === 'awaiting_approval';
  if (starts && (await moveRollout(unit.tx, rollout.id, 'running'))) emitRolloutEvent(unit, rollout, 'rollout.running', {});
  // Catch-up attempts count for the rollout's limits, and wake it when they end.
  const part = { rolloutId: rollout.id, wave: step.wave };
  const opened = await deploy(unit, rollout.organizationId, targets, { kind: 'change', ...part, limits: limitsOf(rollout) });
  const data = { wave: step.wave, name: waveName(rollout.policy, step.wave), devices: opened.size };
  if (isCatchUp || isNew) emitRolloutEvent(unit, rollout, isCatchUp ? 'rollout.caught_up' : 'rollout.wave_opened', data);
  await note(unit, rollout, 'rollout.open_wave', data);
  // The next check starts the devices that the limits allow then.
  unit.enqueue('rollout', rollout.id);
}

export async function passWave(unit: Unit, rollout: Rollout, wave: number, skippedBy: string | null): Promise<void> {
  await noteWave(unit.tx, rollout, wave, { skippedBy });
  const data = { wave, name: waveName(rollout.policy, wave), skippedBy };
  emitRolloutEvent(unit, rollout, skippedBy === null ? 'rollout.wave_passed' : 'rollout.wave_skipped', data);
  await note(unit, rollout, skippedBy === null ? 'rollout.pass_wave' : 'rollout.skip_wave', data);
}

export async function askForApproval(unit: Unit, rollout: Rollout, wave: number | null): Promise<void> {
  const expiresInSeconds = rollout.policy.approval?.expiresAfterSeconds ?? null;
  if (rollout.state !== 'awaiting_approval') await moveRollout(unit.tx, rollout.id, 'awaiting_approval');
  if (!(await requestApproval(unit.tx, rollout, { id: newId(), wave, expiresInSeconds }))) return;
  emitRolloutEvent(unit, rollout, 'rollout.awaiting_approval', { wave, name: wave === null ? null : waveName(rollout.policy, wave) });
}

/** Ends an active rollout: cancels attempts that no device has begun and, with `revert`, rolls changed devices back. */
export async function abortRollout(unit: Unit, rollout: Rollout, end: Waiting, revert: boolean): Promise<void> {
  if (!(await moveRollout(unit.tx, rollout.id, 'aborted', end))) return;
  await closeRequests(unit.tx, rollout);
  await cancelQueued(unit, rollout);
  const counts = await sumOfWaves(unit, rollout);
  emitRolloutEvent(unit, rollout, 'rollout.aborted', { ...end, revert, ...counts });
  await note(unit, rollout, 'rollout.abort', { ...end, revert, ...counts });
  if (revert) await revertDevices(unit, rollout);
}

async function revertDevices(unit: Unit, rollout: Rollout): Promise<void> {
  const targets = await revertTargets(unit.tx, rollout);
  if (targets.length === 0) return;
  await moveRollout(unit.tx, rollout.id, 'reverting');
  const opened = await deploy(unit, rollout.organizationId, targets, { kind: 'rollback', rolloutId: rollout.id, force: true });
  emitRolloutEvent(unit, rollout, 'rollout.reverting', { devices: opened.size });
  await note(unit, rollout, 'rollout.revert', { devices: opened.size });
  unit.enqueue('rollout', rollout.id);
}

export async function finishRevert(unit: Unit, rollout: Rollout): Promise<void> {
  const counts = await revertedCounts(unit.tx, rollout);
  if (!(await moveRollout(unit.tx, rollout.id, 'reverted'))) return;
  emitRolloutEvent(unit, rollout, 'rollout.reverted', counts);
  await note(unit, rollout, 'rollout.finish_revert', counts);
}

/** Cancels the attempts of an ended rollout that no device has begun. */
export async function cancelQueued(unit: Unit, rollout: Rollout): Promise<void> {
  const queued = await lockQueued(unit.tx, rollout.organizationId, rollout.id);
  const as = rollout.state === 'superseded' ? 'superseded' : 'cancelled';
  if (queued.length > 0) await cancelDeployments(unit, rollout.organizationId, queued, as);
}

/** Completes the rollout and establishes its bundles. The caller also holds the source's lock, since folders are written. */
export async function completeRollout(unit: Unit, rollout: Rollout, sourceName: string): Promise<void> {
  if (!(await moveRollout(unit.tx, rollout.id, 'completed'))) return;
  const { organizationId, sourceId } = rollout;
  await markDiverged(unit.tx, { organizationId, sourceId }, await establishFolders(unit.tx, { organizationId, sourceId }));
  await closeRequests(unit.tx, rollout);
  // Waves without remaining devices count as passed: devices that are added later belong to the last wave.
  for (const wave of Array(waveCount(rollout.policy)).keys()) await noteWave(unit.tx, rollout, wave, { skippedBy: null });
  const counts = await sumOfWaves(unit, rollout);
  emitRolloutEvent(unit, rollout, 'rollout.completed', counts);
  await note(unit, rollout, 'rollout.complete', counts);
  for (const id of await rolloutsAfter(unit.tx, organizationId, sourceName)) unit.enqueue('rollout', id);
}

async function sumOfWaves(unit: Unit, rollout: Rollout): Promise<{ succeeded: number; failed: number; offline: number; open: number }> {
  const waves = await waveCounts(unit.tx, rollout);
  const sum = (key: 'succeeded' | 'failed' | 'offline' | 'open') => waves.reduce((total, wave) => total + wave[key], 0);
  return { succeeded: sum('succeeded'), failed: sum('failed'), offline: sum('offline'), open: sum('open') };
}

/** Locks the rollout's row. @returns false if the rollout has changed since it was read, so that it must be planned again */
export async function lockAsRead(unit: Unit, rollout: Rollout): Promise<boolean> {
  const present = await lockRollout(unit.tx, rollout.organizationId, rollout.id);
  return present !== undefined && present.version === rollout.version && (isActive(present.state) || present.state === rollout.state);
}
