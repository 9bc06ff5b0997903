import { foreignText } from '../git/problems.ts';
import { isOid } from '../git/remote.ts';
import { EXPECT_COMMIT_SECONDS, followsRef, type Source } from '../source/source.ts';
import type { ChangeHook, HookRepository, MergeRequestHint, RefChange } from '../source/webhook/provider.ts';
import { compareRepository, type RepositoryVerdict } from '../source/webhook/repository.ts';

/** Decides the meaning of a verified hook for its source. Pure: the caller records the decision. */
export type HookDecision =
  | { kind: 'other_repository'; detail: string }
  | (Known & { kind: 'push'; change: RefChange; expect: { commit: string | null; seconds: number } })
  /** `isInto`: it goes into the branch that the source follows. */
  | (Known & { kind: 'merge_request'; change: MergeRequestChange; isInto: boolean })
  | (Known & { kind: 'other_ref'; change: RefChange });

type FollowedSource = Pick<Source, 'url' | 'ref' | 'hookRepositoryId'>;

/** `newHostId`: the host's id of the repository, which the source does not have yet. `detail`: an advice for people. */
type Known = { newHostId: string | null; detail: string | null };

export type MergeRequestChange = RefChange & { ref: string; mergeRequest: MergeRequestHint };

/** Decides by the repository, then by the ref. @param heads refs that `HEAD` stands for, the hook's own first */
export function decideHook(source: FollowedSource, provider: string, hook: ChangeHook, heads: readonly string[]): HookDecision {
  const repository = judgeRepository(source, provider, hook.repository);
  if (repository.verdict === 'other') return { kind: 'other_repository', detail: repository.detail };
  const isNewId = repository.verdict === 'same' && repository.hostId !== source.hookRepositoryId;
  const known = {
    newHostId: isNewId ? repository.hostId : null,
    detail: repository.verdict === 'renamed' ? repository.detail : null,
  };
  const changes: readonly RefChange[] = [hook, ...(hook.alsoRefs ?? [])];
  const followed = changes.find((change) => change.event !== 'merge_request' && isFollowed(source, change, heads));
  if (followed !== undefined) return { kind: 'push', ...known, change: followed, expect: expectation(source, followed, heads) };
  const request = changes.find(isMergeRequest);
  if (request === undefined) return { kind: 'other_ref', ...known, change: hook };
  const isInto = followsRef(source.ref, `refs/heads/${request.mergeRequest.target}`, heads);
  return { kind: 'merge_request', ...known, change: request, isInto };
}

type JudgedRepository = { verdict: RepositoryVerdict; hostId: string | null; detail: string };

/** @returns `hostId`: the host's id of the repository, as it is kept with the source */
export function judgeRepository(source: FollowedSource, provider: string, repository: HookRepository | undefined): JudgedRepository {
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

/** A source that is pinned to a commit waits for that commit alone. */
function isFollowed({ ref }: FollowedSource, change: RefChange, heads: readonly string[]): boolean {
  return isOid(ref) ? change.after === ref : followsRef(ref, change.ref, heads);
}

/** No commit is expected from a tag: its new value is the tag object, while the ref list shows the commit behind it. */
function expectation({ ref }: FollowedSource, { event, ref: changed, after }: RefChange, heads: readonly string[]) {
  const isWhole = event === 'push' && changed !== null && (ref !== 'HEAD' || changed === heads[0]);
  return { commit: isWhole ? after : null, seconds: EXPECT_COMMIT_SECONDS };
}

function isMergeRequest(change: RefChange): change is MergeRequestChange {
  return change.mergeRequest !== undefined && change.ref !== null;
}
