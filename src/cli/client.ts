import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ProxyAgent } from 'undici';
import { z } from 'zod';
import { backoff, doubled } from '../async/backoff.ts';
import { startDeadline } from '../async/deadline.ts';
import { messageOf, Problem, retryOf } from '../errors.ts';
import { type Proxies, proxyAuthorization, proxyFor, withProxy } from '../wire/proxies.ts';

/** One row or document of the API. Commands show the fields that they know. */
export type Item = Record<string, unknown>;

type Query = Record<string, string | number | undefined>;

/** The HTTP API below `/api/v1`. Every call throws a Problem, with the server's code, detail and field errors if its answer has them. */
export type ApiClient = {
  /** Retries with growing pauses while the server is busy, restarting or unreachable. */
  get(path: string, query?: Query): Promise<unknown>;
  /** Loads all pages. @param limit of all pages together */
  list(path: string, query: Query, limit: number): Promise<Item[]>;
  /** Sends the request once, with an Idempotency-Key. @returns undefined for an answer without a body */
  send(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<unknown>;
  /** Streams the bytes of an answer, without a limit of size or time. @throws Problem, also when the stream breaks off */
  download(path: string, query?: Query): Promise<AsyncIterable<Uint8Array>>;
};

export type ClientOptions = {
  server: string;
  token: string;
  /** From the environment; undefined: a direct connection to the server. */
  proxies?: Proxies | undefined;
  signal?: AbortSignal;
  timeoutMs?: number;
  retryBaseMs?: number;
};

const TIMEOUT_MS = 30_000;
const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 10_000;
const TRIES = 5;
const PAGE = 500;

const Page = z.object({ items: z.array(z.record(z.string(), z.unknown())), nextCursor: z.string().nullish() });
const ProblemBody = z.object({
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
});

export function createClient(options: ClientOptions): ApiClient {
  const get = async (path: string, query: Query = {}): Promise<unknown> => {
    for (let tried = 1; ; tried += 1) {
      try {
        return await request(options, 'GET', withQuery(path, query));
      } catch (error) {
        if (!(error instanceof Problem) || retryOf(error) === 'never' || tried === TRIES) throw error;
        await pause(retryMs(error, tried, options.retryBaseMs ?? RETRY_BASE_MS), undefined, { signal: options.signal });
      }
    }
  };
  return {
    get,
    list: async (path, query, limit) => {
      const items: Item[] = [];
      let cursor: string | undefined;
      do {
        const answer = Page.safeParse(await get(path, { ...query, limit: Math.min(PAGE, limit - items.length), cursor }));
        if (!answer.success) throw new Problem('unexpected_answer', `Cannot read the answer to GET ${path}: it is not a list`);
        items.push(...answer.data.items);
        cursor = answer.data.nextCursor ?? undefined;
      } while (cursor !== undefined && items.length < limit);
      return items.slice(0, limit);
    },
    send: (method, path, body) => request(options, method, path, body),
    download: (path, query = {}) => download(options, withQuery(path, query)),
  };
}

/** Server and path in one URL. @throws Problem `usage` for a server that is not an HTTP URL */
export function serverUrl(server: string, path: string): URL {
  const base = URL.parse(server);
  if (base === null || !/^https?:$/.test(base.protocol)) {
    throw new Problem('usage', `Cannot use the server "${server}": must be a URL like http://127.0.0.1:8080`);
  }
  return new URL(base.pathname.replace(/\/+$/, '') + path, base);
}

async function request(options: ClientOptions, method: string, path: string, body?: unknown): Promise<unknown> {
  const url = serverUrl(options.server, `/api/v1${path}`);
  const headers: Record<string, string> = { authorization: `Bearer ${options.token}`, accept: 'application/json' };
  if (method !== 'GET') headers['idempotency-key'] = randomUUID();
  if (body !== undefined) headers['content-type'] = 'application/json';
  const deadline = startDeadline(options.timeoutMs ?? TIMEOUT_MS, options.signal);
  try {
    const response = await fetch(url, {
      ...(await routeTo(url, options)),
      method,
      headers,
      signal: deadline.signal,
      redirect: 'error',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw refusal(response, text, `${method} ${url.pathname}`);
    return text === '' ? undefined : parseJson(text, `${method} ${url.pathname}`);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error instanceof Problem ? error : unreachable(url, error, deadline.isOver(), options.proxies);
  } finally {
    deadline.clear();
  }
}

const proxyAgents = new Map<string, ProxyAgent>();

/** The dispatcher for `fetch`. It loads the client library only for a proxy, because the library costs a command 40 ms. */
async function routeTo(url: URL, { proxies }: ClientOptions): Promise<{ dispatcher?: ProxyAgent }> {
  const proxy = proxyFor(proxies, url);
  if (proxy === undefined) return {};
  const known = proxyAgents.get(proxy.href);
  if (known !== undefined) return { dispatcher: known };
  const { ProxyAgent } = await import('undici');
  const token = proxyAuthorization(proxy);
  const dispatcher = new ProxyAgent({ uri: proxy.href, proxyTunnel: false, ...(token === undefined ? {} : { token }) });
  proxyAgents.set(proxy.href, dispatcher);
  return { dispatcher };
}

/** The time limit covers the start of the answer only. */
async function download(options: ClientOptions, path: string): Promise<AsyncIterable<Uint8Array>> {
  const url = serverUrl(options.server, `/api/v1${path}`);
  const deadline = startDeadline(options.timeoutMs ?? TIMEOUT_MS, options.signal);
  const { signal } = deadline;
  try {
    const route = await routeTo(url, options);
    const response = await fetch(url, { ...route, headers: { authorization: `Bearer ${options.token}` }, signal, redirect: 'error' });
    if (!response.ok) throw refusal(response, await response.text(), `GET ${url.pathname}`);
    return chunksOf(response, url, options.signal);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error instanceof Problem ? error : unreachable(url, error, deadline.isOver(), options.proxies);
  } finally {
    deadline.clear();
  }
}

async function* chunksOf(response: Response, url: URL, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) yield chunk;
  } catch (error) {
    signal?.throwIfAborted();
    throw unreachable(url, error, false);
  }
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Problem('unexpected_answer', `Cannot read the answer to ${what}: it is not JSON; is this a Bellwether server?`, { cause });
  }
}

function refusal(response: Response, text: string, what: string): Problem {
  const { status } = response;
  const retry = status === 429 || status === 503 ? 'backoff' : 'never';
  const wait = Number(response.headers.get('retry-after'));
  const options = { status, retry, retryAfterSeconds: wait > 0 ? wait : undefined } as const;
  const body = ProblemBody.safeParse(jsonOrNull(text)).data;
  if (body === undefined)
    return new Problem('unexpected_answer', `Cannot ${what}: the server answered ${status} ${response.statusText}`.trim(), options);
  return new Problem({ received: body.code }, body.detail, { ...options, errors: body.errors });
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** `fetch` has the reason in its cause. With several addresses, the cause is an AggregateError. */
function unreachable(url: URL, error: unknown, late: boolean, proxies?: Proxies): Problem {
  if (late) return new Problem('timeout', `Cannot reach ${url.origin}: no answer in time`, { cause: error });
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  const again = code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'UND_ERR_SOCKET';
  return new Problem(
    'unreachable',
    `Cannot reach ${url.origin}: ${withProxy(code === 'ECONNREFUSED' ? 'connection refused' : messageOf(cause) || code, proxies, url)}`,
    {
      ...(again ? {} : { retry: 'never' }),
      cause: error,
    },
  );
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, String(value)] as const);
  return given.length === 0 ? path : `${path}?${new URLSearchParams(Object.fromEntries(given))}`;
}

/** The server's Retry-After up to the cap; without one, a back-off. */
function retryMs(problem: Problem, tried: number, baseMs: number): number {
  const asked = (problem.retryAfterSeconds ?? 0) * 1000;
  const limits = { base: baseMs, cap: RETRY_CAP_MS };
  return asked > 0 ? Math.min(RETRY_CAP_MS, Math.max(asked, doubled(limits, tried))) : backoff(limits, tried);
}
