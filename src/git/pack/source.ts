import type { Limits } from '../limits.ts';
import { gitProblem } from '../problems.ts';
import { verifyClosure } from './closure.ts';
import { indexPack } from './index-of-pack.ts';
import type { ObjectSource } from './object-source.ts';
import { objectSource } from './objects.ts';
import { packReader } from './reader.ts';

/**
 * Opens the commit of a pack in memory, without its history, completely or not at all.
 * @param isPartial the host omitted large files; reading such a file throws `git_too_large`
 * @throws Problem `git_too_large`, `git_object_missing`, `git_object_invalid`
 */
export async function packSource(pack: Buffer, oid: string, limits: Limits, isPartial = false): Promise<ObjectSource> {
  const reader = packReader([indexPack(pack, limits)], limits);
  const source = objectSource(async (id, maxBytes) => reader.read(id, maxBytes));
  await verifyClosure(source, isPartial ? () => true : reader.has, oid, null, limits);
  if (!isPartial) return source;
  const readBlob = async (id: string, maxBytes: number) => {
    if (reader.has(id)) return await source.readBlob(id, maxBytes);
    throw gitProblem('git_too_large', `Cannot read object "${id}": it has more than ${limits.maxObjectBytes} bytes`);
  };
  return { ...source, readBlob };
}
