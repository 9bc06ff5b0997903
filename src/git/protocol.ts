import { LRUCache } from 'lru-cache';
import { type GitRequest, gitRequest, type RunningCall } from './http-client.ts';
import { line, packets } from './pkt-line.ts';
import { gitProblem, isProblem } from './problems.ts';
import type { HttpRemote } from './remote.ts';
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

/**
 * Speaks version 2 with the remote, which saves a request, and version 0 with the hosts that know only that. A failure of version 2 is
 * looked into once: an old host answers it with nonsense.
 */
export async function speak<T>(remote: HttpRemote, call: RunningCall, tongues: Tongues<T>): Promise<T> {
  try {
    return await speakEither(remote, call, tongues);
  } catch (error) {
    throw withoutCredentials(error, call.credentials);
  }
}

type Tongues<T> = { v2: () => Promise<T>; v0: (greeting: Protocol & { version: 0 }) => Promise<T> };

async function speakEither<T>(remote: HttpRemote, call: RunningCall, tongues: Tongues<T>): Promise<T> {
  const known = seen.get(remote.url.href);
  let failure: unknown;
  if (known !== 0) {
    try {
      const answer = await tongues.v2();
      seen.set(remote.url.href, 2);
      return answer;
    } catch (error) {
      // A host that spoke version 2 before has another trouble; it is looked into the next time.
      seen.delete(remote.url.href);
      if (known === 2 || !isProblem(error, 'git_protocol', 'git_server_error', 'git_not_found')) throw error;
      failure = error;
    }
  }
  const greeting = await discover(remote, call);
  seen.set(remote.url.href, greeting.version);
  if (greeting.version === 0) return await tongues.v0(greeting);
  if (failure) throw failure;
  return await tongues.v2();
}

/** @throws Problem `git_unsupported` for SHA-256 repositories, and as `gitRequest` */
async function discover(remote: HttpRemote, call: RunningCall): Promise<Protocol> {
  const path = '/info/refs?service=git-upload-pack';
  const ask = { method: 'GET', path, headers: { 'git-protocol': 'version=2' }, maxBytes: MAX_REFS_BYTES } as const;
  const lines = await greetingLines(remote, ask, call);
  if (lines[0]?.startsWith('# service=')) lines.shift();
  if (lines[0] === 'version 2') {
    refuseSha256(remote, lines);
    return { version: 2 };
  }
  return greeting(remote, lines);
}

export async function greetingLines(remote: HttpRemote, ask: GitRequest, call: RunningCall): Promise<string[]> {
  const body = await gitRequest(remote, ask, call);
  const lines: string[] = [];
  for (const payload of packets(body, remote.url.href)) if (Buffer.isBuffer(payload)) lines.push(line(payload));
  return lines;
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
