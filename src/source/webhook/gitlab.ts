import type { z } from 'zod';
import {
  accepted,
  checkSecret,
  type HookRequest,
  isSigningToken,
  type SecretKind,
  unauthorized,
  type Verdict,
  verifyStandardWebhooks,
  verifyToken,
} from '../../crypto/signature.ts';
import {
  branchRef,
  CommitId,
  changeHookOf,
  changesOf,
  DisplayText,
  DisplayUrl,
  eventOf,
  FullRef,
  ignored,
  isBranch,
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

const Repository = part({
  id: RepositoryId,
  path_with_namespace: Word,
  git_http_url: RepositoryUrl,
  git_ssh_url: RepositoryUrl,
  web_url: RepositoryUrl,
  default_branch: Word,
});
const Kind = part({ object_kind: Word, event_name: Word });
const Push = part({
  ref: FullRef,
  before: CommitId,
  after: CommitId,
  user_username: DisplayText,
  project_id: RepositoryId,
  project: Repository,
  repository: Repository,
});
const Changed = part({ ref: FullRef, before: CommitId, after: CommitId });
const Update = part({ changes: changesOf(Changed), project_id: RepositoryId, project: Repository });
const Request = part({
  iid: Numbered,
  action: Word,
  /** The previous head; present only when commits were pushed. */
  oldrev: CommitId,
  last_commit: part({ id: CommitId }),
  target_project_id: RepositoryId,
  target_branch: Word,
  title: DisplayText,
  url: DisplayUrl,
});
const MergeRequest = part({
  object_attributes: Request,
  changes: part({ target_branch: part({ previous: Word }) }),
  user: part({ username: DisplayText }),
  project: Repository,
});

/** Events by `X-Gitlab-Event`, for bodies from a custom template of the host's administrator. */
const EVENTS: Readonly<Record<string, string>> = {
  'Push Hook': 'push',
  'Tag Push Hook': 'tag_push',
  'Merge Request Hook': 'merge_request',
};

/** Takes the event from the body, which a signature covers, in preference to `X-Gitlab-Event`, which is not signed. */
function parse(request: HookRequest): ParsedHook {
  const key = keyOf(request, ['webhook-id', 'idempotency-key']);
  const body = parseJson(textOf(request));
  const { object_kind, event_name } = read(body, Kind);
  // Group hooks and system hooks have no `object_kind`, except for pushes and merge requests.
  const kind = object_kind ?? event_name ?? EVENTS[request.headers.get('x-gitlab-event') ?? ''];
  if (kind === 'push' || kind === 'tag_push') return push(key, kind, read(body, Push));
  if (kind === 'merge_request') return mergeRequest(key, read(body, MergeRequest));
  if (kind === 'repository_update') return repositoryUpdate(key, read(body, Update));
  return ignored(key, kind === undefined ? 'it names no event' : `event ${quoted(kind)}`);
}

function push(key: DeliveryKey, kind: 'push' | 'tag_push', body: z.output<typeof Push>): ParsedHook {
  const { ref, before, after, project_id: id, project, repository, user_username: pusher } = body;
  const event = kind === 'tag_push' ? 'tag' : eventOf(ref);
  return { ...{ kind: 'change', ...key, event, ref, before, after }, repository: repositoryOf(id, project, repository), pusher };
}

/** A system hook lists all refs of a push. */
function repositoryUpdate(key: DeliveryKey, { changes, project_id: id, project }: z.output<typeof Update>): ParsedHook {
  const moved = changes?.map((change) => ({ event: eventOf(change.ref), ...change })) ?? null;
  return changeHookOf(key, moved, { repository: repositoryOf(id, project) });
}

function mergeRequest(key: DeliveryKey, body: z.output<typeof MergeRequest>): ParsedHook {
  const { object_attributes: request, changes, user, project } = body;
  const { iid: number, action = '', oldrev, target_branch: target, title = null, url = null } = request;
  const isRetargeted = changes.target_branch.previous !== undefined;
  const isMoved = action === 'update' ? oldrev !== null || isRetargeted : ['open', 'reopen', 'merge', 'close'].includes(action);
  if (number === undefined || !isMoved) return ignored(key, `merge request action ${quoted(action)} moves no commit`);
  const state = ['merge', 'close'].includes(action) ? 'closed' : 'open';
  return {
    ...{ kind: 'change', ...key, event: 'merge_request', ref: `refs/merge-requests/${number}/head` },
    ...{
      before: oldrev,
      after: request.last_commit.id,
      repository: repositoryOf(request.target_project_id, project),
      pusher: user.username,
    },
    ...(isBranch(target) ? { mergeRequest: { number, state, target, title, url } } : {}),
  };
}

/** @param projectId the field beside the project; system hooks send the id only there */
function repositoryOf(projectId: string | undefined, ...described: readonly z.output<typeof Repository>[]): HookRepository {
  const urls = present(described.flatMap(({ git_http_url, git_ssh_url, web_url }) => [git_http_url, git_ssh_url, web_url]));
  const [{ id, path_with_namespace: path, default_branch: branch } = EMPTY] = described;
  return { id: id ?? projectId, path, urls, defaultBranch: branchRef(branch) };
}

const EMPTY = Repository.parse({});
