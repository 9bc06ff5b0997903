import { resolve } from 'node:path';
import { verifyClosure } from './closure.ts';
import { fetchPack, type Want } from './fetch-pack.ts';
import { type RunningCall, startCall } from './http-client.ts';
import { addPack, type MirrorFiles, readMirror, removeHead, resetMirror, writeHead } from './mirror-files.ts';
import type { ObjectSource } from './object-source.ts';
import { objectSource } from './objects.ts';
import { indexPack } from './pack-index.ts';
import { type PackReader, packReader } from './pack-reader.ts';
import { isProblem } from './problems.ts';
import type { HttpRemote, Remote } from './remote.ts';
import { type FetchOptions, openLocalAt, requireOid } from './snapshot.ts';

/** Every fetch adds a pack, and each is searched for an object: past this many the mirror starts anew. */
const MAX_PACKS = 64;

export type MirrorOptions = FetchOptions & { maxPacks?: number };

/**
 * The commit out of the mirror in `dir`, fetched first if it is not there: the first time without history, later only what is new. A mirror
 * that is damaged, lacks objects, has too many packs or would need too much is thrown away and fetched once more. One caller per `dir`
 * among all processes; calls from one thread wait for each other.
 * @throws Problem as `fetchSnapshot`
 */
export async function fetchIntoMirror(dir: string, remote: Remote, options: MirrorOptions): Promise<ObjectSource> {
  requireOid(options);
  if (remote.kind === 'local') return await openLocalAt(remote.path, options);
  return await alone(resolve(dir), (path) => fetchHealing(path, remote, options));
}

async function fetchHealing(dir: string, remote: HttpRemote, options: MirrorOptions): Promise<ObjectSource> {
  const call = startCall(options);
  try {
    const files = await readMirror(dir);
    if (files.head && files.packs.length < (options.maxPacks ?? MAX_PACKS)) return await advance(dir, remote, files, options, call);
  } catch (error) {
    if (!isProblem(error, 'git_object_missing', 'git_object_invalid', 'git_too_large')) throw error;
  }
  await resetMirror(dir);
  return await advance(dir, remote, { packs: [], head: null, shallow: [] }, options, call);
}

async function advance(
  dir: string,
  remote: HttpRemote,
  files: MirrorFiles,
  options: MirrorOptions,
  call: RunningCall,
): Promise<ObjectSource> {
  const { oid, limits } = options;
  let reader = packReader(files.packs, limits);
  // Read, not only looked for: a mirror whose last commit is damaged must not be built upon.
  const knownTree = files.head ? (await sourceOf(dir, reader).readCommit(files.head)).tree : null;
  if (!reader.has(oid)) reader = packReader([...files.packs, await fetchNew(dir, remote, files, reader, options, call)], limits);
  const source = sourceOf(dir, reader);
  if (oid !== files.head) {
    await verifyClosure(source, reader.has, oid, knownTree, limits);
    await writeHead(dir, oid);
  }
  return source;
}

async function fetchNew(
  dir: string,
  remote: HttpRemote,
  files: MirrorFiles,
  reader: PackReader,
  options: MirrorOptions,
  call: RunningCall,
) {
  const want: Want = files.head
    ? { oid: options.oid, haves: [files.head], shallow: files.shallow, depth: null }
    : { oid: options.oid, haves: [], shallow: [], depth: 1 };
  const fetched = await fetchPack(remote, want, options.limits, call);
  const indexed = indexPack(fetched.pack, options.limits, (oid) => reader.read(oid));
  const shallow = new Set([...files.shallow, ...fetched.shallow]);
  for (const oid of fetched.unshallow) shallow.delete(oid);
  await addPack(dir, indexed, [...shallow]);
  return indexed;
}

/** Damage that shows only while reading takes the mirror out of use, so that the next call fetches it anew. */
function sourceOf(dir: string, reader: PackReader): ObjectSource {
  return objectSource(async (oid, maxBytes) => {
    try {
      return reader.read(oid, maxBytes);
    } catch (error) {
      if (isProblem(error, 'git_object_invalid')) await removeHead(dir);
      throw error;
    }
  });
}

const queues = new Map<string, Promise<unknown>>();

async function alone<T>(dir: string, work: (dir: string) => Promise<T>): Promise<T> {
  const before = queues.get(dir) ?? Promise.resolve();
  const mine = before.then(
    () => work(dir),
    () => work(dir),
  );
  const settled = mine.catch(() => {});
  queues.set(dir, settled);
  try {
    return await mine;
  } finally {
    if (queues.get(dir) === settled) queues.delete(dir);
  }
}
