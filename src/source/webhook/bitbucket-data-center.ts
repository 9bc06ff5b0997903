import { z } from 'zod';
import { checkSecret, type HookRequest, type SecretKind, verifyHubSignature } from '../../crypto/signature.ts';
import {
  CommitId,
  changeHookOf,
  changesOf,
  DisplayText,
  eventOf,
  FullRef,
  ignored,
  keyOf,
  Numbered,
  parseJson,
  part,
  present,
  quoted,
  RepositoryId,
  RepositoryUrl,
  read,
  textOf,
  Word,
} from './payload.ts';
import type { DeliveryKey, HookRepository, ParsedHook, WebhookProvider } from './provider.ts';

const SECRET_KINDS: readonly SecretKind[] = ['hmac'];
/** Bitbucket Data Center and Server. */
export const bitbucketDataCenter: WebhookProvider = {
  name: 'bitbucket-data-center',
  secretKinds: SECRET_KINDS,
  recognises: (headers) => Boolean(headers.get('x-event-key')) && Boolean(headers.get('x-request-id')),
  checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
  verify: verifyHubSignature,
  parse,
};

/** Versions before 7 send no links. The clone links include one for SSH. */
const Repository = part({
  id: RepositoryId,
  slug: Word,
  project: part({ key: Word }),
  links: part({
    clone: z
      .array(part({ href: RepositoryUrl }))
      .max(10)
      .catch([]),
  }),
});
const Actor = part({ name: DisplayText });
const Change = part({ ref: part({ id: FullRef }), fromHash: CommitId, toHash: CommitId });
const RefsChanged = part({ changes: changesOf(Change), repository: Repository, actor: Actor });
const PullRequest = part({
  pullRequest: part({ id: Numbered, fromRef: part({ latestCommit: CommitId }), toRef: part({ repository: Repository }) }),
  /** Present only when commits were pushed. */
  previousFromHash: CommitId,
  actor: Actor,
});

const PULL_REQUESTS = ['pr:opened', 'pr:from_ref_updated', 'pr:merged', 'pr:declined'];

function parse(request: HookRequest): ParsedHook {
  const key = keyOf(request, ['x-request-id']);
  const event = request.headers.get('x-event-key') ?? undefined;
  if (event === 'diagnostics:ping') return { kind: 'ping', ...key };
  const body = parseJson(textOf(request));
  if (event === 'repo:refs_changed') return refsChanged(key, read(body, RefsChanged));
  if (event !== undefined && PULL_REQUESTS.includes(event)) return pullRequestMoved(key, event, read(body, PullRequest));
  return ignored(key, event === undefined ? 'header X-Event-Key is missing' : `event ${quoted(event)}`);
}

function refsChanged(key: DeliveryKey, { changes, repository, actor }: z.output<typeof RefsChanged>): ParsedHook {
  const moved = changes?.map(({ ref: { id: ref }, fromHash: before, toHash: after }) => ({ event: eventOf(ref), ref, before, after }));
  return changeHookOf(key, moved ?? null, { repository: repositoryOf(repository), pusher: actor.name });
}

function pullRequestMoved(key: DeliveryKey, event: string, body: z.output<typeof PullRequest>): ParsedHook {
  const { pullRequest, previousFromHash: before, actor } = body;
  if (pullRequest.id === undefined) return ignored(key, `event ${quoted(event)} names no pull request`);
  return {
    ...{ kind: 'change', ...key, event: 'merge_request', ref: `refs/pull-requests/${pullRequest.id}/from`, before },
    after: pullRequest.fromRef.latestCommit,
    repository: repositoryOf(pullRequest.toRef.repository),
    pusher: actor.name,
  };
}

function repositoryOf({ id, slug, project, links }: z.output<typeof Repository>): HookRepository {
  const path = project.key === undefined || slug === undefined ? undefined : `${project.key}/${slug}`;
  const urls = present(links.clone.map(({ href }) => href));
  // Only the HTTP addresses have `scm` in front of the project.
  return { id, path, urls: urls.map((url) => url.replace(/^(ssh:\/\/[^/]+)\//, '$1/scm/')) };
}
