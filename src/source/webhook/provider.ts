import type { HookHeaders, HookRequest, SecretKind, Verdict } from '../../crypto/signature.ts';
import type { HookOptions } from './options.ts';

/**
 * A kind of git host that posts webhooks. One file per provider and one line in the registry; nothing else knows a vendor.
 * `verify` first, and `parse` only what it accepted. Neither does I/O.
 */
export type WebhookProvider = {
  /** As in a source's `webhook.provider`. */
  readonly name: string;
  /** The kinds of secret it understands, strongest first. */
  readonly secretKinds: readonly SecretKind[];
  /** Whether a request is of this kind of host, judged by header names alone; says nothing about who really sent it. */
  recognises(headers: HookHeaders): boolean;
  /** Statuses that mean something else to this host, and what it is answered instead. */
  readonly statusInstead?: Readonly<Record<number, number>>;
  /** The same provider with a source's options; missing where there is nothing to set. @throws Problem `invalid_request` when they are not for it */
  configure?(options: HookOptions): WebhookProvider;
  /** For the form in which a person enters a secret. @throws Problem `hook_secret_invalid` when no request could ever be verified with it */
  checkSecret(secret: string): void;
  /**
   * A secret that is configured must be proven; a request that carries a signature is judged by the signature alone. With no secret (null)
   * everything is accepted: the caller decides whether it takes unverified hooks. Never throws.
   */
  verify(request: HookRequest, secret: string | null, now: Date): Verdict;
  /** @throws Problem `hook_malformed` (400) for bytes that are no JSON and no form, and nothing else; whatever else they hold has an outcome */
  parse(request: HookRequest): ParsedHook;
};

export type ParsedHook = ChangeHook | Ping | Ignored;

/** What moved. */
export type RefChange = {
  event: 'push' | 'tag' | 'merge_request';
  /**
   * Full: `refs/heads/…`, `refs/tags/…`; short where the sender writes it so. Of a merge request the ref under which the host shows its head, also
   * for forks where it can. null: the host does not name it.
   */
  ref: string | null;
  /** null: the ref is new, or the host does not say. */
  before: string | null;
  /** null: the ref was deleted, or the host does not say. */
  after: string | null;
  /** Of a merge request, from hosts that say so much. */
  mergeRequest?: MergeRequestHint;
};

export type MergeRequestHint = {
  /** As in the host's URLs. */
  number: number;
  /** Merged ones are closed, too. */
  state: 'open' | 'closed';
  /** Name of the branch that it is to be merged into. */
  target: string;
  title: string | null;
  url: string | null;
};

/** Names a delivery. */
export type DeliveryKey = {
  /** The sender's id, or a digest of the body for senders without one. */
  deliveryId: string;
  /**
   * When a second delivery with this id repeats the first: `always` for ids that the sender makes, `briefly` for digests, since a push may equal an
   * earlier one to the byte.
   */
  repeats: 'always' | 'briefly';
};

/** The repository that a hook is about, in the host's words. To compare and to show. Never fetch from it: the sender chose it. */
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

/** Something moved at the remote, so that a check is due. Only a hint, all of it comes from outside; Git says what really changed. */
export type ChangeHook = RefChange &
  DeliveryKey & {
    kind: 'change';
    /** The other changes, where one hook lists several. */
    alsoRefs?: readonly RefChange[];
    repository?: HookRepository | undefined;
    pusher?: string | undefined;
  };

/** The host tries the connection. */
export type Ping = DeliveryKey & { kind: 'ping'; repository?: HookRepository | undefined };

/** Genuine, and of no interest here. */
export type Ignored = DeliveryKey & { kind: 'ignored'; reason: string };
