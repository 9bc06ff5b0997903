import { isUtf8 } from 'node:buffer';
import { storableText } from '../../wire/text/text.ts';
import { gitProblem } from '../problems.ts';
import type { CommitInfo } from './object-source.ts';

type Person = { name: string; email: string; at: Date | null };

const MAX_NAME_CHARACTERS = 255;
/** RFC 5321: 64 characters before the "@", 255 after it. */
const MAX_EMAIL_CHARACTERS = 320;
const MAX_MESSAGE_CHARACTERS = 16_384;
/** The last second of a four-digit year in ISO 8601. PostgreSQL cannot read the longer form that a later Date prints. */
const MAX_SECONDS = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000;

/**
 * Reads a commit as Git does: only the tree and the parents decide whether it is readable. People, times and the message may have any form.
 * This function cleans them, so that the database and every reader can store them.
 * @throws Problem `git_object_invalid`
 */
export function parseCommit(oid: string, bytes: Buffer): CommitInfo {
  const end = bytes.indexOf('\n\n');
  const head = headerLines(end < 0 ? bytes : bytes.subarray(0, end));
  const ids = head.map((line) => /^(tree|parent) ([0-9a-f]{40})$/i.exec(line.toString('latin1')));
  const tree = ids[0]?.[1] === 'tree' ? ids[0][2] : undefined;
  if (tree === undefined) throw gitProblem('git_object_invalid', `Cannot read the commit "${oid}": its first line names no tree`);
  const parents: string[] = [];
  for (const [at, line] of head.entries()) {
    if (at === 0) continue;
    // Git reads parents directly below the tree and nowhere else.
    if (!line.toString('latin1', 0, 7).startsWith('parent ')) break;
    const parent = ids[at]?.[2];
    if (parent === undefined) throw gitProblem('git_object_invalid', `Cannot read the commit "${oid}": its parent ${at} is no commit id`);
    parents.push(parent.toLowerCase());
  }
  const decode = decoderOf(valuesOf(head, 'encoding')[0]?.toString('latin1'));
  // git log shows the last of several lines.
  const committer = personOf(valuesOf(head, 'committer').at(-1), decode);
  const author = personOf(valuesOf(head, 'author').at(-1), decode);
  const { name, email } = author ?? committer ?? { name: '', email: '' };
  const committedAt = committer?.at ?? author?.at ?? new Date(0);
  const message = end < 0 ? '' : storableText(decode(bytes.subarray(end + 2)).slice(0, MAX_MESSAGE_CHARACTERS));
  return { oid, tree: tree.toLowerCase(), parents, author: { name, email }, committedAt, message };
}

function headerLines(head: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at <= head.length; ) {
    const end = head.indexOf(10, at);
    lines.push(head.subarray(at, end < 0 ? head.length : end));
    at = end < 0 ? head.length + 1 : end + 1;
  }
  return lines;
}

/** Lines that begin with a space continue the header above them, so they never match. */
function valuesOf(head: readonly Buffer[], key: string): Buffer[] {
  const start = `${key} `;
  return head.filter((line) => line.toString('latin1', 0, start.length) === start).map((line) => line.subarray(start.length));
}

/**
 * Follows Git's split_ident_line: the address is between the first "<" and the next ">", the time after the last ">". Git ignores a time that is
 * not a whole number.
 */
function personOf(line: Buffer | undefined, decode: (bytes: Buffer) => string): Person | null {
  if (line === undefined) return null;
  const open = line.indexOf('<');
  const close = open < 0 ? -1 : line.indexOf('>', open);
  if (close < 0) return { name: oneLine(decode(line), MAX_NAME_CHARACTERS), email: '', at: null };
  return {
    name: oneLine(decode(line.subarray(0, open)), MAX_NAME_CHARACTERS),
    email: oneLine(decode(line.subarray(open + 1, close)), MAX_EMAIL_CHARACTERS),
    at: timeOf(line.toString('latin1', line.lastIndexOf('>') + 1)),
  };
}

function timeOf(text: string): Date | null {
  const digits = /^\s*(\d+)/.exec(text)?.[1];
  return digits === undefined ? null : new Date(Math.min(Number(digits), MAX_SECONDS) * 1000);
}

/**
 * Without a known encoding, Git reads the text as UTF-8, or as Latin-1 if it is not valid UTF-8. Labels of UTF-16 and UTF-32 are ignored, since such
 * decoders would misread the ASCII of the header.
 */
function decoderOf(label: string | undefined): (bytes: Buffer) => string {
  const decoder = label === undefined || /^utf-?(?:8|16|32)/i.test(label.trim()) ? undefined : knownDecoder(label.trim());
  if (decoder !== undefined) return (bytes) => decoder.decode(bytes);
  return (bytes) => bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1');
}

function knownDecoder(label: string): { decode(bytes: Buffer): string } | undefined {
  try {
    return new TextDecoder(label);
  } catch {
    return undefined;
  }
}

function oneLine(text: string, maxCharacters: number): string {
  return storableText(
    text
      .replace(/\p{Cc}+/gu, ' ')
      .trim()
      .slice(0, maxCharacters),
  );
}
