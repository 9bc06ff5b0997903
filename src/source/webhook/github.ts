import type { z } from 'zod';
import {
  accepted,
  checkSecret,
  type HookRequest,
  type SecretKind,
  unauthorized,
  type Verdict,
  verifyHmacHex,
} from '../../crypto/signature.ts';
import {
  bodyOf,
  CommitId,
  DisplayText,
  eventOf,
  FullRef,
  GitHubRepository,
  ignored,
  keyOf,
  Numbered,
  PullRequestShape,
  part,
  pullRequestHint,
  quoted,
  RefEvent,
  read,
  refEvent,
  repositoryOf,
  Word,
} from './payload.ts';
import type { DeliveryKey, ParsedHook, WebhookProvider } from './provider.ts';

const SECRET_KINDS: readonly SecretKind[] = ['hmac'];

/** github.com and GitHub Enterprise, with bodies in JSON or form-encoded. */
export const github: WebhookProvider = {
  name: 'github',
  secretKinds: SECRET_KINDS,
  recognises: (headers) => Boolean(headers.get('x-github-event')),
  checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
  verify,
  parse,
};

/** `X-Hub-Signature`, the SHA-1 copy that GitHub still sends, is never checked. */
function verify(request: HookRequest, secret: string | null): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const signature = request.headers.get('x-hub-signature-256');
  return signature ? verifyHmacHex(request, secret, signature, 'sha256=') : unauthorized('X-Hub-Signature-256 is missing');
}

const Person = part({ login: DisplayText });
const Push = part({ ref: FullRef, before: CommitId, after: CommitId, pusher: part({ name: DisplayText }), repository: GitHubRepository });
const PullRequest = part({
  action: Word,
  number: Numbered,
  before: CommitId,
  changes: part({ base: part({ ref: part({ from: Word }) }) }),
  pull_request: PullRequestShape,
  sender: Person,
  repository: GitHubRepository,
});
const RepositoryEvent = part({
  action: Word,
  changes: part({ default_branch: part({ from: Word }) }),
  sender: Person,
  repository: GitHubRepository,
});

function parse(request: HookRequest): ParsedHook {
  const key = keyOf(request, ['x-github-delivery']);
  const event = request.headers.get('x-github-event') ?? undefined;
  if (event === 'ping' && request.rawBody.length === 0) return { kind: 'ping', ...key };
  const body = bodyOf(request);
  if (event === 'ping') return { kind: 'ping', ...key, repository: repositoryOf(read(body, RepositoryEvent).repository) };
  if (event === 'push') return push(key, read(body, Push));
  if (event === 'create' || event === 'delete') return refEvent(key, event, read(body, RefEvent));
  if (event === 'pull_request') return pullRequest(key, read(body, PullRequest));
  if (event === 'repository') return repositoryEvent(key, read(body, RepositoryEvent));
  return ignored(key, event === undefined ? 'header X-GitHub-Event is missing' : `event ${quoted(event)}`);
}

function push(key: DeliveryKey, { ref, before, after, repository, pusher }: z.output<typeof Push>): ParsedHook {
  return {
    ...{ kind: 'change', ...key, event: eventOf(ref), ref, before, after },
    repository: repositoryOf(repository),
    pusher: pusher.name,
  };
}

/** GitHub sends `edited` for another title, too; only another base matters. */
function pullRequest(key: DeliveryKey, body: z.output<typeof PullRequest>): ParsedHook {
  const { action = '', number, changes, pull_request: pull } = body;
  const isRetargeted = action === 'edited' && changes.base.ref.from !== undefined;
  if (number === undefined || !(isRetargeted || ['opened', 'reopened', 'synchronize', 'closed'].includes(action)))
    return ignored(key, `pull request action ${quoted(action)} moves no commit`);
  return {
    ...{ kind: 'change', ...key, event: 'merge_request', ref: `refs/pull/${number}/head`, before: body.before, after: pull.head.sha },
    repository: repositoryOf(body.repository),
    pusher: body.sender.login,
    ...pullRequestHint(action, number, pull),
  };
}

/** Reads a change of the default branch, which moves `HEAD`. */
function repositoryEvent(key: DeliveryKey, { action, changes, repository, sender }: z.output<typeof RepositoryEvent>): ParsedHook {
  const about = repositoryOf(repository);
  if (action !== 'edited' || changes.default_branch.from === undefined || about.defaultBranch === undefined)
    return ignored(key, `repository action ${quoted(action)}`);
  const change = { event: 'push', ref: about.defaultBranch, before: null, after: null } as const;
  return { kind: 'change', ...key, ...change, repository: about, pusher: sender.login };
}
