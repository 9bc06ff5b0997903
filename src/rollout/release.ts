import { auditDevices } from '../audit/store.ts';
import { emitStanding } from '../device/events.ts';
import { acceptMatching, endHoldsUntilNewer } from '../device/store/status.ts';
import type { Unit } from '../event/transact.ts';
import { newId } from '../ids.ts';
import { RolloutPolicy } from '../policy/policy.ts';
import { candidateRevisions, releaseCandidates, revisionOf } from '../revision/store.ts';
import type { Source } from '../source/source.ts';
import { holdSource } from '../source/store.ts';
import type { Rollout } from './rollout.ts';
import { abortedRevisions, insertRollout, newestRollout, rolloutById, supersedeRollouts } from './store/store.ts';
import { emitRolloutEvent } from './transitions.ts';

export type Start = {
  revisionId: string;
  commit: string;
  policy: RolloutPolicy;
  kind?: Rollout['kind'];
  reason?: string | null;
  createdBy?: string;
};

/**
 * Releases the latest valid bundles of a source's folders to its devices by a new rollout, which replaces the one under way. Starts none if no folder's
 * bundle changed. The caller holds the source's lock.
 * @returns the rollout's id; null: no rollout was started
 */
export async function releaseSource(unit: Unit, source: Source, start: Start): Promise<string | null> {
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  const released = await releaseCandidates(unit.tx, owner);
  return released.length === 0 ? null : startRollout(unit, source, start, released);
}

/**
 * Whether an aborted rollout contained the bundles that `releaseSource` would release. Automation does not start them again; a person or a newer commit
 * may. The caller holds the source's lock.
 */
export async function isWithheld(unit: Unit, source: Source): Promise<boolean> {
  const candidates = await candidateRevisions(unit.tx, { organizationId: source.organizationId, sourceId: source.id });
  return (await abortedRevisions(unit.tx, source.organizationId, candidates)).length > 0;
}

/**
 * Ends the hold of a source and releases the newest valid revision, unless its rollout was aborted. The caller holds the source's lock.
 * @returns why no rollout was started although the devices do not run the head; null: nothing to report
 */
export async function liftHold(unit: Unit, source: Source, by: string): Promise<string | null> {
  const { organizationId, id: sourceId } = source;
  await holdSource(unit.tx, sourceId, null);
  const notStarted = (await isWithheld(unit, source)) ? NOT_STARTED : null;
  const data = { by, ...(notStarted === null ? {} : { reason: notStarted }) };
  unit.emit({ organizationId, type: 'source.released', subject: `source:${sourceId}`, data });
  const head = source.revisionId === null ? undefined : await revisionOf(unit.tx, organizationId, source.revisionId);
  const isReady = head !== undefined && head.verdict !== 'invalid' && notStarted === null;
  const started = isReady
    ? await releaseSource(unit, source, {
        revisionId: head.id,
        commit: head.commit,
        policy: policyFor(source, head.rolloutPolicy),
        reason: 'the hold was lifted',
        createdBy: by,
      })
    : null;
  const rollout = started === null ? await newestRollout(unit.tx, organizationId, sourceId) : undefined;
  if (rollout !== undefined) unit.enqueue('rollout', rollout.id);
  return notStarted;
}

const NOT_STARTED = 'the rollout of this revision was aborted and does not restart by itself: push a newer commit or run `rollouts start`';

/** Starts a rollout of the folders' current bundles. The caller holds the source's lock. @param paths the folders whose bundle changed */
export async function startRollout(unit: Unit, source: Source, start: Start, paths: readonly string[]): Promise<string> {
  const { organizationId, id: sourceId } = source;
  const id = newId();
  const { revisionId, policy, kind = 'revision', reason = null, createdBy = 'controller' } = start;
  await insertRollout(unit.tx, { organizationId, id, sourceId, revisionId, policy, kind, reason, createdBy });
  const superseded = await supersedeRollouts(unit.tx, organizationId, sourceId, id);
  await endHolds(unit, { organizationId, sourceId }, paths, revisionId);
  await acceptReverts(unit, { organizationId, sourceId });
  for (const old of superseded) {
    const rollout = await rolloutById(unit.tx, old);
    if (rollout !== undefined) emitRolloutEvent(unit, rollout, 'rollout.superseded', { by: id });
    // It must cancel the attempts that no device has begun.
    unit.enqueue('rollout', old);
  }
  const data = { sourceId, revisionId, commit: start.commit, kind, paths: paths.length };
  unit.emit({ organizationId, type: 'rollout.planned', subject: `rollout:${id}`, data });
  unit.enqueue('rollout', id);
  unit.enqueue('commit_status', id);
  return id;
}

type Owner = { organizationId: string; sourceId: string };

/** Ends holds "until a newer revision" of devices whose folder gets a newer one. */
async function endHolds(unit: Unit, owner: Owner, paths: readonly string[], revisionId: string): Promise<void> {
  const { organizationId } = owner;
  const released = await endHoldsUntilNewer(unit.tx, owner, paths);
  if (released.length === 0) return;
  const detail = { reason: 'a newer revision is released', revisionId };
  for (const device of released) emitStanding(unit, 'device.released', device, detail);
  const ids = released.map(({ id }) => id);
  await auditDevices(unit.tx, { organizationId, actor: 'controller', action: 'device.release', outcome: 'ok', detail }, ids);
}

/** Marks devices as in sync that failed or rolled back, and whose folders were changed back to the bundle that they run. */
export async function acceptReverts(unit: Unit, owner: Owner): Promise<void> {
  for (const device of await acceptMatching(unit.tx, owner)) emitStanding(unit, 'device.status', device);
}

/** The policy of a revision: its own, unless only the source's settings apply. @param own `rollout:` of the repository, validated at preparation */
export function policyFor(source: Pick<Source, 'policyFrom' | 'rolloutPolicy'>, own: unknown): RolloutPolicy {
  return own === null || own === undefined || source.policyFrom === 'source' ? source.rolloutPolicy : RolloutPolicy.parse(own);
}
