import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { git, type HostRequest, openGitHost as openHost } from '../../src/demo/stack/git-host.ts';

export { git };

/** A fault that replaces Git's answer to a repository's requests, for `count` requests or until it is cleared. */
export type Fault = (
  | { kind: 'hang' }
  /** The connection ends without an answer. */
  | { kind: 'reset' }
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: string | Buffer }
  /** The connection breaks after these bytes of a 200's body. */
  | { kind: 'cut'; body: string }
  /** A 200 with an ERR packet. */
  | { kind: 'err'; message: string }
  | { kind: 'empty' }
  | { kind: 'body'; body: string | Buffer; headers?: Record<string, string> }
  | { kind: 'redirect'; location: string }
  /** A 200 that stops after its headers and first bytes. */
  | { kind: 'stall'; body: string | Buffer }
  /** Git's own answer with a fault after so many bytes: no more bytes, one byte every 100 ms, a broken connection, or a changed byte. */
  | { kind: 'spoil'; how: 'stall' | 'trickle' | 'cut' | 'flip'; after: number }
) & {
  count?: number;
  method?: 'GET' | 'POST';
  /** Of protocol version 2. */
  command?: 'ls-refs' | 'fetch';
};

type LoggedRequest = { repository: string; service: string; method: string; headers: IncomingHttpHeaders; remotePort: number };

export type CommitOptions = {
  message?: string;
  /** "Name <address>" */
  author?: string;
  branch?: string;
  /** Replaces the branch with a new root commit that has only these files. */
  force?: boolean;
  /** A second parent. */
  merge?: string;
};

/** null removes a file or folder. */
export type Files = Record<string, string | Buffer | null>;

export type TestGitHost = Awaited<ReturnType<typeof openGitHost>>;

/**
 * A real Git host on 127.0.0.1 with any free port, in a new folder (or `dir`), which it removes at its end.
 */
export async function openGitHost(options: { dir?: string } = {}) {
  const root = options.dir ?? (await mkdtemp(join(tmpdir(), 'bellwether-git-host-')));
  const faults = new Map<string, Fault>();
  const requests: LoggedRequest[] = [];
  const passwords = new Map<string, { user: string; password: string }>();
  const oldHosts = new Set<string>();
  const users: Record<string, string> = {};
  const open = new Set<ServerResponse>();
  const sentBytes = new Map<string, number>();
  const host = await openHost({
    root,
    users,
    isPrivate: (repository) => passwords.has(repository),
    speaksV2: (repository) => !oldHosts.has(repository),
    intercept: (request) => {
      const { repository, service, method, response } = request;
      open.add(response);
      response.once('close', () => open.delete(response));
      countBytes(response, (bytes) => sentBytes.set(repository, (sentBytes.get(repository) ?? 0) + bytes));
      requests.push({ repository, service, method, headers: request.request.headers, remotePort: request.request.socket.remotePort ?? 0 });
      return misbehave(faults, request);
    },
  });
  const pathOf = (name: string): string => join(root, `${name}.git`);
  const close = async (): Promise<void> => {
    await host.close();
    if (!options.dir) await rm(root, { recursive: true, force: true });
  };
  return {
    url: host.url,
    root,
    requests,
    /** Bytes of all bodies that the host sent for the repository. */
    bytesOf: (name: string): number => sentBytes.get(name) ?? 0,
    /** Number of requests without a complete answer. */
    unanswered: () => open.size,
    urlOf: host.urlOf,
    pathOf,
    createRepository: async (name: string, settings: { user?: string; password?: string; speaksV2?: boolean } = {}): Promise<string> => {
      if (settings.password !== undefined) {
        const user = settings.user ?? 'git';
        passwords.set(name, { user, password: settings.password });
        users[user] = settings.password;
      }
      if (settings.speaksV2 === false) oldHosts.add(name);
      await host.createRepository(name);
      return host.urlOf(name);
    },
    /** Adds a commit to a branch. @returns its id */
    commit: (name: string, files: Files, commitOptions: CommitOptions = {}): Promise<string> => commit(pathOf(name), files, commitOptions),
    deleteBranch: async (name: string, branch: string): Promise<void> =>
      void (await git(pathOf(name), ['update-ref', '-d', `refs/heads/${branch}`])),
    /** An annotated tag with a message, or a light one without. */
    tag: async (name: string, tag: string, oid: string, message?: string): Promise<void> => {
      const identity = ['-c', 'user.name=Tagger', '-c', 'user.email=tagger@example.com'];
      await git(pathOf(name), [...identity, 'tag', ...(message ? ['-a', '-m', message] : []), tag, oid]);
    },
    fault: (name: string, fault: Fault): void => void faults.set(name, { ...fault }),
    clearFault: (name: string): void => void faults.delete(name),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function countBytes(response: ServerResponse, add: (bytes: number) => void): void {
  const write = response.write.bind(response);
  Object.assign(response, {
    write: (chunk: Buffer, done?: () => void): boolean => {
      add(chunk.length);
      return done === undefined ? write(chunk) : write(chunk, done);
    },
  });
}

let seconds = Date.UTC(2026, 0, 1) / 1000;

/** The time per folder grows with their number: 50,000 folders take minutes. */
const IMPORT_TIMEOUT_MS = 10 * 60_000;

/** One fast-import: a single process for any number of files. */
async function commit(path: string, files: Files, options: CommitOptions): Promise<string> {
  const ref = `refs/heads/${options.branch ?? 'main'}`;
  const parent = options.force ? '' : (await git(path, ['for-each-ref', '--format=%(objectname)', ref])).toString().trim();
  const when = `${seconds++} +0000`;
  const parts: (string | Buffer)[] = [`commit ${ref}\nmark :1\n`];
  parts.push(
    `author ${options.author ?? 'Ada Author <ada@example.com>'} ${when}\n`,
    `committer Carl Committer <carl@example.com> ${when}\n`,
  );
  parts.push(...data(options.message ?? 'change'));
  if (parent) parts.push(`from ${parent}\n`);
  if (options.merge) parts.push(`merge ${options.merge}\n`);
  for (const [file, content] of Object.entries(files)) {
    if (content === null) parts.push(`D ${JSON.stringify(file)}\n`);
    else parts.push(`M 100644 inline ${JSON.stringify(file)}\n`, ...data(content));
  }
  parts.push('\nget-mark :1\ndone\n');
  const input = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const from = options.force ? ['update-ref', '-d', ref] : undefined;
  if (from) await git(path, from);
  return (await git(path, ['fast-import', '--quiet', '--done', '--force'], input, IMPORT_TIMEOUT_MS)).toString().trim();
}

function data(content: string | Buffer): (string | Buffer)[] {
  return [`data ${Buffer.byteLength(content)}\n`, content, '\n'];
}

async function misbehave(faults: Map<string, Fault>, { repository, method, request, response }: HostRequest): Promise<boolean> {
  const fault = faults.get(repository);
  if (!fault || (fault.method && fault.method !== method)) return false;
  if (fault.command && (method !== 'POST' || (await commandOf(request)) !== fault.command)) return false;
  if (fault.count !== undefined && --fault.count <= 0) faults.delete(repository);
  if (fault.kind === 'spoil') {
    spoil(fault, response);
    return false;
  }
  request.resume();
  act(fault, response);
  return true;
}

/** Reads the start of the body without consuming it. */
async function commandOf(request: IncomingMessage): Promise<string | undefined> {
  await once(request, 'readable');
  const chunk: Buffer | null = request.read();
  if (chunk !== null) request.unshift(chunk);
  return /command=([a-z-]+)/.exec(String(chunk))?.[1];
}

function spoil({ how, after }: Fault & { kind: 'spoil' }, response: ServerResponse): void {
  const write = response.write.bind(response);
  const end = response.end.bind(response);
  let sent = 0;
  let timer: NodeJS.Timeout | undefined;
  const held: number[] = [];
  response.once('close', () => clearInterval(timer));
  Object.assign(response, {
    write(chunk: Buffer): boolean {
      const good = chunk.subarray(0, Math.max(0, after - sent));
      const rest = Buffer.from(chunk.subarray(good.length));
      sent += chunk.length;
      if (good.length > 0) write(good);
      if (rest.length === 0) return true;
      if (how === 'flip' && sent - rest.length <= after) rest[0] = (rest[0] ?? 0) ^ 0xff;
      if (how === 'flip') return write(rest);
      if (how === 'cut') response.destroy();
      if (how === 'trickle') {
        held.push(...rest);
        timer ??= setInterval(() => held.length > 0 && write(Buffer.from([held.shift() ?? 0])), 100);
      }
      return true;
    },
    end: () => (how === 'flip' ? end() : response),
  });
}

function act(fault: Exclude<Fault, { kind: 'spoil' }>, response: ServerResponse): void {
  switch (fault.kind) {
    case 'hang':
      return;
    case 'reset':
      return void response.destroy();
    case 'status':
      return void response.writeHead(fault.status, fault.headers).end(fault.body);
    case 'redirect':
      return void response.writeHead(302, { location: fault.location }).end();
    case 'empty':
      return void response.writeHead(200).end();
    case 'err': {
      const line = `ERR ${fault.message}`;
      return void response.writeHead(200).end((line.length + 4).toString(16).padStart(4, '0') + line);
    }
    case 'body':
      return void response.writeHead(200, fault.headers).end(fault.body);
    case 'stall':
      response.writeHead(200);
      return void (fault.body.length > 0 ? response.write(fault.body) : response.flushHeaders());
    case 'cut':
      response.writeHead(200, { 'content-length': String(fault.body.length + 1000) });
      return void response.write(fault.body, () => response.destroy());
    default:
      fault satisfies never;
  }
}
