import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { invalid } from '../errors.ts';
import { type RemoteCall, startCall } from './http/client.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { objectId, type RawObject } from './pack/pack.ts';
import { gitProblem } from './problems.ts';
import { createRef, listRefsForPush } from './protocol/receive-pack.ts';
import { withoutCredentials } from './protocol/scrub.ts';
import { checkRefName, isOid, type Remote } from './remote.ts';
import { fetchSnapshot } from './snapshot.ts';

export type Person = { name: string; email: string };

/** One commit on a new branch. The remote already has `parent` and `tree`, so the push sends only the commit itself. */
export type BranchCommit = {
  /** Short name, without "refs/heads/". */
  branch: string;
  /** The commit's only parent, 40 hex digits. */
  parent: string;
  /** Id of the root tree, 40 hex digits. */
  tree: string;
  message: string;
  author: Person;
  committer: Person;
  /** The time of author and committer, to the second. */
  at: Date;
};

/** `exists`: the branch already has one commit with that tree on that parent, whoever pushed it. */
export type PushedBranch = { outcome: 'pushed' | 'exists'; commit: string };

/**
 * Writes the commit and pushes it as a new branch; never moves an existing branch. The same input gives the same commit id, so that a retry after
 * a lost answer finds the commit of the first attempt.
 * @throws Problem as `gitRequest`, `invalid_request`, `invalid_ref`, `git_unsupported`, `git_push_denied`, `git_push_refused`, `branch_exists`,
 * `git_object_missing` (the remote lacks parent or tree)
 */
export async function pushCommitBranch(remote: Remote, options: RemoteCall, wanted: BranchCommit): Promise<PushedBranch> {
  try {
    return await pushBranch(remote, options, wanted);
  } catch (error) {
    throw withoutCredentials(error, options.credentials);
  }
}

async function pushBranch(remote: Remote, options: RemoteCall, wanted: BranchCommit): Promise<PushedBranch> {
  if (remote.kind === 'local')
    throw gitProblem('git_unsupported', `Cannot push to "${remote.path}": repositories on this machine are only read`);
  const ref = `refs/heads/${requireBranch(wanted.branch)}`;
  const object = commitObject(wanted);
  const oid = objectId(object);
  const call = startCall(options);
  const before = await listRefsForPush(remote, call);
  const existing = before.refs.refs.get(ref);
  if (existing) return await acceptExisting(remote, call, wanted, oid, existing.oid);
  const report = await createRef(before.at, before.capabilities, { ref, oid, pack: packOf(object) }, call);
  if (report.created) return { outcome: 'pushed', commit: oid };
  // Another push may have created the branch. Or this push arrived, its answer was lost, and `gitRequest` sent it again.
  const after = (await listRefsForPush(remote, call)).refs.refs.get(ref);
  if (after) return await acceptExisting(remote, call, wanted, oid, after.oid);
  throw refusal(remote.url.href, wanted, report.why);
}

/** Accepts the branch's commit if it equals the wanted one or has the same tree and parent. */
async function acceptExisting(
  remote: Remote,
  call: RemoteCall,
  { branch, parent, tree }: BranchCommit,
  wantedOid: string,
  oid: string,
): Promise<PushedBranch> {
  if (oid === wantedOid) return { outcome: 'exists', commit: oid };
  const source = await fetchSnapshot(remote, { ...call, oid, ref: branch, limits: DEFAULT_LIMITS });
  const found = await source.readCommit(oid);
  if (found.tree === tree && found.parents.length === 1 && found.parents[0] === parent) return { outcome: 'exists', commit: oid };
  throw gitProblem('branch_exists', `Cannot create the branch "${branch}": it exists at "${oid}" with another content or parent`);
}

function refusal(where: string, { branch, parent, tree }: BranchCommit, why: string) {
  // Git's connectivity check reports the first; hosts with checks while unpacking report the other two.
  if (/missing necessary objects|did not receive expected object|object of unexpected type/i.test(why))
    return gitProblem(
      'git_object_missing',
      `Cannot push the branch "${branch}" to "${where}": the host lacks the commit "${parent}" or the tree "${tree}": ${why}`,
      { status: 422, retry: 'never' },
    );
  return gitProblem('git_push_refused', `Cannot push the branch "${branch}" to "${where}": the host refused it: ${why}`);
}

function requireBranch(branch: string): string {
  checkRefName(branch);
  if (branch === 'HEAD' || branch.startsWith('refs/') || isOid(branch))
    throw gitProblem('invalid_ref', `Cannot use "${branch}" as the name of a branch: must be a short name`);
  return branch;
}

function commitObject({ parent, tree, message, author, committer, at }: BranchCommit): RawObject {
  for (const [what, oid] of Object.entries({ parent, tree }))
    if (!isOid(oid)) throw gitProblem('invalid_ref', `Cannot write a commit with the ${what} "${oid}": an id has 40 hex digits`);
  const when = `${Math.floor(at.getTime() / 1000)} +0000`;
  const head = [
    `tree ${tree}`,
    `parent ${parent}`,
    `author ${person('author', author)} ${when}`,
    `committer ${person('committer', committer)} ${when}`,
  ];
  const body = message.replaceAll('\0', '').trimEnd();
  return { type: 'commit', bytes: Buffer.from(`${head.join('\n')}\n\n${body}\n`) };
}

/** Removes the characters that would end the line or the address, as git itself does. */
function person(role: string, { name, email }: Person): string {
  const clean = (text: string): string => text.replace(/[<>\p{Cc}]/gu, '').trim();
  if (!clean(name)) throw invalid(`Cannot write a commit: the ${role} has no name`);
  return `${clean(name)} <${clean(email)}>`;
}

/** Builds a pack of this one object (gitformat-pack(5)): its kind and size (four bits, then seven per byte), then its bytes. */
function packOf({ bytes }: RawObject): Buffer {
  const header = [(1 << 4) | (bytes.length & 15)];
  for (let rest = bytes.length >> 4; rest > 0; rest >>= 7) {
    header.push((header.pop() ?? 0) | 128, rest & 127);
  }
  const start = Buffer.from('PACK\0\0\0\x02\0\0\0\x01', 'latin1');
  const pack = Buffer.concat([start, Buffer.from(header), deflateSync(bytes)]);
  return Buffer.concat([pack, createHash('sha1').update(pack).digest()]);
}
