import fs from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ObjectSource } from '../pack/object-source.ts';
import { objectSource } from '../pack/objects.ts';
import type { ObjectType, RawObject } from '../pack/pack.ts';
import { gitProblem } from '../problems.ts';
import type { RemoteRef, RemoteRefs } from './protocol.ts';

/**
 * Reads objects of a repository on this machine, a working copy or a bare one. All reads are by id, since the repository may change meanwhile.
 * For development only: the reader inflates an object before it knows the size.
 * @throws Problem `git_not_found`, `git_unsupported`
 */
export async function openLocal(path: string): Promise<ObjectSource> {
  const gitdir = await findGitdir(path);
  const cache = {};
  return objectSource(async (oid, maxBytes = Number.POSITIVE_INFINITY) => {
    const object = await readObject(gitdir, oid, cache);
    if (object && object.bytes.length > maxBytes)
      throw gitProblem('git_too_large', `Cannot read object "${oid}": it has ${object.bytes.length} bytes, must be at most ${maxBytes}`);
    return object;
  });
}

/** Lists branches and tags of a repository on this machine. @throws Problem as `openLocal` */
export async function listLocalRefs(path: string): Promise<RemoteRefs> {
  const gitdir = await findGitdir(path);
  const git = await loadGit();
  const cache = {};
  const refs = new Map<string, RemoteRef>();
  const add = async (name: string): Promise<void> => {
    const oid = await git.resolveRef({ fs, gitdir, ref: name }).catch(() => undefined);
    if (oid) refs.set(name, { oid, peeled: await peel(gitdir, oid, cache) });
  };
  await add('HEAD');
  for (const branch of await git.listBranches({ fs, gitdir })) await add(`refs/heads/${branch}`);
  for (const tag of await git.listTags({ fs, gitdir })) await add(`refs/tags/${tag}`);
  const head = await git.currentBranch({ fs, gitdir, fullname: true }).catch(() => undefined);
  return { refs, head: head || undefined, empty: refs.size === 0 };
}

/** Loads the library on demand, since only repositories on this machine need it. It costs each process and worker thread 50 ms of processor time. */
async function loadGit() {
  return (await import('isomorphic-git')).default;
}

/** Finds the folder with objects and refs of a working copy, a linked work tree or a bare repository. */
async function findGitdir(path: string): Promise<string> {
  const dotGit = join(path, '.git');
  const inner = await stat(dotGit).catch(() => undefined);
  const gitdir = inner?.isFile() ? await linkedGitdir(path, dotGit) : inner ? dotGit : path;
  const objects = await stat(join(gitdir, 'objects')).catch(() => undefined);
  if (!objects?.isDirectory()) throw gitProblem('git_not_found', `Cannot find a Git repository at "${path}"`);
  const config = await readFile(join(gitdir, 'config'), 'utf8').catch(() => '');
  if (/^\s*objectformat\s*=\s*sha256/im.test(config))
    throw gitProblem('git_unsupported', `Cannot read "${path}": its object format is "sha256", must be "sha1"`);
  return gitdir;
}

async function linkedGitdir(path: string, file: string): Promise<string> {
  const target = /^gitdir: (.+)$/m.exec(await readFile(file, 'utf8'))?.[1]?.trim() ?? '';
  const gitdir = resolve(path, target);
  const common = await readFile(join(gitdir, 'commondir'), 'utf8').catch(() => '.');
  return resolve(gitdir, common.trim());
}

async function peel(gitdir: string, oid: string, cache: object): Promise<string | undefined> {
  const object = await readObject(gitdir, oid, cache);
  if (object?.type !== 'tag') return undefined;
  const target = /^object ([0-9a-f]{40})$/m.exec(object.bytes.toString('utf8'))?.[1];
  return target ? ((await peel(gitdir, target, cache)) ?? target) : undefined;
}

async function readObject(gitdir: string, oid: string, cache: object): Promise<RawObject | undefined> {
  const git = await loadGit();
  try {
    const { type, object } = await git.readObject({ fs, gitdir, oid, format: 'content', cache });
    if (!isObjectType(type) || !(object instanceof Uint8Array)) throw new Error(`unexpected object type "${type}"`);
    return { type, bytes: Buffer.from(object.buffer, object.byteOffset, object.byteLength) };
  } catch (error) {
    if (error instanceof git.Errors.NotFoundError) return undefined;
    // The library's own messages ask the reader to file a bug report.
    const why = `the repository "${gitdir}" on this machine is damaged; run "git fsck" there`;
    throw gitProblem('git_object_invalid', `Cannot read object "${oid}": ${why}`, { cause: error });
  }
}

function isObjectType(type: string | undefined): type is ObjectType {
  return type === 'commit' || type === 'tree' || type === 'blob' || type === 'tag';
}
