import type { Db } from '../../db/connect.ts';
import { gateOf, type RolloutPolicy, waveCount } from '../../policy/policy.ts';
import { needsEvidence } from '../decide/gates.ts';
import { currentWave, type RolloutSnapshot, type WaveSnapshot } from '../decide/snapshot.ts';
import { isActive, type Rollout, type RolloutState, type Waiting } from '../rollout.ts';
import { approvalsOf } from './approvals.ts';
import { countReverting, metricReadings, startedLastMinute, type WaveCounts, waveCounts } from './counts.ts';
import { type Eligibility, eligibilityOf, evidenceOf } from './eligibility.ts';
import { type Predecessor, predecessors, type WaveRow, wavesOf } from './store.ts';

const NO_DEVICES: Eligibility = { eligible: { total: 0, reachable: 0, away: 0, room: 0 }, quarantined: new Map(), kept: 0 };
const NONE: Omit<WaveCounts, 'wave'> = { offline: 0, open: 0, succeeded: 0, failed: 0, queued: 0, notRolledBack: 0, lastEndedAt: null };

/** Reads the input of `plan`. @param takes whether to count devices that the rollout has not started */
export async function loadSnapshot(sql: Db, rollout: Rollout, takes = takesDevices(rollout.state)): Promise<RolloutSnapshot> {
  const { policy } = rollout;
  const [rows, counts] = await Promise.all([wavesOf(sql, rollout), waveCounts(sql, rollout)]);
  const waves = snapshotWaves(rows, counts);
  const wave = Math.min(currentWave(policy, waves), waveCount(policy) - 1);
  const metrics = [...new Set((gateOf(policy, wave).metrics ?? []).map((gate) => gate.metric))];
  const [eligibility, started, readings, approvals, blockers, reverting] = await Promise.all([
    takes ? eligibilityOf(sql, rollout, wave) : NO_DEVICES,
    policy.rate === undefined ? { count: 0, firstAt: null } : startedLastMinute(sql, rollout),
    waves[wave] === undefined ? [] : metricReadings(sql, rollout, wave, metrics),
    policy.approval === undefined && !policy.waves?.some((each) => each.approval) ? [] : approvalsOf(sql, rollout),
    takes ? loadBlockers(sql, rollout) : [],
    rollout.state === 'reverting' ? countReverting(sql, rollout) : 0,
  ]);
  const snapshot = {
    state: rollout.state,
    policy,
    waves,
    ...eligibility,
    unavailable: counts.reduce((sum, wave) => sum + wave.open + wave.notRolledBack, 0),
    startedLastMinute: started,
    readings,
    approvals,
    blockers,
    windowsOverridden: rollout.windowsOverriddenBy !== null,
    queued: counts.reduce((sum, wave) => sum + wave.queued, 0),
    reverting,
  };
  const asks = isActive(rollout.state) && takes && needsEvidence(snapshot, wave);
  return { ...snapshot, evidence: asks ? await evidenceOf(sql, rollout, wave) : null };
}

function takesDevices(state: RolloutState): boolean {
  return state === 'planned' || state === 'awaiting_approval' || state === 'running' || state === 'completed';
}

function snapshotWaves(rows: readonly WaveRow[], counts: readonly WaveCounts[]): WaveSnapshot[] {
  return rows.map(({ wave, openedAt, passedAt }) => {
    const { offline, open, succeeded, failed, lastEndedAt } = counts.find((count) => count.wave === wave) ?? NONE;
    return { openedAt, passedAt, offline, open, succeeded, failed, lastEndedAt };
  });
}

/** A rollout, or a possible one. */
type Blockable = Pick<Rollout, 'organizationId' | 'sourceId' | 'policy' | 'kind'>;

/** External reasons that keep the rollout from starting devices: the source's hold, and other sources that must complete first. */
export async function loadBlockers(sql: Db, rollout: Blockable): Promise<Waiting[]> {
  const held = await sql<{ by: string; reason: string }[]>`
    select held_by as by, hold_reason as reason from sources
    where organization_id = ${rollout.organizationId} and id = ${rollout.sourceId} and held_at is not null`;
  const holds = held.map(({ by, reason }) => ({ code: 'source_held', detail: `the source is held by ${by}: ${reason}` }));
  const after = orderOf(rollout.policy);
  const before = after.length === 0 ? [] : await predecessors(sql, rollout.organizationId, after);
  // A hold does not block the rollback that created it.
  return [...(rollout.kind === 'rollback' ? [] : holds), ...before.flatMap((predecessor) => blockerOf(rollout, predecessor))];
}

function orderOf(policy: RolloutPolicy): string[] {
  return policy.after ?? [];
}

function blockerOf(rollout: Blockable, { name, sourceId, rolloutId, state }: Predecessor): Waiting[] {
  const code = 'dependency';
  if (sourceId === null) return [{ code, detail: `it waits for source "${name}", which does not exist` }];
  if (sourceId === rollout.sourceId) return [{ code, detail: `it waits for source "${name}", which is its own` }];
  if (state === null) return [{ code, detail: `it waits for source "${name}", which has had no rollout yet` }];
  return state === 'completed' ? [] : [{ code, detail: `it waits for source "${name}", whose rollout ${rolloutId} is ${state}` }];
}
