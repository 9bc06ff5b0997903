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

/** GitLab, GitHub, Gitea and Bitbucket all accept a token as the password of basic authentication under the user name `oauth2`. */
export type Credentials = { username: string; password: string } | { token: string };
const TOKEN_USERNAME = 'oauth2';

/** Parameters of every remote operation. */
export type RemoteCall = {
  credentials?: Credentials | undefined;
  guard: AddressGuard;
  /** Limits the whole operation, however many requests it needs. */
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

/** A host may close a pooled connection just as a request uses it. A retry is safe: requests only read, or create a ref that must not exist. */
const MAX_ATTEMPTS = 3;
const RETRY_BASE_MS = 30;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 5;
/** Codes with which OpenSSL and Node reject a certificate, or an answer that is not TLS. */
const TLS_FAULT = /CERT|^ERR_SSL|^ERR_TLS|^UNABLE_TO_|^EPROTO$|_KEY_TOO_SMALL$/;

export function startCall(call: RemoteCall): RunningCall {
  return { ...call, signal: startDeadline(call.deadlineMs, call.signal).signal };
}

/**
 * Sends one request to the remote's own origin; follows no redirect.
 * @returns the complete body of a 200
 * @throws Problem `git_unreachable`, `git_timeout`, `git_tls`, `address_refused`, and as `checkAnswer`; the caller's own abort reason when it aborted
 */
export async function gitRequest(remote: HttpRemote, ask: GitRequest, call: RunningCall): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await gitStream(remote, ask, call, (chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks);
}

/** Works like `gitRequest` without holding the body in memory: `take` receives it in chunks. An error of `take` ends the request. */
export async function gitStream(
  remote: HttpRemote,
  ask: GitRequest,
  call: RunningCall,
  take: (chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  await exchange(remote, ask, call, take, false);
}

/** `at`: the repository's address after all redirects. */
export type FirstAnswer = { body: Buffer; contentType: string; at: HttpRemote };

/**
 * Sends the first request of a conversation; follows redirects to the same origin, as Git does.
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
      // A partly read body would hold its connection until the host closes it.
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
      // The call's signal is the only time limit: undici's own limits would end the request of a slow server.
      const options = { method: ask.method, headers, body: ask.body, signal: call.signal, headersTimeout: 0, bodyTimeout: 0 };
      const dispatcher = await dispatcherFor(call.guard, url);
      return await untilAborted(request(url, { ...options, dispatcher }), call.signal);
    } catch (error) {
      if (attempt >= MAX_ATTEMPTS || !['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error))) throw error;
      await delay(linearBackoff(RETRY_BASE_MS, attempt), undefined, { signal: call.signal });
    }
  }
}

/** undici checks the signal only once it is connected. Without this function, a host that accepts a connection and sends nothing would block the call. */
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
    const abortReason: unknown = call.signal.reason;
    if (!(abortReason instanceof DOMException) || abortReason.name !== 'TimeoutError') return abortReason;
    const within = `no complete answer within ${call.deadlineMs} ms; check that the host is healthy, or raise GIT_TIMEOUT_SECONDS`;
    return gitProblem('git_timeout', `Cannot read ${where}: ${within}`, { cause: error });
  }
  const code = codeOf(error);
  // OpenSSL's messages end with the name of its source file.
  const reason = foreignText((messageOf(error) || code).split(/:[^:]*\.c:|; if the root CA/)[0] ?? code);
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT') {
    const within = `within ${CONNECT_TIMEOUT_MS} ms; check its address, and the firewalls on the way`;
    return gitProblem('git_timeout', `Cannot connect to "${url.host}" ${withProxy(within, call.guard.proxies, url)}`, { cause: error });
  }
  if (TLS_FAULT.test(code)) {
    const advice = 'if your own authority issued the certificate, name it in NODE_EXTRA_CA_CERTS';
    return gitProblem('git_tls', `Cannot trust ${where}: ${reason}; ${advice}`, { cause: error });
  }
  const why = withProxy(reason, call.guard.proxies, url);
  return gitProblem('git_unreachable', `Cannot reach ${where}: ${why}; check the address and that the host is up`, { cause: error });
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
