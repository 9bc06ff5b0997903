import { LRUCache } from 'lru-cache';
import { firstRequest, type GitRequest, type RunningCall } from '../http/client.ts';
import { foreignText, gitProblem, isProblem } from '../problems.ts';
import type { HttpRemote } from '../remote.ts';
import { line, packets } from './pkt-line.ts';
import { withoutCredentials } from './scrub.ts';

export type RemoteRef = { oid: string; peeled?: string };
/** Refs by full name (and "HEAD"), and the branch that HEAD stands for. */
export type RemoteRefs = { refs: Map<string, RemoteRef>; head?: string; empty: boolean };

export type Protocol =
  | { version: 2 }
  /** The original protocol: refs come with the greeting, all of them. */
  | { version: 0; capabilities: Set<string>; refs: RemoteRefs };

/** Bytes of a list of refs: about 300,000 of them. */
export const MAX_REFS_BYTES = 32 * 1024 * 1024;
export const UPLOAD_PACK = '/git-upload-pack';

const seen = new LRUCache<string, 0 | 2>({ max: 10_000 });
/** Where a redirect led, by the remote's own address. A host may take a redirect back, so it counts for an hour. */
const moves = new LRUCache<string, HttpRemote>({ max: 10_000, ttl: 3_600_000 });

/** The address to which the host redirects the remote; null where it does not. */
export function redirectOf(remote: HttpRemote): string | null {
  return moves.get(remote.url.href)?.url.href ?? null;
}

/**
 * Speaks version 2 with the remote, which saves a request, and version 0 with the hosts that know only that. After a failure of version 2 the
 * first request of an ordinary conversation is sent: an old host answers version 2 with nonsense, and only that request is ever redirected.
 */
export async function speak<T>(remote: HttpRemote, call: RunningCall, tongues: Tongues<T>): Promise<T> {
  try {
    return await speakEither(remote, call, tongues);
  } catch (error) {
    throw withoutCredentials(error, call.credentials);
  }
}

type Tongues<T> = {
  v2: (at: HttpRemote) => Promise<T>;
  v0: (at: HttpRemote, greeting: Protocol & { version: 0 }) => Promise<T>;
};

async function speakEither<T>(remote: HttpRemote, call: RunningCall, tongues: Tongues<T>): Promise<T> {
  const key = remote.url.href;
  const known = seen.get(key);
  const here = moves.get(key) ?? remote;
  let failure: unknown;
  if (known !== 0) {
    try {
      const answer = await tongues.v2(here);
      seen.set(key, 2);
      return answer;
    } catch (error) {
      // A host that spoke version 2 before has another trouble; the next call begins anew.
      seen.delete(key);
      moves.delete(key);
      const isOther = known === 2 || !isProblem(error, 'git_protocol', 'git_server_error', 'git_not_found');
      if (isOther && !isProblem(error, 'git_redirect')) throw error;
      failure = error;
    }
  }
  const { protocol, at } = await discover(remote, call);
  seen.set(key, protocol.version);
  if (at === remote) moves.delete(key);
  else moves.set(key, at);
  if (protocol.version === 0) return await tongues.v0(at, protocol);
  if (failure && at.url.href === here.url.href) throw failure;
  return await tongues.v2(at);
}

/** @throws Problem `git_unsupported` for SHA-256 repositories and hosts without smart HTTP, and as `gitRequest` */
async function discover(remote: HttpRemote, call: RunningCall): Promise<{ protocol: Protocol; at: HttpRemote }> {
  const path = '/info/refs?service=git-upload-pack';
  const ask = { method: 'GET', path, headers: { 'git-protocol': 'version=2' }, maxBytes: MAX_REFS_BYTES } as const;
  const { lines, at } = await greetingLines(remote, ask, call);
  if (lines[0]?.startsWith('# service=')) lines.shift();
  if (lines[0] === 'version 2') {
    refuseSha256(remote, lines);
    return { protocol: { version: 2 }, at };
  }
  return { protocol: greeting(remote, lines), at };
}

/** @throws Problem as `gitRequest`, `git_unsupported` for hosts without smart HTTP */
export async function greetingLines(remote: HttpRemote, ask: GitRequest, call: RunningCall): Promise<{ lines: string[]; at: HttpRemote }> {
  const { body, contentType, at } = await firstRequest(remote, ask, call);
  if (isPlainFile(body, contentType)) {
    const answer = contentType === '' ? 'a plain file' : `"${foreignText(contentType)}"`;
    const why = `this host serves no smart HTTP, it answered with ${answer}`;
    const advice = 'hosts of plain files (dumb HTTP) are not read; serve the repository by "git http-backend" or a Git host';
    throw gitProblem('git_unsupported', `Cannot read "${remote.url.href}": ${why}; ${advice}`);
  }
  const lines: string[] = [];
  for (const payload of packets(body, remote.url.href)) if (Buffer.isBuffer(payload)) lines.push(line(payload));
  return { lines, at };
}

/** gitprotocol-http(5): a smart host names its own content type; some leave it out. A file of refs has an id and a tab per line. */
function isPlainFile(body: Buffer, contentType: string): boolean {
  const start = body.toString('latin1', 0, 64);
  if (/^[0-9a-f]{40}(?:[0-9a-f]{24})?\t/i.test(start)) return true;
  const isSmart =
    contentType === '' || /^application\/x-git-/i.test(contentType) || /^[0-9a-f]{4}(?:# service=|version \d|ERR )/i.test(start);
  return !isSmart && !/^\s*</.test(start);
}

/** Of version 0, without the name of the service. @throws Problem `git_unsupported` for SHA-256 repositories */
export function greeting(remote: HttpRemote, lines: string[]): Protocol & { version: 0 } {
  const capabilities = new Set(lines[0]?.split('\0')[1]?.split(' ') ?? []);
  refuseSha256(remote, capabilities);
  const refs = new Map<string, RemoteRef>();
  for (const text of lines) addAdvertised(refs, text.split('\0')[0] ?? '');
  const head = [...capabilities].find((capability) => capability.startsWith('symref=HEAD:'))?.slice('symref=HEAD:'.length);
  return { version: 0, capabilities, refs: { refs, head, empty: refs.size === 0 } };
}

function addAdvertised(refs: Map<string, RemoteRef>, text: string): void {
  const match = /^([0-9a-f]{40}) (\S+)$/.exec(text);
  const [, oid, name] = match ?? [];
  if (!oid || !name || name === 'capabilities^{}') return;
  const tag = name.endsWith('^{}') ? refs.get(name.slice(0, -3)) : undefined;
  if (tag) tag.peeled = oid;
  else refs.set(name, { oid });
}

function refuseSha256(remote: HttpRemote, capabilities: Iterable<string>): void {
  for (const capability of capabilities) {
    if (!capability.startsWith('object-format=') || capability === 'object-format=sha1') continue;
    throw gitProblem('git_unsupported', `Cannot read "${remote.url.href}": its object format is "${capability.slice(14)}", must be "sha1"`);
  }
}
