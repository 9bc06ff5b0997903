import { isIP } from 'node:net';
import { type Dispatcher, request } from 'undici';
import { backoff } from '../async/backoff.ts';
import { startDeadline } from '../async/deadline.ts';
import { pause } from '../async/pause.ts';
import { retryAfter } from '../async/retry-after.ts';
import { allowedBy, invalid, messageOf, Problem, retryOf } from '../errors.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { boundedText } from '../git/http/bounded-text.ts';
import { codeOf } from '../git/http/client.ts';
import { dispatcherFor } from '../git/http/connections.ts';
import { foreignText } from '../git/problems.ts';
import { redactLines } from '../revision/secret/text.ts';
import { withoutSecrets } from '../revision/secret/value.ts';
import { withProxy } from '../wire/proxies.ts';
import { isTooDeep, type Json, MAX_JSON_DEPTH } from '../wire/text/json.ts';
import { integrationProblem, isCircuitOpen } from './problems.ts';

/** Opens the HTTP API of a platform: an address, headers that authenticate, and the texts that no error may show. */
export type ConnectVendor = (vendor: VendorAddress) => VendorApi;

export type VendorAddress = {
  /** Paths of calls are put behind it. */
  baseUrl: string;
  headers: Readonly<Record<string, string>>;
  secrets: readonly string[];
  /** Milliseconds for one request; default 10,000. */
  timeoutMs?: number;
};

export type VendorApi = {
  /**
   * Sends one request. Retries answers 429 and 5xx and faults of the connection a few times, each time after the pause that the platform asks for,
   * or a growing one; requests that are not safe to repeat only after 429 and 503 with `Retry-After`.
   * @throws Problem `integration_…`, with the status of the answer in its message
   */
  send(call: VendorCall): Promise<VendorAnswer>;
};

export type VendorCall = {
  /** For errors: "list the devices". */
  doing: string;
  method: 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE';
  /** Begins with `/`, or is a whole URL of the same origin, such as the link to the next page. */
  path: string;
  query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  headers?: Readonly<Record<string, string>>;
  body?: Json | undefined;
  /** The same request twice has the effect of one. Default: true for all methods but POST. */
  isIdempotent?: boolean;
  signal: AbortSignal;
};

/** `body`: the parsed JSON, the text of an answer that is no JSON, or undefined where the answer is empty. */
export type VendorAnswer = { status: number; headers: Dispatcher.ResponseData['headers']; body: Json | undefined };

/** Runs a call within the integration's limits: its slots and its circuit. */
export type Isolate = <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;

const TIMEOUT_MS = 10_000;
const TRIES = 4;
const RETRY_MS = { base: 300, cap: 5_000 };
/** A longer pause is the next run's business: until it is over, nothing is asked of the platform. */
export const MAX_WAIT_MS = 30_000;
/** A page of 100 devices with their state, 128 KiB each. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Characters of an error's answer that are read for its message. */
const MAX_REDACTED = 8_192;
/** Shorter parts of a header, such as `Bearer`, are no secrets. */
const MIN_SENT = 12;

type Deps = { guard: AddressGuard; isolate: Isolate; httpsOnly?: boolean };

/** The HTTP client of all platforms. It calls its own origin only and follows no redirect. @throws Problem `invalid_request`, `address_refused` */
export function vendorConnector({ guard, isolate, httpsOnly = false }: Deps): ConnectVendor {
  return (vendor) => {
    checkAddress(vendor.baseUrl, guard, httpsOnly);
    return {
      send: async (call) => {
        for (let tried = 1; ; tried += 1) {
          try {
            return await isolate(() => attempt(guard, vendor, call), call.signal);
          } catch (error) {
            const waitMs = waitBefore(error, call, tried);
            if (waitMs === undefined) throw error;
            await pause(waitMs, call.signal);
            call.signal.throwIfAborted();
          }
        }
      },
    };
  };
}

/** Checks an IP address at once, and those of a host name at every connection. */
function checkAddress(baseUrl: string, guard: AddressGuard, httpsOnly: boolean): void {
  const url = URL.parse(baseUrl);
  if (url === null) throw invalid('Cannot call the platform: its address is not a URL');
  const refuse = (why: string) => invalid(`Cannot call the platform at "${url.host}": ${why}`);
  if (url.username !== '' || url.password !== '') throw refuse('its address must not hold a user or a password');
  // Platforms in a private network often have no certificate. Outside it, credentials are never sent in plain text.
  if (url.protocol === 'http:' && httpsOnly)
    throw refuse(`its scheme is "http", must be "https"; ${allowedBy('ALLOW_PRIVATE_INTEGRATION_HOSTS')}`);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse(`its scheme is "${url.protocol.slice(0, -1)}", must be "https"`);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host)) guard.check(host, host);
}

/** @returns undefined when the call is not tried again */
function waitBefore(error: unknown, call: VendorCall, tried: number): number | undefined {
  if (call.signal.aborted || tried === TRIES || !(error instanceof Problem) || retryOf(error) === 'never') return undefined;
  if (isCircuitOpen(error)) return undefined;
  const isIdempotent = call.isIdempotent ?? call.method !== 'POST';
  const wasRefused = error.code === 'integration_rate_limited' || error.code === 'integration_unavailable';
  if (!isIdempotent && !wasRefused) return undefined;
  const asked = error.retryAfterSeconds === undefined ? 0 : error.retryAfterSeconds * 1000;
  if (asked > MAX_WAIT_MS) return undefined;
  return Math.max(asked, 0) + backoff(RETRY_MS, tried);
}

async function attempt(guard: AddressGuard, vendor: VendorAddress, call: VendorCall): Promise<VendorAnswer> {
  const deadline = startDeadline(vendor.timeoutMs ?? TIMEOUT_MS, call.signal);
  const url = urlOf(vendor, call);
  try {
    call.signal.throwIfAborted();
    return await once(guard, vendor, call, url, deadline.signal);
  } catch (error) {
    if (call.signal.aborted) throw call.signal.reason;
    throw error instanceof Problem ? error : unreachable(guard, vendor, call, url, error, deadline.isOver());
  } finally {
    deadline.clear();
  }
}

function urlOf({ baseUrl }: VendorAddress, { doing, path, query }: VendorCall): URL {
  const url = path.startsWith('/') ? new URL(baseUrl.replace(/\/+$/, '') + path) : new URL(path, baseUrl);
  if (url.origin !== new URL(baseUrl).origin)
    throw integrationProblem(
      'integration_redirect',
      `Cannot ${doing}: the platform names "${url.origin}", and only its own address is called`,
    );
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    if (typeof value === 'object') for (const one of value) url.searchParams.append(name, one);
    else url.searchParams.set(name, String(value));
  }
  return url;
}

async function once(guard: AddressGuard, vendor: VendorAddress, call: VendorCall, url: URL, signal: AbortSignal): Promise<VendorAnswer> {
  const body = call.body === undefined ? null : JSON.stringify(call.body);
  const response = await request(url, {
    method: call.method,
    headers: {
      accept: 'application/json',
      'user-agent': 'bellwether',
      ...(body === null ? {} : { 'content-type': 'application/json' }),
      ...vendor.headers,
      ...call.headers,
    },
    body,
    dispatcher: await dispatcherFor(guard, url),
    signal,
    // The signal is the only time limit.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  try {
    const text = await readText(call, url, response);
    const { statusCode: status, headers } = response;
    if (status >= 200 && status < 300) return { status, headers, body: parse(call, text) };
    throw refusal(vendor, call, url, response, text);
  } finally {
    // Without this, a partly read body would occupy its connection until the platform closes it.
    response.body.on('error', () => {}).destroy();
  }
}

function readText({ doing }: VendorCall, { host }: URL, response: Dispatcher.ResponseData): Promise<string> {
  return boundedText(response, MAX_BYTES, () =>
    integrationProblem('integration_too_large', `Cannot ${doing}: the answer of "${host}" has more than ${MAX_BYTES} bytes`),
  );
}

/** Platforms answer with JSON, with plain text, or with nothing. Some put a byte order mark before it. */
function parse({ doing }: VendorCall, answer: string): Json | undefined {
  const text = answer.replace(/^\ufeff/, '');
  if (text.trim() === '') return undefined;
  if (isTooDeep(text))
    throw integrationProblem('integration_protocol', `Cannot ${doing}: the answer is nested more than ${MAX_JSON_DEPTH} levels deep`);
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function refusal(vendor: VendorAddress, { doing }: VendorCall, { host }: URL, response: Dispatcher.ResponseData, text: string): Problem {
  const { statusCode: status, headers } = response;
  const said = foreignText(withoutForeignSecrets(masked(vendor, text)));
  const answer = `"${host}" answered ${status}${said === '' ? '' : ` (${said})`}`;
  const retryAfterSeconds = retryAfter(headers['retry-after']);
  if (status === 429) return integrationProblem('integration_rate_limited', `Cannot ${doing} now: ${answer}`, { retryAfterSeconds });
  if (status === 503) return integrationProblem('integration_unavailable', `Cannot ${doing} now: ${answer}`, { retryAfterSeconds });
  if (status >= 500) return integrationProblem('integration_server_error', `Cannot ${doing}: ${answer}`, { retryAfterSeconds });
  if (status === 401)
    return integrationProblem('integration_unauthorized', `Cannot ${doing}: ${answer}; the integration needs new credentials`);
  if (status === 403) return integrationProblem('integration_forbidden', `Cannot ${doing}: ${answer}; the credentials lack a permission`);
  if (status === 404 || status === 410) return integrationProblem('integration_not_found', `Cannot ${doing}: ${answer}`);
  if (status === 409 || status === 412) return integrationProblem('integration_conflict', `Cannot ${doing}: ${answer}`);
  if (status >= 300 && status < 400)
    return integrationProblem(
      'integration_redirect',
      `Cannot ${doing}: ${answer}, and redirects are not followed; set the platform's present address`,
    );
  return integrationProblem('integration_rejected', `Cannot ${doing}: ${answer}`);
}

/** Platforms quote in their errors what they were sent, and more. */
function withoutForeignSecrets(text: string): string {
  // A longer text is cut anyway.
  const beginning = text.slice(0, MAX_REDACTED);
  try {
    return JSON.stringify(withoutSecrets(JSON.parse(beginning)));
  } catch {
    return redactLines(beginning);
  }
}

/** Hides the secrets and the values of the headers, in every form in which an answer may repeat them. */
function masked({ secrets, headers }: VendorAddress, text: string): string {
  const sent = Object.values(headers).flatMap((value) => [value, ...value.split(' ')].filter((part) => part.length >= MIN_SENT));
  const forms = [...secrets, ...sent].flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('base64url'),
  ]);
  const longestFirst = [...new Set(forms)].filter((form) => form.length > 3).sort((a, b) => b.length - a.length);
  return longestFirst.reduce((clean, form) => clean.replaceAll(form, '***'), text);
}

function unreachable(guard: AddressGuard, vendor: VendorAddress, { doing }: VendorCall, url: URL, cause: unknown, late: boolean): Problem {
  const code = codeOf(cause);
  if (code === 'UND_ERR_INVALID_ARG')
    return integrationProblem('integration_unauthorized', `Cannot ${doing}: the credentials have characters that no header can carry`, {
      cause,
    });
  if (late || code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT')
    return integrationProblem(
      'integration_timeout',
      `Cannot ${doing}: no complete answer of "${url.host}" within ${vendor.timeoutMs ?? TIMEOUT_MS} ms`,
      {
        cause,
      },
    );
  const said = withProxy(foreignText(messageOf(cause) || code), guard.proxies, url);
  return integrationProblem('integration_unreachable', `Cannot ${doing}: cannot reach "${url.host}": ${said}`, { cause });
}
