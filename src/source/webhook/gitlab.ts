import { z } from 'zod';
import { CommitId, DisplayText, DisplayUrl, deliveryIdOf, FullRef, parseJson, parseShape, textOf } from './payload.ts';
import type { HookRequest, ParsedHook, RefChange, SecretKind, Verdict, WebhookProvider } from './provider.ts';
import { accepted, checkSecret, isSigningToken, unauthorized, verifyStandardWebhooks, verifyToken } from './signature.ts';

const SECRET_KINDS: readonly SecretKind[] = ['signing_token', 'token'];

/** GitLab, with a signing token (19.0 and later, `whsec_…`) or a secret token. */
export const gitlab: WebhookProvider = {
  name: 'gitlab',
  secretKinds: SECRET_KINDS,
  recognises: (headers) => Boolean(headers.get('x-gitlab-event')),
  checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
  verify,
  parse,
};

function verify(request: HookRequest, secret: string | null, now: Date): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  if (isSigningToken(secret)) return verifyStandardWebhooks(request, secret, now);
  if (request.headers.get('webhook-signature'))
    return unauthorized('it is signed, and the configured secret is not a signing token (whsec_…)');
  const token = request.headers.get('x-gitlab-token');
  return token ? verifyToken(token, secret) : unauthorized('X-Gitlab-Token is missing');
}

const Repository = z.object({ git_http_url: DisplayUrl }).optional().catch(undefined);
const Kind = z.object({ object_kind: z.string().max(100) });
const Push = z.object({ ref: FullRef, before: CommitId, after: CommitId, user_username: DisplayText, project: Repository });
const MergeRequest = z.object({
  object_attributes: z.object({
    iid: z.number().int().positive(),
    action: z.string().optional(),
    /** The head before; only there when commits were pushed. */
    oldrev: CommitId.optional(),
    last_commit: z.object({ id: CommitId }),
    target_branch: z.string().min(1).max(1024).optional().catch(undefined),
    title: DisplayText,
    url: DisplayUrl,
  }),
  user: z.object({ username: DisplayText }).optional().catch(undefined),
  project: Repository,
});

/** The event is taken from the body, which a signature covers, not from `X-Gitlab-Event`, which it does not. */
function parse(request: HookRequest): ParsedHook {
  const deliveryId = deliveryIdOf(request, ['webhook-id', 'idempotency-key']);
  const body = parseJson(textOf(request));
  const { object_kind: kind } = parseShape(body, Kind);
  if (kind === 'push' || kind === 'tag_push') return push(deliveryId, parseShape(body, Push));
  if (kind === 'merge_request') return mergeRequest(deliveryId, parseShape(body, MergeRequest));
  return { kind: 'ignored', deliveryId, reason: `event "${kind}"` };
}

function push(deliveryId: string, body: z.output<typeof Push>): ParsedHook {
  return {
    kind: 'poke',
    deliveryId,
    event: body.ref.startsWith('refs/tags/') ? 'tag' : 'push',
    ref: body.ref,
    before: body.before,
    after: body.after,
    repositoryUrl: body.project?.git_http_url,
    pusher: body.user_username,
  };
}

function mergeRequest(deliveryId: string, { object_attributes: request, user, project }: z.output<typeof MergeRequest>): ParsedHook {
  const moved = request.action === 'update' ? Boolean(request.oldrev) : ['open', 'reopen', 'merge', 'close'].includes(request.action ?? '');
  if (!moved)
    return { kind: 'ignored', deliveryId, reason: `merge request action "${request.action?.slice(0, 100) ?? ''}" moves no commit` };
  return {
    kind: 'poke',
    deliveryId,
    event: 'merge_request',
    ref: `refs/merge-requests/${request.iid}/head`,
    before: request.oldrev ?? null,
    after: request.last_commit.id,
    repositoryUrl: project?.git_http_url,
    pusher: user?.username,
    ...hintOf(request),
  };
}

function hintOf(request: z.output<typeof MergeRequest>['object_attributes']): Pick<RefChange, 'mergeRequest'> {
  const { iid: number, action = '', target_branch: target, title = null, url = null } = request;
  if (target === undefined) return {};
  return { mergeRequest: { number, state: ['merge', 'close'].includes(action) ? 'closed' : 'open', target, title, url } };
}
