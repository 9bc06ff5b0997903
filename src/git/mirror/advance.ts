import type { Limits } from '../limits.ts';
import { verifyClosure } from '../pack/closure.ts';
import { indexPack } from '../pack/index-of-pack.ts';
import type { ObjectSource } from '../pack/object-source.ts';
import { objectSource } from '../pack/objects.ts';
import { type PackReader, packReader } from '../pack/reader.ts';
import { gitProblem, isProblem } from '../problems.ts';
import type { FetchOptions } from '../protocol/fetch-options.ts';
import type { FetchedPack } from '../protocol/fetch-pack.ts';
import { addPack, type MirrorFiles, removeHead, writeHead } from './files.ts';

/**
 * The staging rule: the commit out of the mirror whose files these are, which first takes in the pack that `obtain` gives unless it has the
 * commit; it counts, as the mirror's head, once everything that it needs was seen to be there.
 * @throws Problem as `obtain`, `git_too_large`, `git_object_missing`, `git_object_invalid`, `git_transfer_damaged`, `mirror_damaged`
 */
export async function advance(
  dir: string,
  files: MirrorFiles,
  { oid, limits }: Pick<FetchOptions, 'oid' | 'limits'>,
  obtain: () => Promise<FetchedPack>,
): Promise<ObjectSource> {
  let reader = mirrorReader(files.packs, limits);
  // Read, not only looked for: a mirror whose last commit is damaged must not be built upon.
  const knownTree = files.head ? (await sourceOf(dir, reader).readCommit(files.head)).tree : null;
  if (!reader.has(oid)) {
    const fetched = await obtain();
    const indexed = indexPack(fetched.pack, limits, (id) => reader.read(id));
    await addPack(dir, indexed, shallowAfter(files.shallow, fetched));
    reader = mirrorReader([...files.packs, indexed], limits);
  }
  const source = sourceOf(dir, reader);
  if (oid !== files.head) {
    await verifyClosure(source, reader.has, oid, knownTree, limits);
    await writeHead(dir, oid);
  }
  return source;
}

function shallowAfter(before: readonly string[], fetched: FetchedPack): string[] {
  const shallow = new Set([...before, ...fetched.shallow]);
  for (const oid of fetched.unshallow) shallow.delete(oid);
  return [...shallow];
}

/** Every object was read and hashed when it came here: what cannot be read now was damaged on our disk. */
function mirrorReader(packs: MirrorFiles['packs'], limits: Limits): PackReader {
  const reader = blamingTheDisk(() => packReader(packs, limits));
  return { has: reader.has, read: (oid, maxBytes) => blamingTheDisk(() => reader.read(oid, maxBytes)) };
}

function blamingTheDisk<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isProblem(error, 'git_object_invalid', 'git_object_missing')) throw error;
    const advice = 'it is fetched anew; if this repeats, check the disk where DATA_DIR stands';
    const what = 'Cannot use the copy of the repository that this service keeps on its disk, it is damaged';
    throw gitProblem('mirror_damaged', `${what}: ${error.message}; ${advice}`, { cause: error });
  }
}

/** Damage that shows only while reading takes the mirror out of use, so that the next call fetches it anew. */
function sourceOf(dir: string, reader: PackReader): ObjectSource {
  return objectSource(async (oid, maxBytes) => {
    try {
      return reader.read(oid, maxBytes);
    } catch (error) {
      if (isProblem(error, 'mirror_damaged')) await removeHead(dir);
      throw error;
    }
  });
}
