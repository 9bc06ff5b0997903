import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { messageOf, Problem } from '../../src/wire/problem.ts';
import { type Proxies, proxyFor, withProxy } from '../../src/wire/proxies.ts';
import { parseRetryAfter } from '../time/backoff.ts';

/** Connections of Node's own HTTP client: keep-alive, no redirects. A client library would cost the device 14 MB more resident memory. */
export type Connections = {
  agentFor(url: URL): http.Agent;
  readonly proxies: Proxies | undefined;
  close(): void;
};

export type HttpRequest = {
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  /** Time limit from the start of the request to the answer's headers, ms. */
  timeoutMs: number;
};

export type HttpResponse = { status: number; headers: IncomingHttpHeaders; body: IncomingMessage };

/** Longest pause inside a body before the agent aborts the request, ms. */
const IDLE_TIMEOUT_MS = 30_000;

/** @param proxies from the environment; undefined: a direct connection to the server */
export function openConnections(keepAlive: boolean, proxies: Proxies | undefined): Connections {
  // Without keep-alive, Node asks for `connection: close` only when the number of sockets is not bounded.
  const options = { keepAlive, maxSockets: keepAlive ? 4 : Number.POSITIVE_INFINITY, keepAliveMsecs: 15_000 };
  const agents = new Map<string, http.Agent>();
  return {
    proxies,
    agentFor(url) {
      const proxy = proxyFor(proxies, url)?.href;
      const name = `${url.protocol} ${proxy ?? ''}`;
      const agent = agents.get(name) ?? openAgent(url.protocol, { ...options, proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } });
      agents.set(name, agent);
      return agent;
    },
    close() {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

/** Node's own agents send plain HTTP with the full URL to the proxy, and TLS through a CONNECT tunnel. */
function openAgent(protocol: string, options: https.AgentOptions): http.Agent {
  return protocol === 'https:' ? new https.Agent(options) : new http.Agent(options);
}

/** Resolves with the headers; the caller reads or destroys the body. @throws Problem `unreachable`, or the signal's reason */
export function send(connections: Connections, url: URL, request: HttpRequest): Promise<HttpResponse> {
  return new Promise((done, fail) => {
    const options = { method: request.method, headers: request.headers, signal: request.signal, agent: connections.agentFor(url) };
    const sent = url.protocol === 'https:' ? https.request(url, options) : http.request(url, options);
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${request.timeoutMs} ms`)), request.timeoutMs);
    sent.once('close', () => clearTimeout(timer));
    sent.once('response', (body) => {
      clearTimeout(timer);
      body.setTimeout(IDLE_TIMEOUT_MS, () => body.destroy(new Error(`no byte of the body arrived for ${IDLE_TIMEOUT_MS} ms`)));
      done({ status: body.statusCode ?? 0, headers: body.headers, body });
    });
    sent.once('error', (cause) => fail(request.signal.aborted ? request.signal.reason : unreachable(url, cause, connections.proxies)));
    sent.end(request.body);
  });
}

/** @throws as `readBytes` */
export async function readText(url: URL, response: HttpResponse, maxBytes: number): Promise<string> {
  return (await readBytes(url, response, maxBytes)).toString('utf8');
}

/** @throws Problem `answer_too_large`, `unreachable` */
export async function readBytes(url: URL, response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body) {
      size += chunk.length;
      if (size > maxBytes)
        throw new Problem('answer_too_large', `Cannot read the answer of "${url.pathname}": more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw unreachable(url, cause);
  }
  return Buffer.concat(chunks);
}

/** The Problem of an unexpected answer, with the first 300 characters of its body. */
export async function refusal(url: URL, response: HttpResponse, now: Date): Promise<Problem> {
  const text = await readText(url, response, 64 * 1024).catch(() => '');
  const status = response.status;
  const retry = status >= 500 || status === 429 || status === 408 ? 'backoff' : 'never';
  return new Problem(
    'server_refused',
    `Cannot ${url.pathname}: the server answered ${status} ${text.slice(0, 300).replaceAll(/\s+/g, ' ')}`.trim(),
    {
      status,
      retry,
      retryAfterSeconds: parseRetryAfter(response.headers['retry-after'], now),
    },
  );
}

function unreachable(url: URL, cause: unknown, proxies?: Proxies): Problem {
  return new Problem('unreachable', `Cannot reach "${url.origin}${url.pathname}": ${withProxy(messageOf(cause), proxies, url)}`, { cause });
}
