import { z } from 'zod';
import {
  bodyOf,
  CommitId,
  DisplayText,
  DisplayUrl,
  deliveryIdOf,
  eventOf,
  FullRef,
  malformed,
  PullRequestShape,
  parseShape,
  pullRequestHint,
} from './payload.ts';
import type { HookRequest, ParsedHook, SecretKind, Verdict, WebhookProvider } from './provider.ts';
import { accepted, checkSecret, unauthorized, verifyHmacHex } from './signature.ts';

const SECRET_KINDS: readonly SecretKind[] = ['hmac'];

export const gitea: WebhookProvider = providerOf('gitea');

/** Sends Gitea's headers as well as its own. */
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

/** A bare hex digest. A host on which no secret is set sends the header all the same, empty. The copies under GitHub's names are not looked at. */
function verify(request: HookRequest, secret: string | null, header: string): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const signature = request.headers.get(header);
  return signature ? verifyHmacHex(request, secret, signature, '') : unauthorized(`${header} is missing or empty`);
}

const Repository = z.object({ clone_url: DisplayUrl }).optional().catch(undefined);
const User = z.object({ login: DisplayText }).optional().catch(undefined);
const Push = z.object({ ref: FullRef, before: CommitId, after: CommitId, pusher: User, repository: Repository });
const PullRequest = z.object({
  action: z.string(),
  number: z.number().int().positive(),
  pull_request: PullRequestShape,
  sender: User,
  repository: Repository,
});

/** A new tag comes twice, as a push and as `create`, which names no full ref: the push is enough. */
function parse(request: HookRequest, name: string): ParsedHook {
  const deliveryId = deliveryIdOf(request, [`x-${name}-delivery`]);
  const event = request.headers.get(`x-${name}-event`);
  if (!event) throw malformed(`x-${name}-event is missing`);
  if (event === 'push') return push(deliveryId, parseShape(bodyOf(request), Push));
  if (event === 'pull_request') return pullRequest(deliveryId, parseShape(bodyOf(request), PullRequest));
  return { kind: 'ignored', deliveryId, reason: `event "${event.slice(0, 100)}"` };
}

function push(deliveryId: string, { ref, before, after, repository, pusher }: z.output<typeof Push>): ParsedHook {
  return {
    kind: 'poke',
    deliveryId,
    event: eventOf(ref),
    ref,
    before,
    after,
    repositoryUrl: repository?.clone_url,
    pusher: pusher?.login,
  };
}

function pullRequest(deliveryId: string, body: z.output<typeof PullRequest>): ParsedHook {
  if (!['opened', 'reopened', 'synchronized', 'closed'].includes(body.action)) {
    return { kind: 'ignored', deliveryId, reason: `pull request action "${body.action.slice(0, 100)}" moves no commit` };
  }
  return {
    kind: 'poke',
    deliveryId,
    event: 'merge_request',
    ref: `refs/pull/${body.number}/head`,
    before: null,
    after: body.pull_request.head.sha,
    repositoryUrl: body.repository?.clone_url,
    pusher: body.sender?.login,
    ...pullRequestHint(body.action, body.number, body.pull_request),
  };
}
