import { verifyClosure } from './closure.ts';
import type { Limits } from './limits.ts';
import type { ObjectSource } from './object-source.ts';
import { objectSource } from './objects.ts';
import { indexPack } from './pack-index.ts';
import { packReader } from './pack-reader.ts';

/**
 * The commit that a pack in memory brings, without its history, whole or not at all.
 * @throws Problem `git_too_large`, `git_object_missing`, `git_object_invalid`
 */
export async function packSource(pack: Buffer, oid: string, limits: Limits): Promise<ObjectSource> {
  const reader = packReader([indexPack(pack, limits)], limits);
  const source = objectSource(async (id, maxBytes) => reader.read(id, maxBytes));
  await verifyClosure(source, reader.has, oid, null, limits);
  return source;
}
