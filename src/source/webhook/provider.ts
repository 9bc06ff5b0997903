import type { HookHeaders, HookRequest, SecretKind, Verdict } from '../../crypto/signature.ts';
import type { HookOptions } from './options.ts';

/**
 * A kind of git host that posts webhooks. Each provider is one file and one line in the registry; no other code knows a vendor.
 * Call `verify` first, and `parse` only for requests that it accepted. Neither does I/O.
 */
export type WebhookProvider = {
  /** As in a source's `webhook.provider`. */
  readonly name: string;
  /** The kinds of secret it understands, strongest first. */
  readonly secretKinds: readonly SecretKind[];
  /** Whether a request has the headers of this kind of host. This does not authenticate the sender. */
  recognises(headers: HookHeaders): boolean;
  /** Replacements for statuses that have another meaning to this host. */
  readonly statusInstead?: Readonly<Record<number, number>>;
  /** Returns the provider with a source's options. Missing: it has no options. @throws Problem `invalid_request` for options of another provider */
  configure?(options: HookOptions): WebhookProvider;
  /** Checks a secret when a user enters it. @throws Problem `hook_secret_invalid` when no request could ever be verified with it */
  checkSecret(secret: string): void;
  /**
   * The sender must prove a configured secret. If a request carries a signature, only the signature counts. Without a secret (null) every
   * request is accepted: the caller decides whether it takes unverified hooks. Never throws.
   */
  verify(request: HookRequest, secret: string | null, now: Date): Verdict;
  /** @throws Problem `hook_malformed` (400) only for bytes that are neither JSON nor a form; every other body has a result */
  parse(request: HookRequest): ParsedHook;
};

export type ParsedHook = ChangeHook | Ping | Ignored;

/** A change of one ref. */
export type RefChange = {
  event: 'push' | 'tag' | 'merge_request';
  /**
   * Full (`refs/heads/…`, `refs/tags/…`), or short if the sender writes it so. For a merge request, the ref under which the host publishes
   * its head, where possible also for forks. null: the host does not name it.
   */
  ref: string | null;
  /** null: the ref is new, or the host does not name the old commit. */
  before: string | null;
  /** null: the ref was deleted, or the host does not name the new commit. */
  after: string | null;
  /** Details of a merge request, from hosts that send them. */
  mergeRequest?: MergeRequestHint;
};

export type MergeRequestHint = {
  /** As in the host's URLs. */
  number: number;
  /** A merged request counts as closed. */
  state: 'open' | 'closed';
  /** Name of the target branch. */
  target: string;
  title: string | null;
  url: string | null;
};

/** Identifies a delivery. */
export type DeliveryKey = {
  /** The sender's id, or a digest of the body for senders without one. */
  deliveryId: string;
  /**
   * When a second delivery with this id counts as a repetition: `always` for ids that the sender assigns, `briefly` for digests, since a later
   * push may have the same bytes.
   */
  repeats: 'always' | 'briefly';
};

/** The repository that a hook names, as the host describes it. For comparison and display. Never fetch from it: the sender chose it. */
export type HookRepository = {
  /** Its addresses, in any form: HTTP, SSH, its page. */
  urls: readonly string[];
  /** `group/name`, for hosts that send no address. */
  path?: string | undefined;
  /** The host's own id, which survives a rename. */
  id?: string | undefined;
  /** Full ref that `HEAD` stands for. */
  defaultBranch?: string | undefined;
};

/** A hook about changed refs, which triggers a check. It is only a hint, since all of it comes from outside; Git is the authority. */
export type ChangeHook = RefChange &
  DeliveryKey & {
    kind: 'change';
    /** The other changes, where one hook lists several. */
    alsoRefs?: readonly RefChange[];
    repository?: HookRepository | undefined;
    pusher?: string | undefined;
  };

/** The host tests the connection. */
export type Ping = DeliveryKey & { kind: 'ping'; repository?: HookRepository | undefined };

/** A genuine hook that needs no check. */
export type Ignored = DeliveryKey & { kind: 'ignored'; reason: string };
