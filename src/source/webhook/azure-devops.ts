import type { z } from 'zod';
import {
  accepted,
  checkSecret,
  type HookRequest,
  type SecretKind,
  secretInvalid,
  unauthorized,
  type Verdict,
  verifyToken,
} from '../../crypto/signature.ts';
import { equalInConstantTime } from '../../crypto/tokens.ts';
import { invalid } from '../../errors.ts';
import type { HookOptions } from './options.ts';
import {
  branchRef,
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
import type { HookRepository, ParsedHook, WebhookProvider } from './provider.ts';

const SECRET_KINDS: readonly SecretKind[] = ['token'];
/**
 * Azure DevOps signs nothing. It authenticates by basic authentication (the secret is `user:password`) or, with the option `header`, by the
 * secret in a header. Any status other than 2xx, 408, 410, 502, 503 and 504 puts its hook on probation, during which events are lost.
 */
export const azureDevOps: WebhookProvider = {
  name: 'azure-devops',
  secretKinds: SECRET_KINDS,
  // 410 ends the hook of a deleted source; the host retries after 503.
  statusInstead: { 404: 410, 429: 503 },
  recognises: (headers) => Boolean(headers.get('x-vss-subscriptionid') || headers.get('x-vss-activityid')),
  configure,
  checkSecret: checkBasic,
  verify: verifyBasic,
  parse,
};

function configure(options: HookOptions): WebhookProvider {
  if (options.scheme !== 'header')
    throw invalid(`Cannot use webhook scheme "${options.scheme}" with provider "azure-devops", must be "header", or no options`);
  const { header } = options;
  return {
    ...azureDevOps,
    checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
    verify: (request, secret) => verifyHeader(request, secret, header),
  };
}

function checkBasic(secret: string): void {
  checkSecret(secret, SECRET_KINDS);
  if (!secret.includes(':')) throw secretInvalid('basic authentication needs "user:password"');
}

function verifyBasic(request: HookRequest, secret: string | null): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const authorization = request.headers.get('authorization');
  if (!authorization) return unauthorized('Authorization is missing');
  const expected = `Basic ${Buffer.from(secret).toString('base64')}`;
  return equalInConstantTime(authorization, expected)
    ? accepted('token')
    : unauthorized('its user and password are not the configured ones');
}

function verifyHeader(request: HookRequest, secret: string | null, header: string): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const token = request.headers.get(header);
  return token ? verifyToken(token, secret) : unauthorized(`${header} is missing`);
}

const Repository = part({ id: RepositoryId, remoteUrl: RepositoryUrl, sshUrl: RepositoryUrl, defaultBranch: Word });
const Person = part({ displayName: DisplayText });
const Envelope = part({ id: Word, eventType: Word });
const Update = part({ name: FullRef, oldObjectId: CommitId, newObjectId: CommitId });
// A subscription may be set to send few details or none. Then any ref may have moved.
const Push = part({ resource: part({ refUpdates: changesOf(Update), repository: Repository, pushedBy: Person }) });
const PullRequest = part({
  resource: part({
    pullRequestId: Numbered,
    lastMergeSourceCommit: part({ commitId: CommitId }),
    repository: Repository,
    createdBy: Person,
  }),
});

const PULL_REQUESTS = ['git.pullrequest.created', 'git.pullrequest.updated', 'git.pullrequest.merged'];

function parse(request: HookRequest): ParsedHook {
  const body = parseJson(textOf(request));
  const { id, eventType } = read(body, Envelope);
  const key = keyOf({ ...request, headers: new Map(id === undefined ? [] : [['id', id]]) }, ['id']);
  if (eventType === 'git.push') {
    const { refUpdates, repository, pushedBy } = read(body, Push).resource;
    const changes = refUpdates?.map(({ name: ref, oldObjectId: before, newObjectId: after }) => ({
      ...{ event: eventOf(ref), ref, before, after },
    }));
    return changeHookOf(key, changes ?? null, { repository: repositoryOf(repository), pusher: pushedBy.displayName });
  }
  if (eventType === undefined || !PULL_REQUESTS.includes(eventType))
    return ignored(key, eventType === undefined ? 'it names no event' : `event ${quoted(eventType)}`);
  const { pullRequestId, lastMergeSourceCommit, repository, createdBy } = read(body, PullRequest).resource;
  if (pullRequestId === undefined) return ignored(key, `event ${quoted(eventType)} names no pull request`);
  return {
    // Only this ref exists for forks, too; its commit is the trial merge of this head.
    ...{ kind: 'change', ...key, event: 'merge_request', ref: `refs/pull/${pullRequestId}/merge`, before: null },
    after: lastMergeSourceCommit.commitId,
    repository: repositoryOf(repository),
    pusher: createdBy.displayName,
  };
}

function repositoryOf({ id, remoteUrl, sshUrl, defaultBranch }: z.output<typeof Repository>): HookRepository {
  return { id, urls: present([remoteUrl, sshUrl]), defaultBranch: branchRef(defaultBranch) };
}
