import { audit } from '../../src/audit/store.ts';
import { transact, type Unit } from '../../src/db/transact.ts';
import { deploy } from '../../src/deployment/converge.ts';
import { countEligible, eligibleTargets } from '../../src/deployment/store.ts';
import { plan, type RolloutStep } from '../../src/rollout/plan.ts';
import type { Rollout } from '../../src/rollout/rollout.ts';
import { moveRollout, rolloutById, waveCounts } from '../../src/rollout/store.ts';
import type { Controller } from '../context.ts';

/** A rollout is looked at until it waits; more steps than this at once would be a planner that goes in circles. */
const MAX_STEPS = 1_000;

/** Snapshot → `plan` → steps, until nothing is left to do now. */
export async function reconcileRollout(controller: Controller, id: string): Promise<void> {
  for (let taken = 0; taken < MAX_STEPS; taken++) {
    const rollout = await rolloutById(controller.store.sql, id);
    if (rollout === undefined) return;
    const [waves, eligible] = await Promise.all([
      waveCounts(controller.store.sql, rollout),
      countEligible(controller.store.sql, rollout.organizationId, rollout.sourceId),
    ]);
    const steps = plan({ state: rollout.state, policy: rollout.policy, eligible, waves });
    if (steps.every((step) => step.do === 'wait')) return;
    for (const step of steps) await execute(controller, rollout, step);
  }
  throw new Error(`rollout ${id} does not come to rest`);
}

async function execute(controller: Controller, rollout: Rollout, step: RolloutStep): Promise<void> {
  switch (step.do) {
    case 'open_wave':
      return transact(controller.store, (unit) => openWave(unit, rollout, step.wave));
    case 'complete':
      return transact(controller.store, (unit) => complete(unit, rollout));
    case 'wait':
      return;
    default:
      return unreachable(step);
  }
}

async function openWave(unit: Unit, rollout: Rollout, wave: number): Promise<void> {
  const { organizationId } = rollout;
  // The row's lock keeps a newer commit's superseding and this wave from crossing.
  if (!(await lockIfOpen(unit, rollout))) return;
  await moveRollout(unit.tx, rollout.id, 'running');
  const targets = await eligibleTargets(unit.tx, organizationId, { sourceId: rollout.sourceId });
  const opened = await deploy(unit, organizationId, targets, { kind: 'change', rolloutId: rollout.id, wave });
  unit.emit({
    organizationId,
    type: 'rollout.running',
    subject: `rollout:${rollout.id}`,
    data: { sourceId: rollout.sourceId, wave, devices: opened.size },
  });
  await audit(unit.tx, {
    organizationId,
    actor: 'controller',
    action: 'rollout.open_wave',
    subject: `rollout:${rollout.id}`,
    outcome: 'ok',
    detail: { sourceId: rollout.sourceId, revisionId: rollout.revisionId, wave, devices: opened.size },
  });
}

async function lockIfOpen(unit: Unit, rollout: Rollout): Promise<boolean> {
  const rows = await unit.tx`select 1 from rollouts where id = ${rollout.id} and state in ('planned', 'running') for update`;
  return rows.length === 1;
}

async function complete(unit: Unit, rollout: Rollout): Promise<void> {
  if (!(await moveRollout(unit.tx, rollout.id, 'completed'))) return;
  const { organizationId } = rollout;
  const waves = await waveCounts(unit.tx, rollout);
  const sum = (key: 'succeeded' | 'failed' | 'offline') => waves.reduce((total, wave) => total + wave[key], 0);
  const counts = { succeeded: sum('succeeded'), failed: sum('failed'), offline: sum('offline') };
  unit.emit({
    organizationId,
    type: 'rollout.completed',
    subject: `rollout:${rollout.id}`,
    data: { sourceId: rollout.sourceId, ...counts },
  });
  await audit(unit.tx, {
    organizationId,
    actor: 'controller',
    action: 'rollout.complete',
    subject: `rollout:${rollout.id}`,
    outcome: 'ok',
    detail: { sourceId: rollout.sourceId, ...counts },
  });
}

function unreachable(step: never): never {
  throw new Error(`unknown step ${JSON.stringify(step)}`);
}
