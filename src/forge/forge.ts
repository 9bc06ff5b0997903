import type { ForgeKind } from '../source/forge-settings.ts';

/**
 * The operations of a git host's API on one source's repository. Every call is idempotent. Each one retries temporary faults a few times within
 * its deadline.
 *
 * @throws Problem `forge_…` (see problems.ts), `address_refused`, `git_host_unavailable` while the host's circuit is open after repeated faults
 */
export type Forge = {
  readonly kind: ForgeKind;
  /** Creates the repository's webhook or updates the one with its URL, and removes duplicates. */
  installWebhook(hook: WantedHook, signal?: AbortSignal): Promise<InstalledHook>;
  /** Requests a delivery of the webhook now: a ping, or the last push again. @param id as `installWebhook` returns it */
  testWebhook(id: string, signal?: AbortSignal): Promise<void>;
  /** The host's id of the repository, as its hooks name it. It survives a rename. */
  repositoryId(signal?: AbortSignal): Promise<string>;
  /**
   * Posts the source's single comment on a merge request, or updates it in place; a hidden marker identifies it. Concurrent calls leave one
   * comment, too. Markdown that is too long for the host is shortened.
   * @param mergeRequest its number in the repository, as in the host's URLs
   */
  upsertComment(mergeRequest: number, markdown: string, signal?: AbortSignal): Promise<PostedComment>;
  /** Sets the source's status (`bellwether/<name>`, with a context `bellwether/<context>`) on a commit; the last one of a name counts. @param commit 40 hex digits */
  setCommitStatus(commit: string, status: CommitStatus, signal?: AbortSignal): Promise<void>;
  /** Lists the open merge requests into the branch, oldest first. */
  openMergeRequests(targetBranch: string, signal?: AbortSignal): Promise<MergeRequest[]>;
};

/** `knownId`: the host's id of the hook that has this secret, as an earlier call returned it. Hosts never show secrets. */
export type WantedHook = { url: string; secret: string; knownId: string | null };
export type InstalledHook = { id: string; installed: 'created' | 'updated' | 'unchanged'; settingsUrl: string };

export type PostedComment = { id: string; url: string; posted: 'created' | 'updated' | 'unchanged' };

export const COMMIT_STATES = ['pending', 'running', 'success', 'failure', 'error'] as const;
export type CommitState = (typeof COMMIT_STATES)[number];
/** `description` becomes one line and is shortened to the host's limit; `targetUrl` is the target of the status's link. */
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

/** Shortens a text to at most `maxCharacters`, with `…` as the last one. Never splits a surrogate pair. */
export function shorten(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  return `${text.slice(0, maxCharacters - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
