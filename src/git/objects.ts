import { isUtf8 } from 'node:buffer';
import { storableText } from '../wire/text.ts';
import type { CommitInfo, ObjectSource, TreeEntry } from './object-source.ts';
import type { ObjectType, RawObject } from './pack.ts';
import { gitProblem } from './problems.ts';

/** An object by id; undefined when it is not there. @throws Problem `git_object_invalid`, `git_too_large` above `maxBytes` */
export type ReadRaw = (oid: string, maxBytes?: number) => Promise<RawObject | undefined>;

export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

export function objectSource(read: ReadRaw): ObjectSource {
  const bytesOf = async (oid: string, type: ObjectType, maxBytes?: number): Promise<Buffer> => {
    const object = await read(oid, maxBytes);
    if (!object) throw gitProblem('git_object_missing', `Cannot find the ${type} "${oid}"`);
    if (object.type !== type) throw gitProblem('git_object_invalid', `Cannot read "${oid}" as a ${type}: it is a ${object.type}`);
    return object.bytes;
  };
  return {
    readCommit: async (oid) => parseCommit(oid, await bytesOf(oid, 'commit')),
    readTree: async (oid) => (oid === EMPTY_TREE ? [] : parseTree(oid, await bytesOf(oid, 'tree'))),
    readBlob: async (oid, maxBytes) => await bytesOf(oid, 'blob', maxBytes),
  };
}

/** Entries as stored, good or bad: what a name or mode may be is decided by `checkEntry`. @throws Problem `git_object_invalid` */
function parseTree(oid: string, bytes: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(32, at);
    const zero = bytes.indexOf(0, space);
    const mode = bytes.toString('latin1', at, space);
    if (space < 0 || zero < 0 || zero + 21 > bytes.length || !/^[0-7]{1,7}$/.test(mode)) {
      throw gitProblem('git_object_invalid', `Cannot read the tree "${oid}": byte ${at} begins no entry`);
    }
    const rawName = bytes.subarray(space + 1, zero);
    const entry = { name: rawName.toString('utf8'), mode: mode.padStart(6, '0'), oid: bytes.toString('hex', zero + 1, zero + 21) };
    entries.push(isUtf8(rawName) ? entry : { ...entry, rawName });
    at = zero + 21;
  }
  return entries;
}

/** gitformat of commits: header lines, an empty line, the message. */
function parseCommit(oid: string, bytes: Buffer): CommitInfo {
  const end = bytes.indexOf('\n\n');
  const head = bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
  const lines = head.split('\n');
  const values = (key: string): string[] => lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1));
  const tree = values('tree')[0] ?? '';
  const parents = values('parent');
  const committer = person(values('committer')[0]);
  if (![tree, ...parents].every((id) => /^[0-9a-f]{40}$/.test(id)) || !committer)
    throw gitProblem('git_object_invalid', `Cannot read the commit "${oid}": its header is damaged`);
  const { name, email } = person(values('author')[0]) ?? committer;
  const message = end < 0 ? '' : decode(bytes.subarray(end + 2), values('encoding')[0]);
  const author = { name: storableText(name), email: storableText(email) };
  return { oid, tree, parents, author, committedAt: committer.at, message: storableText(message) };
}

function person(line: string | undefined): { name: string; email: string; at: Date } | undefined {
  const match = /^(.*?) ?<([^>]*)> (-?\d+) [+-]\d+$/.exec(line ?? '');
  if (!match) return undefined;
  const at = new Date(Number(match[3]) * 1000);
  return { name: match[1] ?? '', email: match[2] ?? '', at: isStorable(at) ? at : new Date(0) };
}

/** Years that every reader of RFC 3339 takes, PostgreSQL among them. */
function isStorable(at: Date): boolean {
  const year = at.getUTCFullYear();
  return year >= 1 && year <= 9999;
}

function decode(bytes: Buffer, encoding: string | undefined): string {
  return bytes.toString(encoding && /^(?:iso-?8859-1|latin-?1)$/i.test(encoding) ? 'latin1' : 'utf8');
}
