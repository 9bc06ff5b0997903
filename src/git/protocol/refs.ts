import { gitRequest, type RemoteCall, type RunningCall, startCall } from '../http/client.ts';
import { foreignText, gitProblem } from '../problems.ts';
import { checkRefName, type HttpRemote, isOid, type Remote } from '../remote.ts';
import { listLocalRefs } from './local.ts';
import { DELIMITER, FLUSH, line, packet, packets } from './pkt-line.ts';
import { MAX_REFS_BYTES, negotiate, type RemoteRef, type RemoteRefs, UPLOAD_PACK } from './protocol.ts';

/** The part of a logger that `listRefs` needs. */
export type RefsLog = { debug(fields: Record<string, unknown>, message: string): void };

const NAMESPACES = ['refs/heads/', 'refs/tags/'];
const SUGGESTIONS = 5;

/**
 * Lists the remote's refs that begin with one of `prefixes` (see `refPrefixes`) in one small request. If there is none, it lists all branches and tags.
 * The error can then name some of them and distinguish an empty repository from a missing branch.
 * @throws Problem as `gitRequest`, `git_unsupported`
 */
export async function listRefs(
  remote: Remote,
  options: RemoteCall & { prefixes: string[]; log?: RefsLog | undefined },
): Promise<RemoteRefs> {
  if (remote.kind === 'local') return selected(await listLocalRefs(remote.path), options.prefixes);
  const call = startCall(options);
  const startedAt = performance.now();
  const list = (prefixes: string[]): Promise<RemoteRefs> =>
    negotiate(remote, call, { v2: (at) => lsRefs(at, prefixes, call), v0: async (_at, { refs }) => selected(refs, prefixes) });
  let found = await list(options.prefixes);
  const nothing = [...found.refs.keys()].every((name) => name === 'HEAD');
  if (nothing) found = await list(NAMESPACES);
  options.log?.debug({ remote: remote.host, refs: found.refs.size, durationMs: Math.round(performance.now() - startedAt) }, 'refs listed');
  return found;
}

/** The prefixes that `listRefs` needs so that `resolveRef` can find `wanted`. They are few, so that a host with 100,000 refs sends a short answer. */
export function refPrefixes(wanted: string): string[] {
  if (wanted === 'HEAD' || isOid(wanted.toLowerCase())) return ['HEAD'];
  return wanted.startsWith('refs/') ? [wanted] : NAMESPACES.map((namespace) => namespace + wanted);
}

/**
 * Resolves a branch, tag (peeled), full ref name, `HEAD` or commit id to a commit; a branch precedes a tag of the same name.
 * A commit id resolves to itself: only the fetch shows whether the remote has it.
 * @throws Problem `invalid_ref`, `repository_empty`, `ref_missing`
 */
export function resolveRef(found: RemoteRefs, given: string): { name: string; oid: string } {
  const wanted = checkRefName(given);
  if (isOid(wanted)) return { name: wanted, oid: wanted };
  const names =
    wanted === 'HEAD'
      ? ['HEAD', found.head ?? '']
      : wanted.startsWith('refs/')
        ? [wanted]
        : NAMESPACES.map((namespace) => namespace + wanted);
  for (const name of names) {
    const ref = found.refs.get(name);
    if (ref) return { name: name === 'HEAD' ? (found.head ?? name) : name, oid: ref.peeled ?? ref.oid };
  }
  if (found.empty) throw gitProblem('repository_empty', `Cannot find "${wanted}": the repository has no commits yet`);
  const advice = /^[0-9a-f]{7,39}$/i.test(wanted) ? '; a commit id must have all of its 40 digits' : '';
  throw gitProblem('ref_missing', `Cannot find "${wanted}" in the repository: ${existing(found)}${advice}`);
}

async function lsRefs(remote: HttpRemote, prefixes: string[], call: RunningCall): Promise<RemoteRefs> {
  const asked = [...new Set(['HEAD', ...prefixes])].map((prefix) => packet(`ref-prefix ${prefix}`));
  const body = [packet('command=ls-refs'), DELIMITER, packet('peel'), packet('symrefs'), ...asked, FLUSH].join('');
  const headers = {
    'content-type': 'application/x-git-upload-pack-request',
    accept: 'application/x-git-upload-pack-result',
    'git-protocol': 'version=2',
  };
  const answer = await gitRequest(
    remote,
    { method: 'POST', path: UPLOAD_PACK, headers, body: Buffer.from(body), maxBytes: MAX_REFS_BYTES },
    call,
  );
  return parseRefs(answer, remote.url.href);
}

function parseRefs(answer: Buffer, where: string): RemoteRefs {
  const refs = new Map<string, RemoteRef>();
  let head: string | undefined;
  let ended = false;
  for (const payload of packets(answer, where)) {
    if (!Buffer.isBuffer(payload)) {
      ended ||= payload === 'flush';
      continue;
    }
    const [oid = '', name = '', ...attributes] = line(payload).split(' ');
    if (oid === 'unborn') continue;
    if (!isOid(oid) || !name)
      throw gitProblem('git_protocol', `Cannot read "${where}": the list of refs has the line "${foreignText(line(payload))}"`);
    refs.set(name, { oid, peeled: attribute(attributes, 'peeled:') });
    if (name === 'HEAD') head = attribute(attributes, 'symref-target:');
  }
  if (!ended) throw gitProblem('git_protocol', `Cannot read "${where}": the list of refs breaks off`);
  return { refs, head, empty: refs.size === 0 };
}

function attribute(attributes: string[], key: string): string | undefined {
  return attributes.find((text) => text.startsWith(key))?.slice(key.length);
}

/** Selects the refs that a version 2 host would have listed. */
function selected(all: RemoteRefs, prefixes: string[]): RemoteRefs {
  const wanted = ['HEAD', ...prefixes];
  const refs = new Map([...all.refs].filter(([name]) => wanted.some((prefix) => name.startsWith(prefix))));
  const nothing = [...refs.keys()].every((name) => name === 'HEAD');
  return nothing ? all : { ...all, refs };
}

function existing(found: RemoteRefs): string {
  const names = [...found.refs.keys()].filter((name) => NAMESPACES.some((namespace) => name.startsWith(namespace)));
  const first = names.slice(0, SUGGESTIONS).map((name) => `"${name.replace(/^refs\/(?:heads|tags)\//, '')}"`);
  if (first.length === 0) return 'it has no branches or tags';
  const more = names.length > SUGGESTIONS ? ` and ${names.length - SUGGESTIONS} more` : '';
  return `it has ${foreignText(first.join(', '))}${more}`;
}
