import type { EventBuffer } from '../event/buffer.ts';
import { type Store, transact } from '../event/transact.ts';
import { faultPoint } from '../faults.ts';
import { foreignText } from '../git/problems.ts';
import { isOid } from '../git/remote.ts';
import type { Log } from '../log.ts';
import { hasOpenMergeRequest, noteMergeRequest } from '../plan/store.ts';
import { revisionOf } from '../revision/store.ts';
import { type HookRecord, noteDelivery, recordHook } from '../source/deliveries-store.ts';
import { EXPECT_COMMIT_SECONDS, followsRef, type Source } from '../source/source.ts';
import { noteHookRepository } from '../source/store.ts';
import type { HookRepository, MergeRequestHint, Poke, RefChange } from '../source/webhook/provider.ts';
import { compareRepository, type RepositoryVerdict } from '../source/webhook/repository.ts';

export type HookOutcome = 'accepted' | 'duplicate' | 'other_ref' | 'other_repository';
type Receiving = { store: Store; events: EventBuffer; log: Log } & { wake(sourceId: string): void };

/**
 * Decides by what the hook means for its source: the repository, then the ref. One statement keeps the delivery and makes the source due, which must
 * not be lost: the poller would find it within a second. The job that wakes a worker, and the event, follow without the sender waiting for them.
 */
export async function takeHook(services: Receiving, source: Source, provider: string, poke: Poke): Promise<HookOutcome> {
  const repository = judgeRepository(source, provider, poke.repository);
  if (repository.verdict === 'other') {
    await note(services, source, { provider, verdict: 'other_repository', detail: repository.detail });
    return 'other_repository';
  }
  const { hostId } = repository;
  if (repository.verdict === 'same' && hostId !== null && hostId !== source.hookRepositoryId)
    await noteHookRepository(services.store.sql, source, hostId);
  const detail = repository.verdict === 'renamed' ? repository.detail : null;
  const heads = await headsOf(services, source, poke.repository);
  const changes: readonly RefChange[] = [poke, ...(poke.alsoRefs ?? [])];
  const followed = changes.find((change) => change.event !== 'merge_request' && isFollowed(source, change, heads));
  const { event, ref, before, after } = followed ?? poke;
  const { organizationId, id: sourceId } = source;
  const { deliveryId, repeats, pusher } = poke;
  const named = { organizationId, sourceId, deliveryId, repeats, provider, event, ref, detail };
  const record = {
    ...named,
    commitOid: after,
    beforeOid: event === 'push' ? before : null,
    verdict: followed ? 'accepted' : 'other_ref',
  } as const;
  const request = followed === undefined ? changes.find(isMergeRequest) : undefined;
  faultPoint('before_hook_recorded');
  const taken =
    request === undefined
      ? await recordPush(services, record, followed && expectation(source, followed, heads))
      : await takeMergeRequest(services, source, record, request, heads);
  faultPoint('after_hook_recorded');
  if (taken === 'duplicate')
    await note(services, source, { provider, verdict: 'duplicate', detail: `Delivery "${deliveryId}" came before` });
  if (taken !== 'accepted' || followed === undefined) return taken;
  services.wake(sourceId);
  const data = { provider, ref, commit: after, deliveryId, pusher };
  services.events.tell({ organizationId, type: 'hook.received', subject: `source:${sourceId}`, data });
  return taken;
}

/** Notes what is not taken. The answer does not hang on it. */
export async function note(
  { store, log }: { store: Store; log: Log },
  source: Source,
  delivery: Parameters<typeof noteDelivery>[2],
): Promise<void> {
  await noteDelivery(store.sql, source, delivery).catch((error: unknown) =>
    log.warn({ sourceId: source.id, err: error }, 'failed to note a hook; its list of deliveries lacks it'),
  );
}

type JudgedRepository = { verdict: RepositoryVerdict; hostId: string | null; detail: string };

/** @returns `hostId`: the host's id of the repository, as it is kept with the source */
export function judgeRepository(source: Source, provider: string, repository: HookRepository | undefined): JudgedRepository {
  const hostId = repository?.id === undefined ? null : `${provider}:${repository.id}`;
  const known = { url: source.url, id: source.hookRepositoryId };
  const verdict = compareRepository(known, repository && { ...repository, ...(hostId === null ? {} : { id: hostId }) });
  const address = repository?.urls[0] ?? repository?.path ?? '';
  const named = foreignText(address.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1').replace(/[?#].*$/s, ''));
  const detail =
    verdict === 'renamed'
      ? `The repository was renamed or has another address: the hook names "${named}", the source follows "${source.url}"; update the source's url`
      : `The hook is about the repository "${named}", the source follows "${source.url}"`;
  return { verdict, hostId, detail };
}

/** What `HEAD` stands for: as the hook says, and as the last commit was found. */
async function headsOf({ store }: { store: Store }, source: Source, repository: HookRepository | undefined): Promise<string[]> {
  if (source.ref !== 'HEAD') return [];
  const { organizationId, revisionId } = source;
  const revision = revisionId === null ? undefined : await revisionOf(store.sql, organizationId, revisionId);
  return [repository?.defaultBranch, revision?.ref].filter((ref): ref is string => ref?.startsWith('refs/') === true);
}

/** A source that is pinned to a commit waits for nothing but that. */
function isFollowed({ ref }: Source, change: RefChange, heads: readonly string[]): boolean {
  return isOid(ref) ? change.after === ref : followsRef(ref, change.ref, heads);
}

/** A tag's new value is the tag object, not the commit that the ref list peels it to: nothing to wait for. */
function expectation({ ref }: Source, { event, ref: changed, after }: RefChange, heads: readonly string[]) {
  const isWhole = event === 'push' && changed !== null && (ref !== 'HEAD' || changed === heads[0]);
  return { commit: isWhole ? after : null, seconds: EXPECT_COMMIT_SECONDS };
}

async function recordPush(
  { store }: { store: Store },
  record: HookRecord,
  expect: ReturnType<typeof expectation> | undefined,
): Promise<HookOutcome> {
  return (await recordHook(store.sql, record, expect ?? null)) ? record.verdict : 'duplicate';
}

type MergeRequestChange = RefChange & { ref: string; mergeRequest: MergeRequestHint };

function isMergeRequest(change: RefChange): change is MergeRequestChange {
  return change.mergeRequest !== undefined && change.ref !== null;
}

/**
 * Keeps the delivery and what it says of the merge request, and wakes whoever plans it. One that goes into another branch is over here: it was
 * retargeted, or never was of interest.
 */
async function takeMergeRequest(
  { store }: Receiving,
  source: Source,
  record: HookRecord,
  { ref, after, mergeRequest }: MergeRequestChange,
  heads: readonly string[],
): Promise<HookOutcome> {
  const { organizationId, sourceId, provider, deliveryId } = record;
  const { number, target, title, url } = mergeRequest;
  const isInto = followsRef(source.ref, `refs/heads/${target}`, heads);
  const state = isInto ? mergeRequest.state : 'closed';
  return transact(store, async (unit) => {
    const concerns = isInto || (await hasOpenMergeRequest(unit.tx, { organizationId, sourceId, number }));
    const verdict = concerns ? 'accepted' : 'other_ref';
    if (!(await recordHook(unit.tx, { ...record, ref, commitOid: after, verdict }, null))) return 'duplicate';
    if (!concerns) return verdict;
    const id = await noteMergeRequest(unit.tx, {
      organizationId,
      sourceId,
      number,
      state,
      title,
      url,
      target,
      headRef: ref,
      hookedCommit: after,
    });
    if (id !== undefined && state === 'open') unit.enqueue('merge_request', id);
    const data = { provider, ref, commit: after, deliveryId };
    unit.emit({ organizationId, type: 'hook.received', subject: `source:${sourceId}`, data });
    return verdict;
  });
}
