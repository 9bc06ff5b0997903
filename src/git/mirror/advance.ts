import type { Limits } from '../limits.ts';
import { verifyClosure } from '../pack/closure.ts';
import { indexPack } from '../pack/index-of-pack.ts';
import type { ObjectSource } from '../pack/object-source.ts';
import { objectSource } from '../pack/objects.ts';
import { type PackReader, packReader } from '../pack/reader.ts';
import { gitProblem, isProblem } from '../problems.ts';
import type { FetchOptions } from '../protocol/fetch-options.ts';
import type { FetchedPack } from '../protocol/fetched.ts';
import { addPack, type MirrorFiles, removeHead, writeHead } from './files.ts';

/**
 * The staging rule: reads the commit from the mirror with these files. If the mirror lacks the commit, it first stores the pack of `obtain`. The commit
 * becomes the mirror's head only after all of its objects are verified to be present.
 * @throws Problem as `obtain`, `git_too_large`, `git_object_missing`, `git_object_invalid`, `git_transfer_damaged`, `mirror_damaged`
 */
export async function advance(
  dir: string,
  files: MirrorFiles,
  { oid, limits }: Pick<FetchOptions, 'oid' | 'limits'>,
  obtain: () => Promise<FetchedPack>,
): Promise<ObjectSource> {
  let reader = mirrorReader(files.packs, limits);
  // The read also verifies the commit: a mirror with a damaged head must not be extended.
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

/** Bellwether hashed every object when it arrived, so an unreadable one was damaged on the disk of this service. */
function mirrorReader(packs: MirrorFiles['packs'], limits: Limits): PackReader {
  const reader = asMirrorDamage(() => packReader(packs, limits));
  return { has: reader.has, read: (oid, maxBytes) => asMirrorDamage(() => reader.read(oid, maxBytes)) };
}

function asMirrorDamage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isProblem(error, 'git_object_invalid', 'git_object_missing')) throw error;
    const advice = 'Bellwether fetches it again; if this repeats, check the disk of DATA_DIR';
    const problem = "Cannot use the repository's mirror on the disk of this service, it is damaged";
    throw gitProblem('mirror_damaged', `${problem}: ${error.message}; ${advice}`, { cause: error });
  }
}

/** Damage found while reading removes the mirror's head, so that the next call fetches the mirror again. */
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
