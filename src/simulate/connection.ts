import { Client, type Dispatcher, Pool, ProxyAgent } from 'undici';
import type { z } from 'zod';
import { messageOf, Problem } from '../errors.ts';
import { type Proxies, proxyAuthorization, proxyFor } from '../wire/proxies.ts';

export type Ask = {
  method: 'GET' | 'POST';
  /** Below `/agent/v1`, or absolute on the same origin. */
  path: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
};

export type Answer = { status: number; etag: string | undefined; body: Buffer };

/** Connections to one service. Every device has its own, like a real device. Requests beside its long poll use a shared pool. */
export type Connections = {
  /** One connection, one request at a time. */
  open(): { ask(ask: Ask): Promise<Answer>; close(): Promise<void> };
  ask(ask: Ask): Promise<Answer>;
  close(): Promise<void>;
};

/** Connections of the pool that devices share. */
const SHARED_CONNECTIONS = 64;
/** Above the service's longest long poll, 55 s. */
const ANSWER_TIMEOUT_MS = 90_000;
const BODY_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 30_000;

/** @throws Problem `invalid_request` for a server that is not an http(s) URL */
export function openConnections(server: string, proxies?: Proxies): Connections {
  if (!/^https?:\/\//.test(server) || !URL.canParse(server)) {
    throw new Problem('invalid_request', `Cannot simulate devices of "${server}": must be an http(s) URL`);
  }
  const base = new URL(`${server.replace(/\/+$/, '')}/agent/v1/`);
  const options = { headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: BODY_TIMEOUT_MS, connect: { timeout: CONNECT_TIMEOUT_MS } };
  const proxy = proxyFor(proxies, base);
  const shared =
    proxy === undefined ? new Pool(base.origin, { ...options, connections: SHARED_CONNECTIONS }) : through(proxy, SHARED_CONNECTIONS);
  return {
    open() {
      const own = proxy === undefined ? new Client(base.origin, options) : through(proxy, 1);
      return { ask: (ask) => send(own, base, ask), close: () => own.destroy() };
    },
    ask: (ask) => send(shared, base, ask),
    close: () => shared.destroy(),
  };
}

function through(proxy: URL, connections: number): ProxyAgent {
  const token = proxyAuthorization(proxy);
  const timeouts = { headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: BODY_TIMEOUT_MS };
  return new ProxyAgent({ uri: proxy.href, ...timeouts, connections, proxyTunnel: false, ...(token === undefined ? {} : { token }) });
}

/** The parsed body of a 2xx. @throws Problem `invalid_answer` */
export function parseAnswer<T>(schema: z.ZodType<T>, answer: Answer): T {
  try {
    return schema.parse(JSON.parse(answer.body.toString('utf8')));
  } catch (cause) {
    throw new Problem('invalid_answer', `Cannot understand the service's answer: ${messageOf(cause)}`, { cause });
  }
}

/** @throws Problem `server_refused`, `unreachable`, `foreign_url`; the signal's reason */
async function send(dispatcher: Dispatcher, base: URL, ask: Ask): Promise<Answer> {
  const url = new URL(ask.path, base);
  if (url.origin !== base.origin) throw new Problem('foreign_url', `Cannot fetch "${url.href}": must be on ${base.origin}`);
  const answer = await exchange(dispatcher, url, ask);
  if (answer.status < 400) return answer;
  const answerText = answer.body.toString('utf8').slice(0, 300);
  const retryAfterSeconds = Number(answer.retryAfter) || undefined;
  throw new Problem('server_refused', `Cannot ${ask.method} "${url.pathname}": the service answered ${answer.status} ${answerText}`, {
    ...{ status: answer.status, retryAfterSeconds },
    retry: answer.status >= 500 || answer.status === 429 ? 'backoff' : 'never',
  });
}

async function exchange(dispatcher: Dispatcher, url: URL, ask: Ask): Promise<Answer & { retryAfter: unknown }> {
  try {
    const { method, headers, body, signal } = ask;
    const response = await dispatcher.request({ origin: url.origin, path: url.pathname + url.search, method, headers, body, signal });
    const bytes = Buffer.from(await response.body.arrayBuffer());
    const etag = response.headers.etag;
    return {
      status: response.statusCode,
      etag: typeof etag === 'string' ? etag : undefined,
      body: bytes,
      retryAfter: response.headers['retry-after'],
    };
  } catch (cause) {
    if (ask.signal.aborted) throw ask.signal.reason;
    throw new Problem('unreachable', `Cannot reach "${url.origin}${url.pathname}": ${messageOf(cause)}`, { cause });
  }
}
