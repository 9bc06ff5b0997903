import { z } from 'zod';
import {
  CommitId,
  DisplayText,
  DisplayUrl,
  deliveryIdOf,
  eventOf,
  FullRef,
  malformed,
  parseJson,
  parseShape,
  pokeOf,
  textOf,
} from './payload.ts';
import type { HookRequest, ParsedHook, SecretKind, WebhookProvider } from './provider.ts';
import { checkSecret, verifyHubSignature } from './signature.ts';

const SECRET_KINDS: readonly SecretKind[] = ['hmac'];
/** Of one push; Git hosts send far fewer. */
const MAX_CHANGES = 10_000;

/** Bitbucket Data Center and Server. */
export const bitbucketDataCenter: WebhookProvider = {
  name: 'bitbucket-data-center',
  secretKinds: SECRET_KINDS,
  recognises: (headers) => Boolean(headers.get('x-event-key')) && Boolean(headers.get('x-request-id')),
  checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
  verify: verifyHubSignature,
  parse,
};

/** One of the clone links is for SSH. */
const Repository = z
  .object({ links: z.object({ clone: z.array(z.object({ href: DisplayUrl })) }) })
  .optional()
  .catch(undefined);
const Actor = z.object({ name: DisplayText }).optional().catch(undefined);
const Change = z.object({ ref: z.object({ id: FullRef }), fromHash: CommitId, toHash: CommitId });
const RefsChanged = z.object({ changes: z.array(Change).max(MAX_CHANGES), repository: Repository, actor: Actor });
const PullRequest = z.object({
  pullRequest: z.object({
    id: z.number().int().positive(),
    fromRef: z.object({ latestCommit: CommitId }),
    toRef: z.object({ repository: Repository }).optional().catch(undefined),
  }),
  /** Only there when commits were pushed. */
  previousFromHash: CommitId.optional(),
  actor: Actor,
});

const PULL_REQUESTS = ['pr:opened', 'pr:from_ref_updated', 'pr:merged', 'pr:declined'];

function parse(request: HookRequest): ParsedHook {
  const deliveryId = deliveryIdOf(request, ['x-request-id']);
  const event = request.headers.get('x-event-key');
  if (!event) throw malformed('X-Event-Key is missing');
  if (event === 'diagnostics:ping') return { kind: 'ping', deliveryId };
  if (event === 'repo:refs_changed') return refsChanged(deliveryId, parseShape(parseJson(textOf(request)), RefsChanged));
  if (PULL_REQUESTS.includes(event)) return pullRequestMoved(deliveryId, parseShape(parseJson(textOf(request)), PullRequest));
  return { kind: 'ignored', deliveryId, reason: `event "${event.slice(0, 100)}"` };
}

function refsChanged(deliveryId: string, { changes, repository, actor }: z.output<typeof RefsChanged>): ParsedHook {
  return pokeOf(
    deliveryId,
    changes.map(({ ref, fromHash, toHash }) => ({ event: eventOf(ref.id), ref: ref.id, before: fromHash, after: toHash })),
    { repositoryUrl: urlOf(repository), pusher: actor?.name },
  );
}

function pullRequestMoved(deliveryId: string, { pullRequest, previousFromHash, actor }: z.output<typeof PullRequest>): ParsedHook {
  return {
    kind: 'poke',
    deliveryId,
    event: 'merge_request',
    ref: `refs/pull-requests/${pullRequest.id}/from`,
    before: previousFromHash ?? null,
    after: pullRequest.fromRef.latestCommit,
    repositoryUrl: urlOf(pullRequest.toRef?.repository),
    pusher: actor?.name,
  };
}

function urlOf(repository: z.output<typeof Repository>): string | undefined {
  return repository?.links.clone.find(({ href }) => href !== undefined)?.href;
}
