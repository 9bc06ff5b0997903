import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createSerial, type Serial } from '../../async/serial.ts';

/** One ref that a push moved. All zeros stand for "did not exist" and "is gone", as in the hooks of Git hosts. */
export type Push = { repository: string; ref: string; before: string; after: string; pusher: string };

/** The host's view of a request before it starts Git. */
export type HostRequest = { repository: string; service: string; method: string; request: IncomingMessage; response: ServerResponse };

export type GitHostOptions = {
  /** Folder with bare repositories, `<name>.git`. */
  root: string;
  host?: string;
  /** 0 = any free port. */
  port?: number;
  /** User names and passwords for pushing, and for reading from repositories that `isPrivate` names. */
  users?: Record<string, string>;
  isPrivate?(repository: string): boolean;
  /** Protocol version 2 can be kept from a repository's clients, as by an old host. */
  speaksV2?(repository: string): boolean;
  onPush?(push: Push): void;
  /** Sees every request first; true = it answered by itself. */
  intercept?(request: HostRequest): boolean | Promise<boolean>;
};

export type GitHost = AsyncDisposable & {
  url: string;
  urlOf(repository: string): string;
  createRepository(name: string): Promise<string>;
  close(): Promise<void>;
};

/** For commands of this file's own; what `git http-backend` does for a client ends with the client. */
const GIT_TIMEOUT_MS = 60_000;
const ZERO = '0'.repeat(40);
const ROUTE = /^\/([A-Za-z0-9][A-Za-z0-9._/-]*?)\.git(\/info\/refs|\/git-upload-pack|\/git-receive-pack)$/;
/** Git finds its parts by itself; nothing of the user's own configuration applies. */
const GIT_ENVIRONMENT = {
  PATH: '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
};

/**
 * A small real Git host: `git http-backend` behind node:http, to clone from and (with a user's password) push to. For demonstrations and
 * tests; needs a git binary. It acts like GitLab or GitHub: It calls `onPush` after each push, per ref.
 */
export async function openGitHost(options: GitHostOptions): Promise<GitHost> {
  const pushes = createSerial();
  const server = createServer((request, response) => {
    serve(options, pushes, request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(error instanceof Error ? `${error.message}\n` : '');
    });
  });
  const hostname = options.host ?? '127.0.0.1';
  await new Promise<void>((done, fail) => server.once('error', fail).listen(options.port ?? 0, hostname, done));
  const address = server.address();
  const url = `http://${hostname}:${typeof address === 'object' && address ? address.port : 0}`;
  const close = async (): Promise<void> => {
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
  };
  return {
    url,
    urlOf: (repository) => `${url}/${repository}.git`,
    createRepository: (name) => createRepository(options.root, name),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Runs git with a fixed environment. @returns its standard output @throws Error with what git wrote to its standard error */
export async function git(cwd: string, args: string[], input?: string | Buffer, timeoutMs = GIT_TIMEOUT_MS): Promise<Buffer> {
  const child = spawn('git', args, { cwd, env: GIT_ENVIRONMENT, stdio: 'pipe', timeout: timeoutMs });
  const ended = exitOf(child);
  // Git may end before it read everything; its exit code has the outcome.
  child.stdin.on('error', () => {}).end(input);
  const [output, complaint, code] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended]);
  if (code !== 0) throw new Error(`git ${args.join(' ')} ended with ${code}: ${complaint.toString().trim()}`);
  return output;
}

async function createRepository(root: string, name: string): Promise<string> {
  const path = join(root, `${name}.git`);
  await git(root, ['init', '--quiet', '--bare', '--initial-branch=main', path]);
  await git(path, ['config', 'http.receivepack', 'true']);
  return path;
}

async function serve(options: GitHostOptions, pushes: Serial, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://host');
  const [, repository, action] = ROUTE.exec(decodeURIComponent(url.pathname)) ?? [];
  if (!repository || !action || repository.includes('..')) return void response.writeHead(404).end('not found\n');
  const service = action === '/info/refs' ? (url.searchParams.get('service') ?? '') : action.slice(1);
  const method = request.method ?? 'GET';
  if (await options.intercept?.({ repository, service, method, request, response })) return;
  const user = authenticated(options, request);
  const push = service === 'git-receive-pack';
  if ((push || options.isPrivate?.(repository)) && !user) {
    return void response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end('credentials required\n');
  }
  const run = () => runBackend(options, { repository, action, query: url.search.slice(1), user }, request, response);
  if (!push || action === '/info/refs') return await run();
  // One push after the other, so that the refs before and after are those of this push.
  await pushes.run(repository, () => runPush(options, repository, user ?? '', run));
}

function authenticated(options: GitHostOptions, request: IncomingMessage): string | undefined {
  const encoded = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const [user = '', ...password] = Buffer.from(encoded ?? '', 'base64')
    .toString()
    .split(':');
  const expected = Object.hasOwn(options.users ?? {}, user) ? options.users?.[user] : undefined;
  return expected !== undefined && password.join(':') === expected ? user : undefined;
}

async function runPush(options: GitHostOptions, repository: string, pusher: string, run: () => Promise<void>): Promise<void> {
  const path = join(options.root, `${repository}.git`);
  const before = await refsOf(path);
  await run();
  const after = await refsOf(path);
  for (const ref of new Set([...before.keys(), ...after.keys()])) {
    const move = { before: before.get(ref) ?? ZERO, after: after.get(ref) ?? ZERO };
    if (move.before !== move.after) options.onPush?.({ repository, ref, ...move, pusher });
  }
}

async function refsOf(path: string): Promise<Map<string, string>> {
  const lines = (await git(path, ['for-each-ref', '--format=%(refname) %(objectname)'])).toString().split('\n');
  return new Map(lines.filter(Boolean).map((line): [string, string] => [line.split(' ')[0] ?? '', line.split(' ')[1] ?? '']));
}

type BackendRequest = { repository: string; action: string; query: string; user: string | undefined };

/** RFC 3875: the request in the environment, the body on standard input, headers and body on standard output. */
async function runBackend(options: GitHostOptions, ask: BackendRequest, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const child = spawn('git', ['http-backend'], { env: backendEnvironment(options, ask, request), stdio: 'pipe' });
  const ended = exitOf(child);
  response.on('close', () => child.kill());
  child.stderr.resume();
  // The client may hang up and the backend may end early: the answer's own end says how it went.
  const sent = pipeline(request, child.stdin).catch(() => {});
  const answered = await answer(child.stdout, response).catch(() => true);
  await Promise.all([sent, ended]);
  if (!answered) response.writeHead(500).end();
}

function backendEnvironment(options: GitHostOptions, ask: BackendRequest, request: IncomingMessage): Record<string, string> {
  const header = (name: string): string => String(request.headers[name] ?? '');
  const v2 = options.speaksV2?.(ask.repository) ?? true;
  return {
    ...GIT_ENVIRONMENT,
    GIT_PROJECT_ROOT: options.root,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: `/${ask.repository}.git${ask.action}`,
    QUERY_STRING: ask.query,
    REQUEST_METHOD: request.method ?? 'GET',
    CONTENT_TYPE: header('content-type'),
    HTTP_CONTENT_ENCODING: header('content-encoding'),
    REMOTE_ADDR: request.socket.remoteAddress ?? '',
    ...(header('content-length') && { CONTENT_LENGTH: header('content-length') }),
    ...(ask.user && { REMOTE_USER: ask.user }),
    ...(v2 && header('git-protocol') && { GIT_PROTOCOL: header('git-protocol') }),
  };
}

/** @returns false when the backend gave no headers at all */
async function answer(output: Readable, response: ServerResponse): Promise<boolean> {
  let head = Buffer.alloc(0);
  let open = false;
  for await (const chunk of output) {
    if (open) {
      if (!response.write(chunk)) await drained(response);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) continue;
    open = true;
    writeHead(head.toString('latin1', 0, end), response);
    response.write(head.subarray(end + 4));
  }
  if (open) response.end();
  return open;
}

/** Until the client took what was written, or hung up. */
async function drained(response: ServerResponse): Promise<void> {
  if (response.closed) return;
  const either = new AbortController();
  await Promise.race([once(response, 'drain', either), once(response, 'close', either)]).finally(() => either.abort());
}

function writeHead(head: string, response: ServerResponse): void {
  let status = 200;
  for (const line of head.split('\r\n')) {
    const [name = '', value = ''] = line.split(/: ?(.*)/s);
    if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.writeHead(status);
}

function exitOf(child: {
  once(event: 'close', listener: (code: number | null) => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
}): Promise<number | null> {
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
}
