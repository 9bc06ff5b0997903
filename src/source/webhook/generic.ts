import { createHash } from 'node:crypto';
import { z } from 'zod';
import { invalid } from '../../errors.ts';
import type { HookOptions } from './options.ts';
import { CommitId, DisplayText, DisplayUrl, deliveryIdOf, eventOf, FullRef, parseJson, parseShape, textOf } from './payload.ts';
import type { HookRequest, ParsedHook, SecretKind, Verdict, WebhookProvider } from './provider.ts';
import { accepted, checkSecret, judgeAge, unauthorized, verifyHmac, verifyStandardWebhooks } from './signature.ts';

type HmacOptions = Extract<HookOptions, { scheme: 'hmac' }>;

const TIMESTAMP = /^\d{1,12}$/;

/**
 * Any sender that signs its body: a CI job, a host that is not known here. Without options, Standard Webhooks. The body is `{ref, before?, after?,
 * repository_url?, pusher?}`, of which GitHub's is one.
 */
export const generic: WebhookProvider = {
  name: 'generic',
  secretKinds: ['signing_token'],
  recognises: (headers) => Boolean(headers.get('webhook-signature')),
  configure,
  checkSecret: (secret) => checkSecret(secret, ['signing_token']),
  verify: verifyStandard,
  parse: (request) => parse(request, deliveryIdOf(request, ['webhook-id'])),
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
    parse: (request) => parse(request, signedId(request, options)),
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

/** Made of what is signed: no header that anybody may change makes a repetition look new. */
function signedId(request: HookRequest, { timestamp }: HmacOptions): string {
  if (timestamp === undefined) return deliveryIdOf(request, []);
  const signed = createHash('sha256').update(`${request.headers.get(timestamp.header) ?? ''}${timestamp.separator}`);
  return `sha256:${signed.update(request.rawBody).digest('hex')}`;
}

const Push = z.object({
  ref: FullRef,
  before: CommitId.optional(),
  after: CommitId.optional(),
  repository_url: DisplayUrl,
  pusher: DisplayText,
});

function parse(request: HookRequest, deliveryId: string): ParsedHook {
  const { ref, before, after, repository_url: repositoryUrl, pusher } = parseShape(parseJson(textOf(request)), Push);
  return { kind: 'poke', deliveryId, event: eventOf(ref), ref, before: before ?? null, after: after ?? null, repositoryUrl, pusher };
}
