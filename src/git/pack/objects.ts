import { isUtf8 } from 'node:buffer';
import { gitProblem } from '../problems.ts';
import { parseCommit } from './commit.ts';
import type { ObjectSource, TreeEntry } from './object-source.ts';
import type { ObjectType, RawObject } from './pack.ts';

/** Reads an object by id; undefined when it is missing. @throws Problem `git_object_invalid`, `git_too_large` above `maxBytes` */
export type ReadRaw = (oid: string, maxBytes?: number) => Promise<RawObject | undefined>;

export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

export function objectSource(read: ReadRaw): ObjectSource {
  const bytesOf = async (oid: string, type: ObjectType, maxBytes?: number): Promise<Buffer> => {
    const object = await read(oid, maxBytes);
    if (!object) throw gitProblem('git_object_missing', `Cannot find the ${type} "${oid}"`);
    // A tag may point to any object, so this is no damage.
    if (object.type !== type && type === 'commit')
      throw gitProblem('invalid_ref', `Cannot use "${oid}": it is a ${object.type}, must be a commit`, { status: 422 });
    if (object.type !== type)
      throw gitProblem('git_object_invalid', `Cannot read "${oid}" as a ${type}: it is a ${object.type} in the repository`);
    return object.bytes;
  };
  return {
    readCommit: async (oid) => parseCommit(oid, await bytesOf(oid, 'commit')),
    readTree: async (oid) => (oid === EMPTY_TREE ? [] : parseTree(oid, await bytesOf(oid, 'tree'))),
    readBlob: async (oid, maxBytes) => await bytesOf(oid, 'blob', maxBytes),
  };
}

/** Parses entries as stored; `checkEntry` decides which names are allowed. @throws Problem `git_object_invalid` */
function parseTree(oid: string, bytes: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(32, at);
    const zero = bytes.indexOf(0, space);
    const mode = bytes.toString('latin1', at, space);
    if (space < 0 || zero < 0 || zero + 21 > bytes.length || !/^[0-7]{1,12}$/.test(mode)) {
      throw gitProblem(
        'git_object_invalid',
        `Cannot read the tree "${oid}": byte ${at} begins no entry; it is malformed in the repository itself, run "git fsck" there`,
      );
    }
    const rawName = bytes.subarray(space + 1, zero);
    const entry = {
      name: rawName.toString('utf8'),
      mode: canonicalMode(Number.parseInt(mode, 8)),
      oid: bytes.toString('hex', zero + 1, zero + 21),
    };
    entries.push(isUtf8(rawName) ? entry : { ...entry, rawName });
    at = zero + 21;
  }
  return entries;
}

const KIND_BITS = 0o170000;

/** Follows Git's canon_mode: a file keeps only its executable bit, and every unknown kind is a submodule. */
function canonicalMode(mode: number): string {
  const kind = (mode % 0o1000000) & KIND_BITS;
  if (kind === 0o100000) return (mode & 0o100) === 0 ? '100644' : '100755';
  if (kind === 0o120000) return '120000';
  return kind === 0o040000 ? '040000' : '160000';
}
