import type { Unit } from '../db/transact.ts';
import { newId } from '../ids.ts';
import { releaseCandidates, settleDevices } from '../revision/store.ts';
import type { Source } from '../source/source.ts';
import { tellRollout } from './acts.ts';
import { RolloutPolicy } from './policy.ts';
import type { Rollout } from './rollout.ts';
import { insertRollout, rolloutById, supersedeRollouts } from './store.ts';

export type Start = {
  revisionId: string;
  commit: string;
  policy: RolloutPolicy;
  kind?: Rollout['kind'];
  reason?: string | null;
  createdBy?: string;
};

/**
 * Lets the latest valid bundles of a source's folders go to its devices, by a rollout of their own that replaces the one under way. Nothing happens when
 * no folder's bundle changed. The caller holds the source's lock.
 * @returns the rollout's id
 */
export async function releaseSource(unit: Unit, source: Source, start: Start): Promise<string | null> {
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  const released = await releaseCandidates(unit.tx, owner);
  return released.length === 0 ? null : startRollout(unit, source, start, released);
}

/** A rollout of what the source's folders hold now. The caller holds the source's lock. @param paths the folders whose bundle changed */
export async function startRollout(unit: Unit, source: Source, start: Start, paths: readonly string[]): Promise<string> {
  const { organizationId, id: sourceId } = source;
  const id = newId();
  const { revisionId, policy, kind = 'revision', reason = null, createdBy = 'controller' } = start;
  await insertRollout(unit.tx, { organizationId, id, sourceId, revisionId, policy, kind, reason, createdBy });
  const superseded = await supersedeRollouts(unit.tx, organizationId, sourceId, id);
  for (const deviceId of await settleDevices(unit.tx, { organizationId, sourceId }, paths)) {
    const data = { status: 'ONLINE', syncStatus: 'in_sync' };
    unit.emit({ organizationId, type: 'device.status', subject: `device:${deviceId}`, data });
  }
  for (const old of superseded) {
    const rollout = await rolloutById(unit.tx, old);
    if (rollout !== undefined) tellRollout(unit, rollout, 'rollout.superseded', { by: id });
    // What it had not begun is taken back.
    unit.enqueue('rollout', old);
  }
  const data = { sourceId, revisionId, commit: start.commit, kind, paths: paths.length };
  unit.emit({ organizationId, type: 'rollout.planned', subject: `rollout:${id}`, data });
  unit.enqueue('rollout', id);
  unit.enqueue('commit_status', id);
  return id;
}

/** The policy that counts for a revision: its own, unless the source's settings alone count. @param own as `rollout:` stood in the repository, checked when it was prepared */
export function policyFor(source: Pick<Source, 'policyFrom' | 'rolloutPolicy'>, own: unknown): RolloutPolicy {
  return own === null || own === undefined || source.policyFrom === 'source' ? source.rolloutPolicy : RolloutPolicy.parse(own);
}
