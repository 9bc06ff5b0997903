import { conflict } from '../errors.ts';
import type { Unit } from '../event/transact.ts';
import type { Actor } from '../organization/organization.ts';
import { waveCount, waveName } from '../policy/policy.ts';
import { revisionOf } from '../revision/store.ts';
import { deploy, limitsOf } from './converge.ts';
import { currentWave } from './decide/snapshot.ts';
import { isActive, type Rollout, type RolloutState } from './rollout.ts';
import { approvalsOf, closeRequests, decideApproval } from './store/approvals.ts';
import { moveRollout, noteWaiting, overrideWindows, wavesOf } from './store/store.ts';
import { failedTargets } from './store/targets.ts';
import { abortRollout, emitRolloutEvent, passWave } from './transitions.ts';

/** Operators' commands on a rollout. Each runs in a transaction that holds the rollout's lock. */

function requireState(rollout: Rollout, doing: string, states: readonly RolloutState[]): void {
  if (states.includes(rollout.state)) return;
  throw conflict('wrong_state', `Cannot ${doing} rollout "${rollout.id}": it is ${rollout.state}, must be ${states.join(' or ')}`);
}

/** Starts no more devices; attempts under way continue. @throws Problem `wrong_state` */
export async function pause(unit: Unit, rollout: Rollout, by: string, reason: string): Promise<void> {
  requireState(rollout, 'pause', ['planned', 'awaiting_approval', 'running']);
  await moveRollout(unit.tx, rollout.id, 'paused');
  await noteWaiting(
    unit.tx,
    { ...rollout, state: 'paused', waiting: null },
    { code: 'paused', detail: `${by} paused it: ${reason}` },
    null,
  );
  emitRolloutEvent(unit, rollout, 'rollout.paused', { by, reason });
}

/** @throws Problem `wrong_state` */
export async function resume(unit: Unit, rollout: Rollout, by: string): Promise<void> {
  requireState(rollout, 'resume', ['paused']);
  await moveRollout(unit.tx, rollout.id, 'running');
  emitRolloutEvent(unit, rollout, 'rollout.resumed', { by });
  unit.enqueue('rollout', rollout.id);
}

/** @param revert undefined: the policy decides. @throws Problem `wrong_state` */
export async function abort(unit: Unit, rollout: Rollout, by: string, reason: string, revert: boolean | undefined): Promise<void> {
  requireState(rollout, 'abort', ['planned', 'awaiting_approval', 'running', 'paused']);
  const isRevert = revert ?? (rollout.policy.onAbort ?? 'revert') === 'revert';
  await abortRollout(unit, rollout, { code: 'aborted', detail: `${by}: ${reason}` }, isRevert);
}

/**
 * Answers the rollout's approval request. With four eyes, neither the commit's author nor a token without an email can approve it.
 * @throws Problem `nothing_to_approve`, `four_eyes`
 */
export async function decide(
  unit: Unit,
  rollout: Rollout,
  actor: Actor,
  answer: { decision: 'approved' | 'rejected'; from: string; comment: string | null },
): Promise<void> {
  const asked = (await approvalsOf(unit.tx, rollout)).find((approval) => approval.decision === null);
  if (asked === undefined || !isActive(rollout.state)) {
    throw conflict('nothing_to_approve', `Cannot answer for rollout "${rollout.id}": it is ${rollout.state} and awaits no approval`);
  }
  if (answer.decision === 'approved' && rollout.policy.approval?.fourEyes === true) await requireOtherEyes(unit, rollout, actor);
  await decideApproval(unit.tx, rollout, asked.id, {
    ...answer,
    by: actor.name,
    email: actor.email,
    expiresInSeconds: rollout.policy.approval?.expiresAfterSeconds ?? null,
  });
  const data = {
    wave: asked.wave,
    name: asked.wave === null ? null : waveName(rollout.policy, asked.wave),
    by: actor.name,
    comment: answer.comment,
  };
  if (answer.decision === 'rejected') {
    emitRolloutEvent(unit, rollout, 'rollout.rejected', data);
    const detail = `${actor.name} rejected it${answer.comment === null ? '' : `: ${answer.comment}`}`;
    await abortRollout(unit, rollout, { code: 'rejected', detail }, (rollout.policy.onAbort ?? 'revert') === 'revert');
    return;
  }
  if (rollout.state === 'awaiting_approval') await moveRollout(unit.tx, rollout.id, 'running');
  emitRolloutEvent(unit, rollout, 'rollout.approved', data);
  unit.enqueue('rollout', rollout.id);
}

async function requireOtherEyes(unit: Unit, rollout: Rollout, actor: Actor): Promise<void> {
  const revision = await revisionOf(unit.tx, rollout.organizationId, rollout.revisionId);
  if (actor.email === null)
    throw conflict(
      'four_eyes',
      `Cannot approve rollout "${rollout.id}" with token "${actor.name}": the token has no email to compare with the author's`,
    );
  if (revision?.authorEmail.toLowerCase() === actor.email.toLowerCase())
    throw conflict('four_eyes', `Cannot approve rollout "${rollout.id}": ${actor.email} wrote its commit, another person must approve`);
}

/** Passes the open wave, or the next one if none is open, regardless of its gate. @throws Problem `wrong_state` */
export async function skipWave(unit: Unit, rollout: Rollout, by: string): Promise<void> {
  requireState(rollout, 'skip a wave of', ['planned', 'awaiting_approval', 'running', 'paused']);
  const wave = currentWave(rollout.policy, await wavesOf(unit.tx, rollout));
  if (wave >= waveCount(rollout.policy)) throw conflict('wrong_state', `Cannot skip a wave of rollout "${rollout.id}": all are passed`);
  await closeRequests(unit.tx, rollout, wave);
  await passWave(unit, rollout, wave, by);
  if (rollout.state === 'awaiting_approval') await moveRollout(unit.tx, rollout.id, 'running');
  unit.enqueue('rollout', rollout.id);
}

/** Opens another attempt for failed devices, even with a quarantined bundle. @returns how many. @throws Problem `wrong_state`, `nothing_to_retry` */
export async function retryFailed(unit: Unit, rollout: Rollout, by: string, deviceIds: readonly string[] | undefined): Promise<number> {
  requireState(rollout, 'retry in', ['running', 'paused', 'completed']);
  const targets = await failedTargets(unit.tx, rollout, deviceIds);
  if (targets.length === 0) throw conflict('nothing_to_retry', `Cannot retry in rollout "${rollout.id}": none of the devices failed in it`);
  if (rollout.state === 'completed') await moveRollout(unit.tx, rollout.id, 'running');
  for (const [wave, group] of Map.groupBy(targets, (target) => target.wave)) {
    const attempt = { kind: 'retry' as const, rolloutId: rollout.id, wave, force: true, limits: limitsOf(rollout) };
    await deploy(unit, rollout.organizationId, group, attempt);
  }
  emitRolloutEvent(unit, rollout, 'rollout.retried', { by, devices: targets.length });
  unit.enqueue('rollout', rollout.id);
  return targets.length;
}

/** Lets the rollout continue outside of its windows. @throws Problem `wrong_state` */
export async function override(unit: Unit, rollout: Rollout, by: string, reason: string): Promise<void> {
  requireState(rollout, 'override the windows of', ['planned', 'awaiting_approval', 'running', 'paused']);
  await overrideWindows(unit.tx, rollout.id, by);
  emitRolloutEvent(unit, rollout, 'rollout.windows_overridden', { by, reason });
  unit.enqueue('rollout', rollout.id);
}
