import { z } from 'zod';
import {
  bodyOf,
  CommitId,
  DisplayText,
  DisplayUrl,
  deliveryIdOf,
  FullRef,
  malformed,
  PullRequestShape,
  parseShape,
  pullRequestHint,
} from './payload.ts';
import type { HookRequest, ParsedHook, SecretKind, Verdict, WebhookProvider } from './provider.ts';
import { accepted, checkSecret, unauthorized, verifyHmacHex } from './signature.ts';

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

/** `X-Hub-Signature`, the SHA-1 copy that GitHub still sends, is never looked at. */
function verify(request: HookRequest, secret: string | null): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const signature = request.headers.get('x-hub-signature-256');
  return signature ? verifyHmacHex(request, secret, signature, 'sha256=') : unauthorized('X-Hub-Signature-256 is missing');
}

const Repository = z.object({ clone_url: DisplayUrl }).optional().catch(undefined);
const Push = z.object({
  ref: FullRef,
  before: CommitId,
  after: CommitId,
  pusher: z.object({ name: DisplayText }).optional().catch(undefined),
  repository: Repository,
});
const PullRequest = z.object({
  action: z.string(),
  number: z.number().int().positive(),
  before: CommitId.optional(),
  pull_request: PullRequestShape,
  sender: z.object({ login: DisplayText }).optional().catch(undefined),
  repository: Repository,
});

function parse(request: HookRequest): ParsedHook {
  const deliveryId = deliveryIdOf(request, ['x-github-delivery']);
  const event = request.headers.get('x-github-event');
  if (!event) throw malformed('X-GitHub-Event is missing');
  if (event === 'ping') return { kind: 'ping', deliveryId };
  if (event === 'push') return push(deliveryId, parseShape(bodyOf(request), Push));
  if (event === 'pull_request') return pullRequest(deliveryId, parseShape(bodyOf(request), PullRequest));
  return { kind: 'ignored', deliveryId, reason: `event "${event.slice(0, 100)}"` };
}

function push(deliveryId: string, body: z.output<typeof Push>): ParsedHook {
  return {
    kind: 'poke',
    deliveryId,
    event: body.ref.startsWith('refs/tags/') ? 'tag' : 'push',
    ref: body.ref,
    before: body.before,
    after: body.after,
    repositoryUrl: body.repository?.clone_url,
    pusher: body.pusher?.name,
  };
}

function pullRequest(deliveryId: string, body: z.output<typeof PullRequest>): ParsedHook {
  if (!['opened', 'reopened', 'synchronize', 'closed'].includes(body.action)) {
    return { kind: 'ignored', deliveryId, reason: `pull request action "${body.action.slice(0, 100)}" moves no commit` };
  }
  return {
    kind: 'poke',
    deliveryId,
    event: 'merge_request',
    ref: `refs/pull/${body.number}/head`,
    before: body.before ?? null,
    after: body.pull_request.head.sha,
    repositoryUrl: body.repository?.clone_url,
    pusher: body.sender?.login,
    ...pullRequestHint(body.action, body.number, body.pull_request),
  };
}
