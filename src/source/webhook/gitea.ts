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
  isForm,
  keyOf,
  Numbered,
  PullRequestShape,
  part,
  payloadOf,
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

export const gitea: WebhookProvider = providerOf('gitea');

/** Forgejo sends Gitea's headers in addition to its own. */
export const forgejo: WebhookProvider = providerOf('forgejo');

function providerOf(name: 'gitea' | 'forgejo'): WebhookProvider {
  return {
    name,
    secretKinds: SECRET_KINDS,
    recognises: (headers) => Boolean(headers.get(`x-${name}-event`)),
    checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
    verify: (request, secret) => verify(request, secret, `x-${name}-signature`),
    parse: (request) => parse(request, name),
  };
}

/**
 * The signature is a bare hex digest; for a form it covers the JSON inside. A host without a secret sends an empty header. The copies under
 * GitHub's header names are never checked.
 */
function verify(request: HookRequest, secret: string | null, header: string): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const signature = request.headers.get(header);
  if (!signature) return unauthorized(`${header} is missing or empty`);
  const rawBody = signedBody(request);
  return rawBody === null
    ? unauthorized('the form has no field "payload" that could be signed')
    : verifyHmacHex({ ...request, rawBody }, secret, signature, '');
}

function signedBody(request: HookRequest): Uint8Array | null {
  if (!isForm(request)) return request.rawBody;
  const payload = payloadOf(Buffer.from(request.rawBody).toString('utf8'));
  return payload === null ? null : Buffer.from(payload);
}

const User = part({ login: DisplayText });
const Push = part({ ref: FullRef, before: CommitId, after: CommitId, pusher: User, repository: GitHubRepository });
const PullRequest = part({
  action: Word,
  number: Numbered,
  changes: part({ ref: part({ from: Word }) }),
  pull_request: PullRequestShape,
  sender: User,
  repository: GitHubRepository,
});

/** The host sends `push` and `create` for a new branch or tag. It sends no `push` for a deletion (`delete`) or a rename (`delete`, `create`). */
function parse(request: HookRequest, name: string): ParsedHook {
  const key = keyOf(request, [`x-${name}-delivery`]);
  const body = bodyOf(request);
  const event = request.headers.get(`x-${name}-event`) ?? undefined;
  if (event === 'push') return push(key, read(body, Push));
  if (event === 'create' || event === 'delete') return refEvent(key, event, read(body, RefEvent));
  if (event === 'pull_request') return pullRequest(key, read(body, PullRequest));
  return ignored(key, event === undefined ? `header x-${name}-event is missing` : `event ${quoted(event)}`);
}

function push(key: DeliveryKey, { ref, before, after, repository, pusher }: z.output<typeof Push>): ParsedHook {
  return {
    ...{ kind: 'change', ...key, event: eventOf(ref), ref, before, after },
    repository: repositoryOf(repository),
    pusher: pusher.login,
  };
}

function pullRequest(key: DeliveryKey, body: z.output<typeof PullRequest>): ParsedHook {
  const { action = '', number, changes, pull_request: pull } = body;
  const isRetargeted = action === 'edited' && changes.ref.from !== undefined;
  if (number === undefined || !(isRetargeted || ['opened', 'reopened', 'synchronized', 'closed'].includes(action)))
    return ignored(key, `pull request action ${quoted(action)} moves no commit`);
  return {
    ...{ kind: 'change', ...key, event: 'merge_request', ref: `refs/pull/${number}/head`, before: null, after: pull.head.sha },
    repository: repositoryOf(body.repository),
    pusher: body.sender.login,
    ...pullRequestHint(action, number, pull),
  };
}
