import type { ForgeKind } from '../source/forge-settings.ts';

/**
 * What the product asks of a git host, for one source's repository. Every call may be repeated: it leads to the same state. Temporary faults are
 * tried again a few times within the call's deadline.
 *
 * @throws Problem `forge_…` (see problems.ts), `address_refused`, `git_host_unavailable` while the host is left alone after repeated faults
 */
export type Forge = {
  readonly kind: ForgeKind;
  /** Makes the repository's webhook what it should be: found by its URL, else made; doubles are removed. */
  installWebhook(hook: WantedHook, signal?: AbortSignal): Promise<InstalledHook>;
  /** Lets the host send a delivery of the webhook now, a ping or a push that repeats the last one. @param id as `installWebhook` says */
  testWebhook(id: string, signal?: AbortSignal): Promise<void>;
  /** The host's id of the repository, as its hooks name it. It survives a rename. */
  repositoryId(signal?: AbortSignal): Promise<string>;
  /**
   * The source's one comment on a merge request: found again by a hidden marker, changed in place. Also of calls at the same moment one comment is
   * left. Markdown that is too long for the host is shortened.
   * @param mergeRequest its number in the repository, as in the host's URLs
   */
  upsertComment(mergeRequest: number, markdown: string, signal?: AbortSignal): Promise<PostedComment>;
  /** The source's status (`bellwether/<name>`, with a context `bellwether/<context>`) on a commit; the last one of a name counts. @param commit 40 hex digits */
  setCommitStatus(commit: string, status: CommitStatus, signal?: AbortSignal): Promise<void>;
  /** Those that are to be merged into the branch, oldest first. */
  openMergeRequests(targetBranch: string, signal?: AbortSignal): Promise<MergeRequest[]>;
};

/** `knownId`: the host's id of the hook that already has this secret, as an earlier call said; hosts never show secrets. */
export type WantedHook = { url: string; secret: string; knownId: string | null };
export type InstalledHook = { id: string; installed: 'created' | 'updated' | 'unchanged'; settingsUrl: string };

export type PostedComment = { id: string; url: string; posted: 'created' | 'updated' | 'unchanged' };

export const COMMIT_STATES = ['pending', 'running', 'success', 'failure', 'error'] as const;
export type CommitState = (typeof COMMIT_STATES)[number];
/** `description` becomes one line and is shortened to what the host takes; `targetUrl` is where its link leads. */
export type CommitStatus = { state: CommitState; description: string; targetUrl?: string; context?: 'plan' };

export type MergeRequest = {
  number: number;
  /** Commit, 40 hex digits. */
  head: string;
  /** The ref under which the repository itself shows the head, also of forks. */
  headRef: string;
  title: string;
  url: string;
};

/** At most `maxCharacters`, the last of them `…` where something is missing; never half of a surrogate pair. */
export function shorten(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  return `${text.slice(0, maxCharacters - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
