import { createHmac, randomBytes } from 'node:crypto';
import { Problem } from '../errors.ts';
import { equalInConstantTime } from './tokens.ts';

/** Allowed clock difference in either direction, of Standard Webhooks and GitLab. */
const WINDOW_SECONDS = 300;
/** Signatures that are checked in one header. Senders put two there while a key rotates. */
const MAX_SIGNATURES = 16;
const SIGNING_TOKEN_PREFIX = 'whsec_';
const MIN_SIGNING_KEY_BYTES = 16;
/** Standard Webhooks requires 24 to 64 bytes; GitLab uses 32. */
const MAX_SIGNING_KEY_BYTES = 64;

/**
 * Compares the expected signature and the header as text. Decoding first would accept several spellings of one signature: upper-case hex, or base64
 * whose last character has other unused bits.
 */
export function verifyHmac(signed: readonly (string | Uint8Array)[], secret: string, signature: string, form: HmacForm): Verdict {
  const hmac = createHmac(form.algorithm, secret);
  for (const part of signed) hmac.update(part);
  return equalInConstantTime(signature, form.prefix + hmac.digest(form.encoding))
    ? accepted('hmac')
    : unauthorized('its signature does not match the configured secret');
}

/** `sha1`: only for platforms that sign with nothing else. An HMAC does not need a hash without collisions. */
export type HmacForm = { algorithm: 'sha1' | 'sha256' | 'sha512'; encoding: 'hex' | 'base64'; prefix: string };

export function verifyHmacHex(request: HookRequest, secret: string, signature: string, prefix: string): Verdict {
  return verifyHmac([request.rawBody], secret, signature, { algorithm: 'sha256', encoding: 'hex', prefix });
}

/** Header of Bitbucket Cloud and Data Center. It has the name of GitHub's older SHA-1 header, but carries SHA-256. */
export function verifyHubSignature(request: HookRequest, secret: string | null): Verdict {
  if (secret === null) return accepted('none');
  if (secret === '') return unauthorized('the configured secret is empty');
  const signature = request.headers.get('x-hub-signature');
  return signature ? verifyHmacHex(request, secret, signature, 'sha256=') : unauthorized('X-Hub-Signature is missing');
}

/** A header has one character per byte, so a secret with non-ASCII characters arrives in its UTF-8 spelling as well. */
export function verifyToken(token: string, secret: string): Verdict {
  const spellings = [secret, Buffer.from(secret).toString('latin1')];
  return spellings.some((spelling) => equalInConstantTime(token, spelling))
    ? accepted('token')
    : unauthorized('its token does not match the configured one');
}

/** Verifies Standard Webhooks: `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature`. One of its signatures must match. */
export function verifyStandardWebhooks(request: HookRequest, secret: string, now: Date): Verdict {
  const key = signingKey(secret);
  if (key === null) return unauthorized('the configured signing token is not valid');
  const [id, timestamp, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => request.headers.get(name));
  if (!id || !timestamp || !signatures) return unauthorized('webhook-id, webhook-timestamp and webhook-signature must all be present');
  if (!/^\d{1,12}$/.test(timestamp)) return unauthorized('webhook-timestamp must be a whole number of seconds');
  const expected = standardSignature(key, id, timestamp, request.rawBody);
  const offered = signatures.split(' ', MAX_SIGNATURES);
  if (!offered.some((signature) => equalInConstantTime(signature, expected)))
    return unauthorized('none of its signatures matches the configured signing token');
  return judgeAge(now, timestamp, WINDOW_SECONDS, 'signing_token');
}

/** Makes a signing token of 32 random bytes. */
export function mintSigningToken(): string {
  return SIGNING_TOKEN_PREFIX + randomBytes(32).toString('base64');
}

/**
 * Returns the headers of a Standard Webhooks message that every one of the signing tokens signs.
 * @throws Problem `hook_secret_invalid`
 */
export function signStandardWebhooks(secrets: readonly string[], id: string, at: Date, body: string): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const signatures = secrets.map((secret) => {
    const key = signingKey(secret);
    if (key === null) throw secretInvalid('it is not a signing token');
    return standardSignature(key, id, timestamp, body);
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}

function standardSignature(key: Buffer, id: string, timestamp: string, body: string | Uint8Array): string {
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`;
}

/** Call it only after the signature was verified, so that only senders with the key learn about this service's clock. */
export function judgeAge(now: Date, timestamp: string, windowSeconds: number, proof: SecretKind): Verdict {
  const skewSeconds = Math.abs(now.getTime() / 1000 - Number(timestamp));
  if (skewSeconds <= windowSeconds) return accepted(proof);
  const message = `Cannot accept the hook: its timestamp differs from this clock by ${Math.round(skewSeconds)} s, must be within ${windowSeconds} s`;
  return { ok: false, problem: new Problem('hook_expired', message) };
}

export function isSigningToken(secret: string): boolean {
  return secret.startsWith(SIGNING_TOKEN_PREFIX);
}

/** Whether requests can be signed with it: the prefix is followed by base64 of an allowed length. */
export function isSigningKey(secret: string): boolean {
  return signingKey(secret) !== null;
}

/** @throws Problem `hook_secret_invalid` */
export function checkSecret(secret: string, kinds: readonly SecretKind[]): void {
  if (secret === '') throw secretInvalid('it is empty');
  const isMeant = isSigningToken(secret) || kinds.every((kind) => kind === 'signing_token');
  if (kinds.includes('signing_token') && isMeant && signingKey(secret) === null) {
    throw secretInvalid(
      `it must be "${SIGNING_TOKEN_PREFIX}" followed by ${MIN_SIGNING_KEY_BYTES} to ${MAX_SIGNING_KEY_BYTES} bytes in base64`,
    );
  }
}

export function accepted(proof: SecretKind | 'none'): Verdict {
  return { ok: true, proof };
}

export function unauthorized(why: string): Verdict {
  return { ok: false, problem: new Problem('hook_unauthorized', `Cannot accept the hook: ${why}`) };
}

/** null when the prefix is not followed by base64 of an allowed length. */
function signingKey(secret: string): Buffer | null {
  const encoded = secret.slice(SIGNING_TOKEN_PREFIX.length);
  if (!isSigningToken(secret) || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return null;
  const key = Buffer.from(encoded, 'base64');
  return key.length >= MIN_SIGNING_KEY_BYTES && key.length <= MAX_SIGNING_KEY_BYTES ? key : null;
}

export function secretInvalid(why: string): Problem {
  return new Problem('hook_secret_invalid', `Cannot use this webhook secret: ${why}`);
}

export type SecretKind =
  /** A header carries it unchanged. */
  | 'token'
  /** Keys an HMAC over the raw body. */
  | 'hmac'
  /** `whsec_…`: Standard Webhooks, an HMAC over id, time and body. */
  | 'signing_token';

/** Takes lower-case names. A repeated header has its values joined by a comma and a space, as in `Headers`. */
export type HookHeaders = { get(name: string): string | null | undefined };

/** `rawBody` has the received bytes unchanged. The caller has limited its size. */
export type HookRequest = { readonly headers: HookHeaders; readonly rawBody: Uint8Array };

export type Verdict =
  | { ok: true; proof: SecretKind | 'none' }
  /** 401: `hook_unauthorized`, or `hook_expired` for a genuine signature outside the time window. */
  | { ok: false; problem: Problem };
