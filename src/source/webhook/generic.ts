import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  accepted,
  checkSecret,
  type HookRequest,
  judgeAge,
  type SecretKind,
  unauthorized,
  type Verdict,
  verifyHmac,
  verifyStandardWebhooks,
} from '../../crypto/signature.ts';
import { invalid } from '../../errors.ts';
import type { HookOptions } from './options.ts';
import {
  AnyRef,
  branchRef,
  CommitId,
  DisplayText,
  eventOf,
  ignored,
  isForm,
  keyOf,
  parseJson,
  part,
  payloadOf,
  present,
  RepositoryId,
  RepositoryUrl,
  read,
  textOf,
  Word,
} from './payload.ts';
import type { DeliveryKey, HookRepository, ParsedHook, WebhookProvider } from './provider.ts';

type HmacOptions = Extract<HookOptions, { scheme: 'hmac' }>;

const TIMESTAMP = /^\d{1,12}$/;

/**
 * Any sender that signs its body, such as a CI job or a host without a provider of its own. The default scheme is Standard Webhooks. The body
 * is `{ref, before?, after?, repository_url?, pusher?}`; GitHub's body has this form.
 */
export const generic: WebhookProvider = {
  name: 'generic',
  secretKinds: ['signing_token'],
  recognises: (headers) => Boolean(headers.get('webhook-signature')),
  configure,
  checkSecret: (secret) => checkSecret(secret, ['signing_token']),
  verify: verifyStandard,
  parse: (request) => parse(request, keyOf(request, ['webhook-id'])),
};

function configure(options: HookOptions): WebhookProvider {
  if (options.scheme === 'standard_webhooks') return generic;
  if (options.scheme !== 'hmac')
    throw invalid(`Cannot use webhook scheme "${options.scheme}" with provider "generic", must be "hmac" or "standard_webhooks"`);
  const secretKinds: readonly SecretKind[] = ['hmac'];
  return {
    ...generic,
    secretKinds,
    recognises: (headers) => Boolean(headers.get(options.header)),
    checkSecret: (secret) => checkSecret(secret, secretKinds),
    verify: (request, secret, now) => verifyConfigured(request, secret, now, options),
    parse: (request) => parse(request, signedKey(request, options)),
  };
}

function verifyStandard(request: HookRequest, secret: string | null, now: Date): Verdict {
  if (secret === null) return accepted('none');
  return verifyStandardWebhooks(request, secret, now);
}

function verifyConfigured(request: HookRequest, secret: string | null, now: Date, options: HmacOptions): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const signature = request.headers.get(options.header);
  if (!signature) return unauthorized(`${options.header} is missing`);
  if (options.timestamp === undefined) return verifyHmac([request.rawBody], secret, signature, options);
  const { header, separator, toleranceSeconds } = options.timestamp;
  const timestamp = request.headers.get(header);
  if (!timestamp || !TIMESTAMP.test(timestamp)) return unauthorized(`${header} must be a whole number of seconds`);
  const verdict = verifyHmac([`${timestamp}${separator}`, request.rawBody], secret, signature, options);
  return verdict.ok ? judgeAge(now, timestamp, toleranceSeconds, 'hmac') : verdict;
}

/** Derives the id from the signed parts: an unsigned header could make a repetition look new. A signed timestamp makes it unique. */
function signedKey(request: HookRequest, { timestamp }: HmacOptions): DeliveryKey {
  if (timestamp === undefined) return keyOf(request, []);
  const signed = createHash('sha256').update(`${request.headers.get(timestamp.header) ?? ''}${timestamp.separator}`);
  return { deliveryId: `sha256:${signed.update(request.rawBody).digest('hex')}`, repeats: 'always' };
}

const Repository = part({
  ...{ id: RepositoryId, full_name: Word, path_with_namespace: Word, default_branch: Word },
  ...{ clone_url: RepositoryUrl, git_http_url: RepositoryUrl, http_url: RepositoryUrl, html_url: RepositoryUrl },
  ...{ web_url: RepositoryUrl, ssh_url: RepositoryUrl, git_ssh_url: RepositoryUrl },
});
const Push = part({
  ...{ ref: AnyRef, before: CommitId, after: CommitId, repository_url: RepositoryUrl },
  repository: z.union([z.string().max(2048), Repository]),
  pusher: z.union([z.string().max(200), part({ name: DisplayText, login: DisplayText })]),
});

/** Custom senders write `{ref, after, repository_url}`; others send the bodies of GitHub, GitLab or Gitea. */
function parse(request: HookRequest, key: DeliveryKey): ParsedHook {
  const { ref: named, before, after, pusher, ...about } = read(fieldsOf(request), Push);
  if (named === null) return ignored(key, 'it has no "ref" that is the name of a branch or tag');
  const repository =
    typeof about.repository === 'string'
      ? repositoryOf(NOTHING, about.repository, about.repository_url)
      : repositoryOf(about.repository, about.repository_url);
  // `HEAD` without a default branch may be any branch.
  const ref = named === 'HEAD' ? (repository.defaultBranch ?? null) : named;
  return {
    ...{ kind: 'change', ...key, event: eventOf(ref), ref, before, after },
    repository,
    pusher: typeof pusher === 'string' ? pusher : (pusher?.name ?? pusher?.login),
  };
}

/** Reads JSON, or a form that has the JSON in `payload` or the fields themselves. */
function fieldsOf(request: HookRequest): unknown {
  const text = textOf(request);
  if (!isForm(request)) return parseJson(text);
  const payload = payloadOf(text);
  return payload === null ? Object.fromEntries(new URLSearchParams(text)) : parseJson(payload);
}

const NOTHING = Repository.parse({});
/** `group/name`, as CI variables hold it, with or without the host in front. */
const REPOSITORY_PATH = /^[^/\s:@]+(?:\/[^/\s:@]+)+$/;

/** @param texts addresses or paths from fields that are not part of a known host's repository object */
function repositoryOf(repository: z.output<typeof Repository>, ...texts: readonly (string | undefined)[]): HookRepository {
  const { clone_url, git_http_url, http_url, html_url, web_url, ssh_url, git_ssh_url } = repository;
  return {
    id: repository.id,
    path: repository.full_name ?? repository.path_with_namespace ?? texts.find((text) => text !== undefined && REPOSITORY_PATH.test(text)),
    urls: present([...texts, clone_url, git_http_url, http_url, html_url, web_url, ssh_url, git_ssh_url]),
    defaultBranch: branchRef(repository.default_branch),
  };
}
