import { around, backoff } from '../async/backoff.ts';
import type { RolloutPolicy } from '../policy/policy.ts';
import type { Layout } from '../revision/revision.ts';
import type { DriftPolicy } from '../wire/agent.ts';
import type { ForgeSettings } from './forge-settings.ts';
import type { HookOptions } from './webhook/options.ts';

/**
 * What the last look at a source found. `new`: not looked at yet. `ok`: its head is prepared. `partial`: some of its device folders are
 * blocked by errors. `invalid`: its head goes nowhere. `empty`, `ref_missing`: the remote has no commit to follow. `waiting`: a hook named a
 * commit that the remote does not show yet. `failing`: the remote cannot be read.
 */
export type SourceStatus = 'new' | 'ok' | 'partial' | 'invalid' | 'empty' | 'ref_missing' | 'waiting' | 'failing';

/** Whether the head is prepared, well or not, and nothing is awaited. */
export function isSteady(status: SourceStatus): boolean {
  return status === 'ok' || status === 'partial' || status === 'invalid';
}

export type Credentials = { username: string; password: string } | { token: string };

export type Source = {
  organizationId: string;
  id: string;
  name: string;
  url: string;
  /** Branch or tag (short or full name), or a commit's 40 hex digits. */
  ref: string;
  layout: Layout;
  authSealed: string | null;
  /** What may be shown of the credentials: `user alice`, `token …x9Qf`. */
  authHint: string | null;
  webhookProvider: string | null;
  webhookSecretSealed: string | null;
  webhookSecretLast4: string | null;
  webhookOptions: HookOptions | null;
  /** The host's id of the webhook that was installed there with the present secret. */
  webhookHookId: string | null;
  /** The host's id of the repository, by which a hook is known to be about it after a rename. */
  hookRepositoryId: string | null;
  forge: ForgeSettings | null;
  apiTokenSealed: string | null;
  /** What may be shown of it: `token …x9Qf`. */
  apiTokenHint: string | null;
  pollIntervalSeconds: number;
  allOrNothing: boolean;
  driftPolicy: DriftPolicy;
  rolloutPolicy: RolloutPolicy;
  /** Whether plans and rollouts are told at its git host, where its kind and token are known. */
  reportStatus: boolean;
  /** Whether a `rollout:` in the repository goes before `rolloutPolicy`. */
  policyFrom: 'git' | 'source';
  /** Since when automation leaves everything of it where it is. */
  heldAt: Date | null;
  heldBy: string | null;
  holdReason: string | null;
  status: SourceStatus;
  headCommit: string | null;
  preparedCommit: string | null;
  revisionId: string | null;
  lastCheckedAt: Date | null;
  lastSyncedAt: Date | null;
  /** Where the host redirects `url`, and the repository is read. */
  movedTo: string | null;
  /** The host named a time before which it takes no more requests, which is still to come. */
  isQuiet: boolean;
  errorCode: string | null;
  errorDetail: string | null;
  failures: number;
  expectedCommit: string | null;
  /** The commit that `expectedCommit` replaced, as the hook says. */
  expectedBefore: string | null;
  expectedUntil: Date | null;
  nextCheckAt: Date;
  hookReceivedAt: Date | null;
  version: number;
  createdAt: Date;
  updatedAt: Date;
};

export const MIN_POLL_SECONDS = 5;
export const MAX_POLL_SECONDS = 86_400;
export const DEFAULT_POLL_SECONDS = 60;

const BACKOFF_SECONDS = { base: 5, cap: 30 * 60 };

/** Seconds until a source that has failed `failures` times in a row is looked at again: doubling, capped, the upper half jittered by `random` in [0, 1). */
export function backoffSeconds(failures: number, random: number): number {
  return backoff(BACKOFF_SECONDS, failures, random);
}

/** Seconds until the next regular look: the interval, give or take 10 %, so that sources made together do not stay together. */
export function pollSeconds(intervalSeconds: number, random: number): number {
  return around(intervalSeconds, random);
}

/** Seconds until a source that found no free place to wait for its host is looked at again, by `random` in [0, 1). */
export function putOffSeconds(random: number): number {
  return 2 + random * 2;
}

/** A commit that a hook named is waited for this long; then the source counts as it is. */
export const EXPECT_COMMIT_SECONDS = 60;
/** While waiting, the remote is asked this often. */
export const EXPECT_RETRY_SECONDS = 1;

/**
 * Whether a change of `changed` concerns a source that follows `ref`. Both may be short or full; null: any ref may have changed.
 * @param heads full refs that `HEAD` stands for, as far as they are known
 */
export function followsRef(ref: string, changed: string | null, heads: readonly string[] = []): boolean {
  if (changed === null) return true;
  // Nobody knows which branch it is: a check costs less than a missed push.
  if (ref === 'HEAD')
    return changed.startsWith('refs/tags/') ? false : heads.length === 0 || namesOf(changed).some((name) => heads.includes(name));
  const names = namesOf(changed);
  return namesOf(ref).some((name) => names.includes(name));
}

function namesOf(ref: string): string[] {
  return ref.startsWith('refs/') ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
}
