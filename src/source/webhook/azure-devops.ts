import { z } from 'zod';
import { invalid } from '../../errors.ts';
import { equalInConstantTime } from '../../tokens.ts';
import type { HookOptions } from './options.ts';
import { CommitId, DisplayText, DisplayUrl, deliveryIdOf, eventOf, FullRef, parseJson, parseShape, pokeOf, textOf } from './payload.ts';
import type { HookRequest, ParsedHook, SecretKind, Verdict, WebhookProvider } from './provider.ts';
import { accepted, checkSecret, secretInvalid, unauthorized, verifyToken } from './signature.ts';

const SECRET_KINDS: readonly SecretKind[] = ['token'];
/** Of one push; Git hosts send far fewer. */
const MAX_CHANGES = 10_000;

/**
 * Azure DevOps signs nothing: it proves itself by basic authentication (the secret is `user:password`) or, by the option `header`, with the secret
 * in a header. Whatever is answered besides 2xx, 408, 410, 502, 503 and 504 puts its hook on probation, during which events are lost.
 */
export const azureDevOps: WebhookProvider = {
  name: 'azure-devops',
  secretKinds: SECRET_KINDS,
  // A hook whose source is deleted should end, and 410 ends it; 503 is tried again.
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

const Repository = z.object({ remoteUrl: DisplayUrl }).optional().catch(undefined);
const Person = z.object({ displayName: DisplayText }).optional().catch(undefined);
const Envelope = z.object({ id: z.string().max(1000), eventType: z.string().max(100) });
const Push = z.object({
  resource: z.object({
    refUpdates: z.array(z.object({ name: FullRef, oldObjectId: CommitId, newObjectId: CommitId })).max(MAX_CHANGES),
    repository: Repository,
    pushedBy: Person,
  }),
});
const PullRequest = z.object({
  resource: z.object({
    pullRequestId: z.number().int().positive(),
    lastMergeSourceCommit: z.object({ commitId: CommitId }),
    repository: Repository,
    createdBy: Person,
  }),
});

const PULL_REQUESTS = ['git.pullrequest.created', 'git.pullrequest.updated', 'git.pullrequest.merged'];

function parse(request: HookRequest): ParsedHook {
  const body = parseJson(textOf(request));
  const { id, eventType } = parseShape(body, Envelope);
  const deliveryId = deliveryIdOf({ ...request, headers: new Map([['id', id]]) }, ['id']);
  if (eventType === 'git.push') {
    const { refUpdates, repository, pushedBy } = parseShape(body, Push).resource;
    const changes = refUpdates.map(({ name, oldObjectId, newObjectId }) => {
      return { event: eventOf(name), ref: name, before: oldObjectId, after: newObjectId };
    });
    return pokeOf(deliveryId, changes, { repositoryUrl: repository?.remoteUrl, pusher: pushedBy?.displayName });
  }
  if (!PULL_REQUESTS.includes(eventType)) return { kind: 'ignored', deliveryId, reason: `event "${eventType}"` };
  const { pullRequestId, lastMergeSourceCommit, repository, createdBy } = parseShape(body, PullRequest).resource;
  // The one ref that is there for forks, too; its commit is the trial merge of this head.
  const ref = `refs/pull/${pullRequestId}/merge`;
  return pokeOf(deliveryId, [{ event: 'merge_request', ref, before: null, after: lastMergeSourceCommit.commitId }], {
    repositoryUrl: repository?.remoteUrl,
    pusher: createdBy?.displayName,
  });
}
