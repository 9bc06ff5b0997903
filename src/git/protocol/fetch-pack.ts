import { type GitRequest, gitRequest, type RunningCall } from '../http/client.ts';
import type { Limits } from '../limits.ts';
import { gitProblem } from '../problems.ts';
import type { HttpRemote } from '../remote.ts';
import { type FetchedPack, parseFetched } from './fetched.ts';
import { DELIMITER, FLUSH, packet } from './pkt-line.ts';
import { negotiate, type Protocol, UPLOAD_PACK } from './protocol.ts';

export type Want = {
  oid: string;
  /** Commits whose trees are complete in the mirror; `shallow` names those without parents. */
  haves: string[];
  /** Commits whose parents the mirror lacks. */
  shallow: string[];
  /** 1 = the commit without its history; null = everything outside `haves`. */
  depth: 1 | null;
  /** The host omits files of at least so many bytes. */
  blobLimit?: number;
};

const CONTENT = { 'content-type': 'application/x-git-upload-pack-request', accept: 'application/x-git-upload-pack-result' };
/** Added to the pack's limit: the side band adds 5 bytes to every 64 kB, and the host may send messages. */
const OVERHEAD_BYTES = 1024 * 1024;

/**
 * Fetches a commit and its objects in one request. With `haves` the pack may be thin: its deltas may refer to bases in those commits.
 * @throws Problem as `gitRequest`, `commit_missing` when the host does not serve it
 */
export async function fetchPack(remote: HttpRemote, want: Want, limits: Limits, call: RunningCall): Promise<FetchedPack> {
  const where = remote.url.href;
  return await requestPack(remote, want, limits, call, async (at, request) =>
    parseFetched(await gitRequest(at, request, call), limits, where),
  );
}

/** Sends the request in the host's protocol version; `receive` handles the answer. */
export async function requestPack<T>(
  remote: HttpRemote,
  want: Want,
  limits: Limits,
  call: RunningCall,
  receive: (at: HttpRemote, request: GitRequest) => Promise<T>,
): Promise<T> {
  const packBytes = want.haves.length > 0 ? Math.min(limits.maxPackBytes, limits.maxIncrementBytes) : limits.maxPackBytes;
  const maxBytes = Math.ceil(packBytes * 1.001) + OVERHEAD_BYTES;
  const ask = (at: HttpRemote, body: string, headers: Record<string, string>) =>
    receive(at, { method: 'POST', path: UPLOAD_PACK, headers, body: Buffer.from(body), maxBytes });
  return await negotiate(remote, call, {
    v2: (at) => ask(at, requestV2(want), { ...CONTENT, 'git-protocol': 'version=2' }),
    v0: (at, advertised) => ask(at, requestV0(remote, want, advertised), CONTENT),
  });
}

/** gitprotocol-v2(5). An immediate `done` needs one round trip: the host sends every object outside `haves`. */
function requestV2(want: Want): string {
  const options = [want.haves.length > 0 ? 'thin-pack' : '', 'no-progress', 'ofs-delta', ...want.shallow.map((oid) => `shallow ${oid}`)];
  if (want.depth !== null) options.push(`deepen ${want.depth}`);
  if (want.blobLimit !== undefined) options.push(filterOf(want.blobLimit));
  options.push(`want ${want.oid}`, ...want.haves.map((oid) => `have ${oid}`), 'done');
  return [packet('command=fetch'), DELIMITER, ...options.filter(Boolean).map(packet), FLUSH].join('');
}

/** git-rev-list(1), "--filter". */
const filterOf = (bytes: number): string => `filter blob:limit=${bytes}`;

/** gitprotocol-pack(5), stateless. */
function requestV0(remote: HttpRemote, want: Want, advertised: Protocol & { version: 0 }): string {
  if (!advertised.capabilities.has('side-band-64k'))
    throw gitProblem('git_unsupported', `Cannot fetch from "${remote.url.href}": the host lacks the capability "side-band-64k"`);
  if (want.blobLimit !== undefined && !advertised.capabilities.has('filter'))
    throw gitProblem('git_unsupported', `Cannot fetch from "${remote.url.href}": the host lacks the capability "filter"`);
  const wished = [
    ...(want.blobLimit === undefined ? [] : ['filter']),
    'side-band-64k',
    'ofs-delta',
    'no-progress',
    ...(want.haves.length > 0 ? ['thin-pack'] : []),
  ];
  const capabilities = wished.filter((name) => advertised.capabilities.has(name)).join(' ');
  const deepen = want.depth !== null && advertised.capabilities.has('shallow') ? [packet(`deepen ${want.depth}`)] : [];
  const shallow = want.shallow.map((oid) => packet(`shallow ${oid}`));
  const filter = want.blobLimit === undefined ? [] : [packet(filterOf(want.blobLimit))];
  const haves = want.haves.map((oid) => packet(`have ${oid}`));
  return [packet(`want ${want.oid} ${capabilities}`), ...shallow, ...deepen, ...filter, FLUSH, ...haves, packet('done')].join('');
}
