import type { EventBuffer } from '../event/buffer.ts';
import { type Store, transact } from '../event/transact.ts';
import { faultPoint } from '../faults.ts';
import type { Log } from '../log.ts';
import { hasOpenMergeRequest, noteMergeRequest } from '../plan/store.ts';
import { revisionOf } from '../revision/store.ts';
import { type HookRecord, noteDelivery, recordHook } from '../source/deliveries-store.ts';
import type { Source } from '../source/source.ts';
import { checkSourceWithin, noteHookRepository } from '../source/store.ts';
import type { ChangeHook, HookRepository } from '../source/webhook/provider.ts';
import { decideHook, type HookDecision } from './decide.ts';
import type { RecordHook } from './record.ts';
import type { RepeatedBodies } from './repeated-bodies.ts';

export type HookOutcome = 'accepted' | 'duplicate' | 'other_ref' | 'other_repository';
export type TakeDeps = {
  store: Store;
  events: EventBuffer;
  log: Log;
  repeats: RepeatedBodies;
  record: RecordHook;
  wake(sourceId: string): void;
};
/** `body`: null where the signature covers the delivery's id, so that nobody else can send the body again. */
export type VerifiedHook = ChangeHook & { provider: string; body: Uint8Array | null };

type Recorded = Exclude<HookDecision, { kind: 'other_repository' }>;

/**
 * Decides what the hook means for its source, and then records it. A hook about another repository is never recorded as taken. A body that was
 * taken a moment ago is not taken again.
 */
export async function takeHook(deps: TakeDeps, source: Source, hook: VerifiedHook): Promise<HookOutcome> {
  const decision = decideHook(source, hook.provider, hook, await headsOf(deps.store, source, hook.repository));
  if (decision.kind === 'other_repository') {
    await note(deps, source, { provider: hook.provider, verdict: 'other_repository', detail: decision.detail });
    return 'other_repository';
  }
  if (hook.body === null) return record(deps, source, hook, decision);
  const delivery = { body: hook.body, meaning: `${hook.event} ${hook.mergeRequest?.state ?? ''}` };
  const repetition = deps.repeats.note(source.id, delivery, hook.after !== null);
  if (repetition.kind === 'again') return skipRepetition(deps, source, hook, repetition);
  return record(deps, source, hook, decision).catch((error: unknown) => {
    deps.repeats.forget(source.id, delivery);
    throw error;
  });
}

/** The remote may have changed since the first body came: a check follows, but soon rather than now. */
async function skipRepetition(
  deps: TakeDeps,
  source: Source,
  { provider, deliveryId }: VerifiedHook,
  { dueInSeconds, isNew }: { dueInSeconds: number; isNew: boolean },
): Promise<'duplicate'> {
  const detail = `Delivery "${deliveryId}" has the body of an earlier one; the source is checked within ${dueInSeconds} s`;
  if (isNew) await note(deps, source, { provider, verdict: 'duplicate', detail });
  await checkSourceWithin(deps.store.sql, source.id, dueInSeconds);
  return 'duplicate';
}

/**
 * One statement keeps the delivery and makes the source due, because that must not be lost: the poller would find it within a second. The job that
 * wakes a worker, and the event, follow. The sender does not wait for them.
 */
async function record(deps: TakeDeps, source: Source, hook: VerifiedHook, decision: Recorded): Promise<HookOutcome> {
  const { provider, deliveryId } = hook;
  if (decision.newHostId !== null) await noteHookRepository(deps.store.sql, source, decision.newHostId);
  faultPoint('before_hook_recorded');
  const { outcome, isGathered = false } =
    decision.kind === 'merge_request'
      ? { outcome: await recordMergeRequest(deps, source, hook, decision) }
      : await recordChange(deps, source, hook, decision);
  faultPoint('after_hook_recorded');
  if (outcome === 'duplicate') await note(deps, source, { provider, verdict: 'duplicate', detail: `Delivery "${deliveryId}" came before` });
  if (outcome === 'accepted' && decision.kind === 'push') announcePush(deps, source, hook, decision, isGathered);
  return outcome;
}

function recordOf(source: Source, hook: VerifiedHook, { change, detail }: Recorded): Omit<HookRecord, 'verdict'> {
  const { event, ref, before, after } = change;
  const { provider, deliveryId, repeats } = hook;
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  return { ...owner, deliveryId, repeats, provider, event, ref, detail, commitOid: after, beforeOid: event === 'push' ? before : null };
}

async function recordChange(
  deps: TakeDeps,
  source: Source,
  hook: VerifiedHook,
  decision: Extract<Recorded, { kind: 'push' | 'other_ref' }>,
): Promise<{ outcome: HookOutcome; isGathered: boolean }> {
  const verdict = decision.kind === 'push' ? 'accepted' : 'other_ref';
  const expect = decision.kind === 'push' ? decision.expect : null;
  const { isFresh, isGathered } = await deps.record({ ...recordOf(source, hook, decision), verdict }, expect);
  return { outcome: isFresh ? verdict : 'duplicate', isGathered };
}

/** A source that a flood of hooks made due is checked by the next poll, within a second, and not several times until then. */
function announcePush(
  deps: TakeDeps,
  { organizationId, id }: Source,
  { provider, deliveryId, pusher }: VerifiedHook,
  { change }: Recorded,
  isGathered: boolean,
): void {
  if (!isGathered) deps.wake(id);
  const data = { provider, ref: change.ref, commit: change.after, deliveryId, pusher };
  deps.events.emit({ organizationId, type: 'hook.received', subject: `source:${id}`, data });
}

/**
 * Keeps the delivery and the state of the merge request, and enqueues its plan. A merge request into another branch is over here: it was retargeted,
 * or it never concerned the source.
 */
async function recordMergeRequest(
  { store }: TakeDeps,
  source: Source,
  hook: VerifiedHook,
  decision: Extract<Recorded, { kind: 'merge_request' }>,
): Promise<HookOutcome> {
  const { organizationId, id: sourceId } = source;
  const { ref, after: commit, mergeRequest } = decision.change;
  const { number, target, title, url } = mergeRequest;
  const state = decision.isInto ? mergeRequest.state : 'closed';
  return transact(store, async (unit) => {
    const concerns = decision.isInto || (await hasOpenMergeRequest(unit.tx, { organizationId, sourceId, number }));
    const verdict = concerns ? 'accepted' : 'other_ref';
    const isNew = await recordHook(unit.tx, { ...recordOf(source, hook, decision), verdict }, null);
    if (!isNew) return 'duplicate';
    if (!concerns) return verdict;
    const request = { organizationId, sourceId, number, state, title, url, target, headRef: ref, hookedCommit: commit };
    const id = await noteMergeRequest(unit.tx, request);
    if (id !== undefined && state === 'open') unit.enqueue('merge_request', id);
    const data = { provider: hook.provider, ref, commit, deliveryId: hook.deliveryId };
    unit.emit({ organizationId, type: 'hook.received', subject: `source:${sourceId}`, data });
    return verdict;
  });
}

/** Notes a delivery that was not taken. A failure does not change the answer. */
export async function note(
  { store, log }: { store: Store; log: Log },
  source: Source,
  delivery: Parameters<typeof noteDelivery>[2],
): Promise<void> {
  await noteDelivery(store.sql, source, delivery).catch((error: unknown) =>
    log.warn({ sourceId: source.id, err: error }, 'failed to note a hook; the list of deliveries lacks it'),
  );
}

/** Refs that `HEAD` stands for: the hook's default branch first, then the ref of the last prepared commit. */
async function headsOf({ sql }: Store, source: Source, repository: HookRepository | undefined): Promise<string[]> {
  if (source.ref !== 'HEAD') return [];
  const { organizationId, revisionId } = source;
  const revision = revisionId === null ? undefined : await revisionOf(sql, organizationId, revisionId);
  return [repository?.defaultBranch, revision?.ref].filter((ref): ref is string => ref?.startsWith('refs/') === true);
}
