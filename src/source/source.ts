import { around, backoff } from '../async/backoff.ts';
import type { RolloutPolicy } from '../policy/policy.ts';
import type { Layout } from '../revision/revision.ts';
import type { DriftPolicy } from '../wire/agent.ts';
import type { ForgeSettings } from './forge-settings.ts';
import type { HookOptions } from './webhook/options.ts';

/**
 * The result of the last check of a source. `new`: not checked yet. `ok`: its head is prepared. `partial`: errors block some of its device
 * folders. `invalid`: errors block its whole head. `empty`, `ref_missing`: the remote has no commit to follow. `waiting`: a hook named a
 * commit that the remote does not serve yet. `failing`: the remote cannot be read.
 */
export type SourceStatus = 'new' | 'ok' | 'partial' | 'invalid' | 'empty' | 'ref_missing' | 'waiting' | 'failing';

/** Whether the head is prepared, with or without errors, and the source waits for no commit. */
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
  /** A hint that reveals no secret: `user alice`, `token …x9Qf`. */
  authHint: string | null;
  webhookProvider: string | null;
  webhookSecretSealed: string | null;
  webhookSecretLast4: string | null;
  webhookOptions: HookOptions | null;
  /** The host's id of the webhook that was installed there with the current secret. */
  webhookHookId: string | null;
  /** The host's id of the repository. It identifies the repository in hooks after a rename. */
  hookRepositoryId: string | null;
  forge: ForgeSettings | null;
  apiTokenSealed: string | null;
  /** A hint that reveals no secret: `token …x9Qf`. */
  apiTokenHint: string | null;
  pollIntervalSeconds: number;
  allOrNothing: boolean;
  driftPolicy: DriftPolicy;
  rolloutPolicy: RolloutPolicy;
  /** Whether plans and rollouts are reported at its git host, if its kind and token are known. */
  reportStatus: boolean;
  /** Whether a `rollout:` in the repository overrides `rolloutPolicy`. */
  policyFrom: 'git' | 'source';
  /** Start of the hold; while it lasts, automation changes no device of this source. */
  heldAt: Date | null;
  heldBy: string | null;
  holdReason: string | null;
  status: SourceStatus;
  headCommit: string | null;
  preparedCommit: string | null;
  revisionId: string | null;
  lastCheckedAt: Date | null;
  lastSyncedAt: Date | null;
  /** The address to which the host redirects `url`; the repository is read there. */
  movedTo: string | null;
  /** Whether the host asked for no more requests until a time that is still in the future. */
  isQuiet: boolean;
  errorCode: string | null;
  errorDetail: string | null;
  failures: number;
  expectedCommit: string | null;
  /** The commit that `expectedCommit` replaced, according to the hook. */
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

/** Seconds until the next check of a source after `failures` in a row: doubling, capped, the upper half jittered by `random` in [0, 1). */
export function backoffSeconds(failures: number, random: number): number {
  return backoff(BACKOFF_SECONDS, failures, random);
}

/** Seconds until the next regular check: the interval ± 10 %, so that the checks of sources created together spread out. */
export function pollSeconds(intervalSeconds: number, random: number): number {
  return around(intervalSeconds, random);
}

/** Seconds until the next check of a source whose host had no free slot, not even to wait. `random` is in [0, 1). */
export function putOffSeconds(random: number): number {
  return 2 + random * 2;
}

/** A source waits this long for the commit that a hook named. Afterwards it follows the head that the remote serves. */
export const EXPECT_COMMIT_SECONDS = 60;
/** While a source waits, its remote is queried this often. */
export const EXPECT_RETRY_SECONDS = 1;

/**
 * Whether a change of `changed` concerns a source that follows `ref`. Both may be short or full; null: any ref may have changed.
 * @param heads known full refs that `HEAD` may stand for
 */
export function followsRef(ref: string, changed: string | null, heads: readonly string[] = []): boolean {
  if (changed === null) return true;
  // With no known head any branch may be it: a check costs less than a missed push.
  if (ref === 'HEAD')
    return changed.startsWith('refs/tags/') ? false : heads.length === 0 || namesOf(changed).some((name) => heads.includes(name));
  const names = namesOf(changed);
  return namesOf(ref).some((name) => names.includes(name));
}

function namesOf(ref: string): string[] {
  return ref.startsWith('refs/') ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
}
