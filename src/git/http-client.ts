import { setTimeout as delay } from 'node:timers/promises';
import { type Dispatcher, request } from 'undici';
import { messageOf, Problem } from '../errors.ts';
import { withProxy } from '../wire/proxies.ts';
import type { AddressGuard } from './address-guard.ts';
import { CONNECT_TIMEOUT_MS, dispatcherFor } from './connections.ts';
import { foreignText, gitProblem } from './problems.ts';
import type { HttpRemote } from './remote.ts';

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
/** Codes of OpenSSL's and Node's verdicts on a certificate or on what answers instead of TLS. */
const TLS_FAULT = /CERT|^ERR_SSL|^ERR_TLS|^UNABLE_TO_|^EPROTO$|_KEY_TOO_SMALL$/;

export function startCall(call: RemoteCall): RunningCall {
  const deadline = AbortSignal.timeout(call.deadlineMs);
  return { ...call, signal: call.signal ? AbortSignal.any([call.signal, deadline]) : deadline };
}

/**
 * One request to the remote's own origin; redirects are never followed.
 * @returns the body of a 200, whole
 * @throws Problem `git_unreachable`, `git_timeout`, `git_tls`, `git_auth`, `git_push_denied`, `git_not_found`, `git_redirect`, `git_server_error`,
 * `git_protocol`, `git_too_large`, `address_refused`; the caller's own abort reason when it aborted
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
  const url = new URL(remote.url.href.replace(/\/+$/, '') + ask.path);
  try {
    const response = await send(url, ask, call);
    try {
      checkStatus(url, response, ask.pushes);
      checkHeaders(url, response, ask.maxBytes);
      for await (const chunk of bounded(url, response.body, ask.maxBytes)) await take(chunk);
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
      await delay(RETRY_BASE_MS * attempt * (0.5 + Math.random()), undefined, { signal: call.signal });
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

function checkStatus(url: URL, response: Dispatcher.ResponseData, pushes: boolean | undefined): void {
  const status = response.statusCode;
  if (status === 200) return;
  const where = `"${url.origin}${repositoryPath(url)}"`;
  if (status >= 300 && status < 400) throw redirectProblem(url, where, response.headers.location);
  if (status === 407)
    throw gitProblem('git_unreachable', `Cannot reach ${where}: the proxy answered 407; put its user and password into HTTP_PROXY`);
  if (pushes && (status === 401 || status === 403))
    throw gitProblem(
      'git_push_denied',
      `Cannot push to ${where}: the host answered ${status}; the credentials may not push, or it takes no pushes over HTTP`,
    );
  if (status === 401 || status === 403)
    throw gitProblem('git_auth', `Cannot read ${where}: the host answered ${status}; check the source's credentials`);
  if (status === 404 || status === 410)
    throw gitProblem(
      'git_not_found',
      `Cannot find the repository ${where}: the host answered ${status} (private repositories look missing without credentials)`,
    );
  const retryAfterSeconds = retryAfter(response.headers['retry-after']);
  if (status === 429 || status >= 500)
    throw gitProblem('git_server_error', `Cannot read ${where}: the host answered ${status}; its own log says why, it is asked again`, {
      retryAfterSeconds,
    });
  throw gitProblem('git_protocol', `Cannot read ${where}: the host answered ${status}, must be 200`);
}

function redirectProblem(url: URL, where: string, location: string | string[] | undefined): Problem {
  const target = typeof location === 'string' && URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  if (!target) return gitProblem('git_redirect', `Cannot read ${where}: the host redirects without saying where`);
  const shown = foreignText(`${target.protocol}//${target.host}${repositoryPath(target)}`);
  return gitProblem('git_redirect', `Cannot follow the redirect of ${where}: set the source's URL to "${shown}" if you trust it`);
}

function repositoryPath(url: URL): string {
  return url.pathname.replace(/\/(?:info\/refs|git-upload-pack|git-receive-pack)$/, '');
}

/** Seconds, at most an hour; undefined where the header names none. */
export function retryAfter(header: string | string[] | undefined): number | undefined {
  const seconds = Number(header);
  return header !== undefined && Number.isInteger(seconds) && seconds >= 0 ? Math.min(seconds, 3600) : undefined;
}

function checkHeaders(url: URL, response: Dispatcher.ResponseData, maxBytes: number): void {
  if (response.headers['content-encoding'] !== undefined)
    throw gitProblem(
      'git_protocol',
      `Cannot read "${url.origin}${repositoryPath(url)}": the answer is compressed, which was not asked for`,
    );
  const declared = Number(response.headers['content-length'] ?? 0);
  if (declared > maxBytes) throw tooLarge(url, declared, maxBytes);
}

async function* bounded(url: URL, body: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(url, size, maxBytes);
    yield chunk;
  }
}

function tooLarge(url: URL, actual: number, maxBytes: number): Problem {
  return gitProblem(
    'git_too_large',
    `Cannot read "${url.origin}${repositoryPath(url)}": the answer has at least ${actual} bytes, must be at most ${maxBytes}`,
  );
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
