import { verifyClosure } from './closure.ts';
import type { FetchOptions } from './fetch-options.ts';
import type { FetchedPack } from './fetch-pack.ts';
import { addPack, type MirrorFiles, removeHead, writeHead } from './mirror-files.ts';
import type { ObjectSource } from './object-source.ts';
import { objectSource } from './objects.ts';
import { indexPack } from './pack-index.ts';
import { type PackReader, packReader } from './pack-reader.ts';
import { isProblem } from './problems.ts';

/**
 * The staging rule: the commit out of the mirror whose files these are, which first takes in the pack that `obtain` gives unless it has the
 * commit; it counts, as the mirror's head, once everything that it needs was seen to be there.
 * @throws Problem as `obtain`, `git_too_large`, `git_object_missing`, `git_object_invalid`
 */
export async function advance(
  dir: string,
  files: MirrorFiles,
  { oid, limits }: Pick<FetchOptions, 'oid' | 'limits'>,
  obtain: () => Promise<FetchedPack>,
): Promise<ObjectSource> {
  let reader = packReader(files.packs, limits);
  // Read, not only looked for: a mirror whose last commit is damaged must not be built upon.
  const knownTree = files.head ? (await sourceOf(dir, reader).readCommit(files.head)).tree : null;
  if (!reader.has(oid)) {
    const fetched = await obtain();
    const indexed = indexPack(fetched.pack, limits, (id) => reader.read(id));
    await addPack(dir, indexed, shallowAfter(files.shallow, fetched));
    reader = packReader([...files.packs, indexed], limits);
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
