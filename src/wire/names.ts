import type { z } from 'zod';

/** What a name may look like, in words for people, and the name that would do in place of another. */
export type NameRule = {
  pattern: RegExp;
  /** Ends the sentence "must …". */
  words: string;
  /** A name near `text` that the pattern takes; undefined where nothing of it is left. */
  suggest?: (text: string) => string | undefined;
};

/** The arguments of `z.string().regex(…)` for a rule: its error says the rule in words. */
export function matching(rule: NameRule): [RegExp, { error: (issue: { input?: unknown }) => string }] {
  return [rule.pattern, { error: ({ input }) => nameFault(rule, input) }];
}

/** As it stands behind the name's place: `must …; use "till-7"`. */
export function nameFault({ pattern, words, suggest }: NameRule, input: unknown): string {
  const other = typeof input === 'string' ? suggest?.(input) : undefined;
  return other === undefined || !pattern.test(other) ? `must ${words}` : `must ${words}; use ${JSON.stringify(other)}`;
}

/** What is wrong, for all who read requests and settings. A key of an object is judged by the rule of its name. */
export function issueText(issue: z.core.$ZodIssue): string {
  const [inner] = issue.code === 'invalid_key' ? issue.issues : [];
  return inner === undefined ? issue.message : `the name ${inner.message}`;
}

/** Ids of devices become names of folders, as the names of hooks are names of files. */
const ID_WORDS = 'have 1 to 63 lower-case letters, digits, ".", "_" or "-", and begin with a letter or a digit';
const ID_PATTERN = /^[a-z0-9][a-z0-9._-]{0,62}$/;

export const DEVICE_ID_RULE: NameRule = { pattern: ID_PATTERN, words: ID_WORDS, suggest: (text) => nearest(text.toLowerCase()) };
export const HOOK_NAME_RULE: NameRule = { ...DEVICE_ID_RULE };

export const LABEL_KEY_RULE: NameRule = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/,
  words: 'have 1 to 63 letters (A to Z), digits, ".", "_", "/" or "-", and begin with a letter or a digit',
  suggest: (text) => nearest(text, /[^A-Za-z0-9._/-]/g),
};

export const FILE_MODE_RULE: NameRule = {
  pattern: /^0[0-7]{3}$/,
  words: 'be four octal digits in quotes that begin with 0, such as "0644"',
  suggest: (text) => /^(?:0o)?([0-7]{3})$/.exec(text)?.[1]?.padStart(4, '0'),
};

export const DIGEST_RULE: NameRule = { pattern: /^[0-9a-f]{64}$/, words: 'be a digest of 64 lower-case hex digits' };

/** Accents are left out, and every character that is not allowed becomes a dash. */
function nearest(text: string, forbidden = /[^a-z0-9._-]/g): string | undefined {
  const plain = text.trim().normalize('NFKD').replaceAll(/\p{M}/gu, '');
  const name = plain
    .replaceAll(forbidden, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63)
    .replace(/[-._/]+$/, '');
  return name === '' ? undefined : name;
}

/** Longer ones are refused unread. */
export const MAX_TOKEN_CHARACTERS = 200;
