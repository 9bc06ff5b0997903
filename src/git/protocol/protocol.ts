import { LRUCache } from 'lru-cache';
import { firstRequest, type GitRequest, type RunningCall } from '../http/client.ts';
import { foreignText, gitProblem, isProblem } from '../problems.ts';
import type { HttpRemote } from '../remote.ts';
import { line, packets } from './pkt-line.ts';
import { withoutCredentials } from './scrub.ts';

export type RemoteRef = { oid: string; peeled?: string };
/** Refs by full name (and "HEAD"), and the branch to which HEAD points. */
export type RemoteRefs = { refs: Map<string, RemoteRef>; head?: string; empty: boolean };

export type Protocol =
  | { version: 2 }
  /** The original protocol: the first answer advertises all refs. */
  | { version: 0; capabilities: Set<string>; refs: RemoteRefs };

/** Bytes of a list of refs: enough for about 300,000 refs. */
export const MAX_REFS_BYTES = 32 * 1024 * 1024;
export const UPLOAD_PACK = '/git-upload-pack';

const knownVersions = new LRUCache<string, 0 | 2>({ max: 10_000 });
/** Targets of redirects by the remote's own address. A host may withdraw a redirect, so an entry expires after an hour. */
const redirects = new LRUCache<string, HttpRemote>({ max: 10_000, ttl: 3_600_000 });

/** The address to which the host redirects the remote; null without a redirect. */
export function redirectOf(remote: HttpRemote): string | null {
  return redirects.get(remote.url.href)?.url.href ?? null;
}

/**
 * Uses version 2 with the remote, which saves a request, and version 0 with hosts that support only that. After a failure of version 2 it sends the
 * first request of an ordinary conversation: an old host answers version 2 with nonsense, and hosts redirect only that first request.
 */
export async function negotiate<T>(remote: HttpRemote, call: RunningCall, handlers: VersionHandlers<T>): Promise<T> {
  try {
    return await useKnownVersion(remote, call, handlers);
  } catch (error) {
    throw withoutCredentials(error, call.credentials);
  }
}

type VersionHandlers<T> = {
  v2: (at: HttpRemote) => Promise<T>;
  v0: (at: HttpRemote, advertisement: Protocol & { version: 0 }) => Promise<T>;
};

async function useKnownVersion<T>(remote: HttpRemote, call: RunningCall, handlers: VersionHandlers<T>): Promise<T> {
  const key = remote.url.href;
  const known = knownVersions.get(key);
  const lastAddress = redirects.get(key) ?? remote;
  let failure: unknown;
  if (known !== 0) {
    try {
      const answer = await handlers.v2(lastAddress);
      knownVersions.set(key, 2);
      return answer;
    } catch (error) {
      // A host that supported version 2 before has another fault. The next call determines version and address again.
      knownVersions.delete(key);
      redirects.delete(key);
      const isOther = known === 2 || !isProblem(error, 'git_protocol', 'git_server_error', 'git_not_found');
      if (isOther && !isProblem(error, 'git_redirect')) throw error;
      failure = error;
    }
  }
  const { protocol, at } = await discover(remote, call);
  knownVersions.set(key, protocol.version);
  if (at === remote) redirects.delete(key);
  else redirects.set(key, at);
  if (protocol.version === 0) return await handlers.v0(at, protocol);
  if (failure && at.url.href === lastAddress.url.href) throw failure;
  return await handlers.v2(at);
}

/** @throws Problem `git_unsupported` for SHA-256 repositories and hosts without smart HTTP, and as `gitRequest` */
async function discover(remote: HttpRemote, call: RunningCall): Promise<{ protocol: Protocol; at: HttpRemote }> {
  const path = '/info/refs?service=git-upload-pack';
  const ask = { method: 'GET', path, headers: { 'git-protocol': 'version=2' }, maxBytes: MAX_REFS_BYTES } as const;
  const { lines, at } = await advertisedLines(remote, ask, call);
  if (lines[0]?.startsWith('# service=')) lines.shift();
  if (lines[0] === 'version 2') {
    refuseSha256(remote, lines);
    return { protocol: { version: 2 }, at };
  }
  return { protocol: parseAdvertisement(remote, lines), at };
}

/** @throws Problem as `gitRequest`, `git_unsupported` for hosts without smart HTTP */
export async function advertisedLines(
  remote: HttpRemote,
  ask: GitRequest,
  call: RunningCall,
): Promise<{ lines: string[]; at: HttpRemote }> {
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

/** gitprotocol-http(5): a smart host names its own content type; some hosts omit it. A file of refs has an id and a tab in each line. */
function isPlainFile(body: Buffer, contentType: string): boolean {
  const start = body.toString('latin1', 0, 64);
  if (/^[0-9a-f]{40}(?:[0-9a-f]{24})?\t/i.test(start)) return true;
  const isSmart =
    contentType === '' || /^application\/x-git-/i.test(contentType) || /^[0-9a-f]{4}(?:# service=|version \d|ERR )/i.test(start);
  return !isSmart && !/^\s*</.test(start);
}

/** Parses the refs of version 0; `lines` omit the name of the service. @throws Problem `git_unsupported` for SHA-256 repositories */
export function parseAdvertisement(remote: HttpRemote, lines: string[]): Protocol & { version: 0 } {
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
