import { setTimeout as delay } from 'node:timers/promises';
import { type Dispatcher, request } from 'undici';
import { linearBackoff } from '../../async/backoff.ts';
import { startDeadline } from '../../async/deadline.ts';
import { messageOf, Problem } from '../../errors.ts';
import { withProxy } from '../../wire/proxies.ts';
import { foreignText, gitProblem } from '../problems.ts';
import type { HttpRemote } from '../remote.ts';
import type { AddressGuard } from './address-guard.ts';
import { bodyOf, checkAnswer } from './answer.ts';
import { CONNECT_TIMEOUT_MS, dispatcherFor } from './connections.ts';
import { movedTo, repositoryPath } from './redirect.ts';

/** A token goes as the password of basic authentication, which GitLab, GitHub, Gitea and Bitbucket all take under this user name. */
export type Credentials = { username: string; password: string } | { token: string };
const TOKEN_USERNAME = 'oauth2';

/** What every remote operation takes. */
export type RemoteCall = {
  credentials?: Credentials | undefined;
  guard: AddressGuard;
  /** For the whole operation, however many requests it takes. */
  deadlineMs: number;
  signal?: AbortSignal | undefined;
};

/** A call whose deadline is running: `signal` fires at the deadline and at the caller's abort. */
export type RunningCall = { credentials?: Credentials | undefined; guard: AddressGuard; deadlineMs: number; signal: AbortSignal };

export type GitRequest = {
  method: 'GET' | 'POST';
  path: string;
  headers: Record<string, string>;
  body?: Buffer;
  maxBytes: number;
  /** The request is part of a push, which needs more rights than reading. */
  pushes?: true;
};

/** A pooled connection may be closed by the other side just as it is used; asking again is safe: these requests read, or create what must not be there yet. */
const MAX_ATTEMPTS = 3;
const RETRY_BASE_MS = 30;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 5;
/** Codes of OpenSSL's and Node's verdicts on a certificate or on what answers instead of TLS. */
const TLS_FAULT = /CERT|^ERR_SSL|^ERR_TLS|^UNABLE_TO_|^EPROTO$|_KEY_TOO_SMALL$/;

export function startCall(call: RemoteCall): RunningCall {
  return { ...call, signal: startDeadline(call.deadlineMs, call.signal).signal };
}

/**
 * One request to the remote's own origin; redirects are not followed.
 * @returns the body of a 200, whole
 * @throws Problem `git_unreachable`, `git_timeout`, `git_tls`, `address_refused`, and as `checkAnswer`; the caller's own abort reason when it aborted
 */
export async function gitRequest(remote: HttpRemote, ask: GitRequest, call: RunningCall): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await gitStream(remote, ask, call, (chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks);
}

/** As `gitRequest`, for bodies that are not to stand in memory: `take` gets them piece by piece, and what it throws ends the request. */
export async function gitStream(
  remote: HttpRemote,
  ask: GitRequest,
  call: RunningCall,
  take: (chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  await exchange(remote, ask, call, take, false);
}

/** `at`: the repository's address once the redirects were followed. */
export type FirstAnswer = { body: Buffer; contentType: string; at: HttpRemote };

/**
 * The first request of a conversation: redirects to the same origin are followed, as Git does it.
 * @throws Problem as `gitRequest`
 */
export async function firstRequest(remote: HttpRemote, ask: GitRequest, call: RunningCall): Promise<FirstAnswer> {
  let at = remote;
  for (let hop = 1; ; hop++) {
    const chunks: Buffer[] = [];
    const answer = await exchange(at, ask, call, (chunk) => void chunks.push(chunk), hop <= MAX_REDIRECTS);
    if (answer.movedTo === undefined) return { body: Buffer.concat(chunks), contentType: answer.contentType, at };
    at = { ...at, url: answer.movedTo };
  }
}

async function exchange(
  remote: HttpRemote,
  ask: GitRequest,
  call: RunningCall,
  take: (chunk: Buffer) => void | Promise<void>,
  follows: boolean,
): Promise<{ contentType: string; movedTo?: URL }> {
  const url = new URL(remote.url.href.replace(/\/+$/, '') + ask.path);
  try {
    const response = await send(url, ask, call);
    const contentType = String(response.headers['content-type'] ?? '');
    try {
      const target = follows && REDIRECTS.has(response.statusCode) ? movedTo(url, response.headers.location) : undefined;
      if (target !== undefined) return { contentType, movedTo: target };
      await checkAnswer(url, response, ask);
      for await (const chunk of bodyOf(url, response, ask.maxBytes)) await take(chunk);
      return { contentType };
    } finally {
      // A body that was not read to its end would hold its connection until the other side gives up.
      response.body.on('error', () => {}).destroy();
    }
  } catch (error) {
    throw explain(error, url, call);
  }
}

async function send(url: URL, ask: GitRequest, call: RunningCall): Promise<Dispatcher.ResponseData> {
  const headers = { ...ask.headers, 'user-agent': 'git/bellwether', ...authorization(call.credentials) };
  for (let attempt = 1; ; attempt++) {
    try {
      // The call's signal is the only time limit: undici's own would end a server that thinks for long.
      const options = { method: ask.method, headers, body: ask.body, signal: call.signal, headersTimeout: 0, bodyTimeout: 0 };
      const dispatcher = await dispatcherFor(call.guard, url);
      return await untilAborted(request(url, { ...options, dispatcher }), call.signal);
    } catch (error) {
      if (attempt >= MAX_ATTEMPTS || !['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error))) throw error;
      await delay(linearBackoff(RETRY_BASE_MS, attempt), undefined, { signal: call.signal });
    }
  }
}

/** undici looks at the signal only once it is connected: a host that takes a connection and says nothing would be waited for. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function authorization(credentials: Credentials | undefined): Record<string, string> {
  if (!credentials) return {};
  const pair = 'token' in credentials ? `${TOKEN_USERNAME}:${credentials.token}` : `${credentials.username}:${credentials.password}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function explain(error: unknown, url: URL, call: RunningCall): unknown {
  if (error instanceof Problem) return error;
  const where = `"${url.origin}${repositoryPath(url)}"`;
  if (call.signal.aborted) {
    const reason: unknown = call.signal.reason;
    if (!(reason instanceof DOMException) || reason.name !== 'TimeoutError') return reason;
    const within = `no complete answer within ${call.deadlineMs} ms; check that the host is well, or raise GIT_TIMEOUT_SECONDS`;
    return gitProblem('git_timeout', `Cannot read ${where}: ${within}`, { cause: error });
  }
  const code = codeOf(error);
  // What OpenSSL says ends with the file of its source.
  const told = foreignText((messageOf(error) || code).split(/:[^:]*\.c:|; if the root CA/)[0] ?? code);
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT') {
    const within = `within ${CONNECT_TIMEOUT_MS} ms; check its address, and the firewalls on the way`;
    return gitProblem('git_timeout', `Cannot connect to "${url.host}" ${withProxy(within, call.guard.proxies, url)}`, { cause: error });
  }
  if (TLS_FAULT.test(code)) {
    const advice = 'if the certificate is of an authority of yours, name it in NODE_EXTRA_CA_CERTS';
    return gitProblem('git_tls', `Cannot trust ${where}: ${told}; ${advice}`, { cause: error });
  }
  const why = withProxy(told, call.guard.proxies, url);
  return gitProblem('git_unreachable', `Cannot reach ${where}: ${why}; check the address and that the host is up`, { cause: error });
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
