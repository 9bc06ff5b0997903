import { type Dispatcher, request } from 'undici';
import { z } from 'zod';
import { startDeadline } from '../async/deadline.ts';
import { retryAfter } from '../async/retry-after.ts';
import { messageOf, Problem } from '../errors.ts';
import type { GitHosts, HostCaller } from '../git/hosts.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { boundedText } from '../git/http/bounded-text.ts';
import { codeOf } from '../git/http/client.ts';
import { dispatcherFor } from '../git/http/connections.ts';
import { foreignText } from '../git/problems.ts';
import { withProxy } from '../wire/proxies.ts';
import { isTooDeep, MAX_JSON_DEPTH } from '../wire/text/json.ts';
import type { ForgeApi } from './host.ts';
import { forgeProblem } from './problems.ts';

/** Address, credentials and limits for the API of one source's host. */
export type ForgeConnection = {
  apiUrl: URL;
  headers: Record<string, string>;
  /** Masked in every error, since the host may echo them. */
  secrets: readonly string[];
  pageSizeParameter: string;
  guard: AddressGuard;
  /** The organization's slots and circuit per origin. */
  hosts: GitHosts;
  caller: HostCaller;
  attemptTimeoutMs: number;
};

/** `doing` and `permission` are for errors: "install the webhook of fleet/tills", "scope api". */
export type ForgeCall = { doing: string; permission: string; signal: AbortSignal };

type Ask = { method: string; path: string; query?: Record<string, string>; body?: unknown };
type Answer = { body: unknown; headers: Dispatcher.ResponseData['headers'] };

const PAGE_SIZE = 100;
/** 10,000 comments. */
const MAX_PAGES = 100;
/** A hundred comments of 64 KiB, GitHub's largest, and what stands around them. */
const MAX_BYTES = 8 * 1024 * 1024;

/** The API for one call. It sends requests to its own origin only, follows no redirects and retries nothing. */
export function forgeApi(connection: ForgeConnection, call: ForgeCall): ForgeApi {
  const shaped = <T>({ body }: Answer, shape: z.ZodType<T>): T => {
    const parsed = shape.safeParse(body);
    if (parsed.success) return parsed.data;
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: '' };
    throw forgeProblem('forge_protocol', `Cannot ${call.doing}: the answer's "${path.join('.')}" is not as expected: ${message}`);
  };
  return {
    send: async (method, path, body, shape) => shaped(await exchange(connection, call, { method, path, body }), shape),
    list: async (path, query, item) => {
      const found = new Map<number, z.output<typeof item>>();
      for (let page = 1; page <= MAX_PAGES; page++) {
        const paging = { page: String(page), [connection.pageSizeParameter]: String(PAGE_SIZE) };
        const answer = await exchange(connection, call, { method: 'GET', path, query: { ...query, ...paging } });
        const before = found.size;
        // Go writes an empty list as null.
        for (const one of shaped(answer, z.array(item).nullable()) ?? []) found.set(one.id, one);
        // A host without paging here returns the same items again.
        if (found.size === before || !hasMore(answer.headers, found.size)) return [...found.values()];
      }
      throw forgeProblem('forge_too_large', `Cannot ${call.doing}: there are more than ${MAX_PAGES * PAGE_SIZE}, the limit`);
    },
  };
}

/** GitHub and GitLab link to the next page, GitLab also sends its number; Gitea sends the total count. The address of a link is never used. */
function hasMore(headers: Answer['headers'], found: number): boolean {
  if (/;\s*rel="?next"?/i.test(String(headers.link ?? ''))) return true;
  if (String(headers['x-next-page'] ?? '') !== '') return true;
  return Number(headers['x-total-count'] ?? 0) > found;
}

async function exchange(connection: ForgeConnection, call: ForgeCall, ask: Ask): Promise<Answer> {
  const { apiUrl, hosts } = connection;
  const remote = { kind: 'http', url: apiUrl, host: apiUrl.host } as const;
  return hosts.run(remote, connection.caller, async () => {
    const deadline = startDeadline(connection.attemptTimeoutMs, call.signal);
    try {
      call.signal.throwIfAborted();
      return await once(connection, call, ask, deadline.signal);
    } catch (error) {
      if (call.signal.aborted) throw call.signal.reason;
      throw error instanceof Problem ? error : unreachable(connection, call, error, deadline.isOver());
    } finally {
      deadline.clear();
    }
  });
}

async function once(connection: ForgeConnection, call: ForgeCall, ask: Ask, signal: AbortSignal): Promise<Answer> {
  const url = new URL(connection.apiUrl.href.replace(/\/+$/, '') + ask.path);
  for (const [name, value] of Object.entries(ask.query ?? {})) url.searchParams.set(name, value);
  const response = await request(url, {
    method: ask.method,
    headers: { accept: 'application/json', 'user-agent': 'bellwether', 'content-type': 'application/json', ...connection.headers },
    body: ask.body === undefined ? null : JSON.stringify(ask.body),
    dispatcher: await dispatcherFor(connection.guard, url),
    signal,
    // The signal is the only time limit.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  try {
    const text = await readText(connection, call, response);
    if (response.statusCode >= 200 && response.statusCode < 300) return { body: parse(connection, call, text), headers: response.headers };
    throw refusal(connection, call, response, text);
  } finally {
    // Without this, a partly read body would occupy its connection until the host closes it.
    response.body.on('error', () => {}).destroy();
  }
}

function readText({ apiUrl }: ForgeConnection, call: ForgeCall, response: Dispatcher.ResponseData): Promise<string> {
  return boundedText(response, MAX_BYTES, () =>
    forgeProblem('forge_too_large', `Cannot ${call.doing}: the answer of "${apiUrl.host}" has more than ${MAX_BYTES} bytes`),
  );
}

function parse({ apiUrl }: ForgeConnection, call: ForgeCall, text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    if (isTooDeep(text)) throw new SyntaxError(`it is nested more than ${MAX_JSON_DEPTH} levels deep`);
    return JSON.parse(text);
  } catch (cause) {
    throw forgeProblem(
      'forge_protocol',
      `Cannot ${call.doing}: "${apiUrl.href}" does not answer with JSON; set forge.apiUrl to the address of its API`,
      {
        cause,
      },
    );
  }
}

/** Translates the host's status into a Problem. */
function refusal(
  connection: ForgeConnection,
  call: ForgeCall,
  { statusCode: status, headers }: Dispatcher.ResponseData,
  text: string,
): Problem {
  const { host } = connection.apiUrl;
  const message = messageFrom(connection, text);
  const answer = `"${host}" answered ${status}${message === '' ? '' : ` (${message})`}`;
  const waitSeconds = waitOf(status, headers, message);
  if (waitSeconds !== undefined)
    return forgeProblem('forge_rate_limited', `Cannot ${call.doing} now: ${answer}`, { retryAfterSeconds: waitSeconds });
  if (status >= 300 && status < 400)
    return forgeProblem(
      'forge_redirect',
      `Cannot ${call.doing}: ${answer}, and redirects are not followed; if the repository or the API moved, ask its owner for the new address`,
    );
  if (status === 401)
    return forgeProblem('forge_unauthorized', `Cannot ${call.doing}: ${answer}; set a valid token in the source's "apiToken" or "auth"`);
  if (status === 403) return forgeProblem('forge_forbidden', `Cannot ${call.doing}: ${answer}; the token needs ${call.permission}`);
  if (status === 404 || status === 410)
    return forgeProblem(
      'forge_not_found',
      `Cannot ${call.doing}: ${answer}; a host also answers this if the token lacks ${call.permission}`,
    );
  if (status === 409) return forgeProblem('forge_conflict', `Cannot ${call.doing} now: ${answer}`);
  if (status >= 500)
    return forgeProblem('forge_server_error', `Cannot ${call.doing}: ${answer}`, { retryAfterSeconds: retryAfter(headers['retry-after']) });
  return forgeProblem('forge_rejected', `Cannot ${call.doing}: ${answer}`);
}

/** Seconds until the host accepts requests again; undefined: the status is no rate limit. GitHub also uses 403 for rate limits. */
function waitOf(status: number, headers: Answer['headers'], message: string): number | undefined {
  if (status !== 429 && status !== 403) return undefined;
  const asked = retryAfter(headers['retry-after']);
  const isSpent = headers['x-ratelimit-remaining'] === '0';
  if (status === 403 && asked === undefined && !isSpent && !/rate limit/i.test(message)) return undefined;
  if (asked !== undefined) return asked;
  const untilReset = Math.ceil(Number(headers['x-ratelimit-reset']) - Date.now() / 1000);
  return isSpent && untilReset > 0 ? Math.min(untilReset, 3600) : DEFAULT_WAIT_SECONDS;
}

/** GitHub asks for this pause after a rate limit without a time. */
const DEFAULT_WAIT_SECONDS = 60;

const HostError = z.object({ message: z.unknown(), error: z.unknown(), errors: z.unknown() }).partial();

/** Hosts send `message` as text or as an object by field, or `error`. Some add details in `errors`. */
function messageFrom({ secrets }: ForgeConnection, text: string): string {
  const { message, error, errors } = HostError.safeParse(jsonOrNull(text)).data ?? {};
  const parts = [message ?? error, errors].filter((part) => part !== undefined && part !== null && part !== '');
  const joined = parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(' ');
  return foreignText(secrets.reduce((clean, secret) => clean.replaceAll(secret, '***'), joined));
}

function jsonOrNull(text: string): unknown {
  try {
    return isTooDeep(text) ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

function unreachable({ apiUrl, attemptTimeoutMs, guard }: ForgeConnection, { doing }: ForgeCall, cause: unknown, late: boolean): Problem {
  const { host } = apiUrl;
  const code = codeOf(cause);
  // No request was sent, so that this is no fault of the host.
  if (code === 'UND_ERR_INVALID_ARG')
    return forgeProblem('forge_unauthorized', `Cannot ${doing}: the source's token has characters that no header can carry`, { cause });
  if (late || code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT')
    return forgeProblem('forge_timeout', `Cannot ${doing}: no complete answer of "${host}" within ${attemptTimeoutMs} ms`, { cause });
  return forgeProblem(
    'forge_unreachable',
    `Cannot ${doing}: cannot reach "${host}": ${withProxy(foreignText(messageOf(cause) || code), guard.proxies, apiUrl)}`,
    { cause },
  );
}
