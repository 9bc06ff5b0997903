import type { z } from 'zod';

/** The rule of a name: its pattern, the same in words for people, and a suggestion for a wrong name. */
export type NameRule = {
  pattern: RegExp;
  /** Ends the sentence "must …". */
  words: string;
  /** A valid name similar to `text`; undefined when `text` has no valid characters. */
  suggest?: (text: string) => string | undefined;
};

/** The arguments of `z.string().regex(…)` for a rule. Its error states the rule in words. */
export function matching(rule: NameRule): [RegExp, { error: (issue: { input?: unknown }) => string }] {
  return [rule.pattern, { error: ({ input }) => nameFault(rule, input) }];
}

/** The end of an error that begins with the name's place: `must …; use "till-7"`. */
export function nameFault({ pattern, words, suggest }: NameRule, input: unknown): string {
  const other = typeof input === 'string' ? suggest?.(input) : undefined;
  return other === undefined || !pattern.test(other) ? `must ${words}` : `must ${words}; use ${JSON.stringify(other)}`;
}

/** The text of an issue in a request or setting. For a key of an object, it is the fault by the rule of its name. */
export function issueText(issue: z.core.$ZodIssue): string {
  const [inner] = issue.code === 'invalid_key' ? issue.issues : [];
  return inner === undefined ? issue.message : `the name ${inner.message}`;
}

/** Device ids become folder names, and hook names are file names. */
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

/** Removes accents and replaces every forbidden character with a dash. */
function nearest(text: string, forbidden = /[^a-z0-9._-]/g): string | undefined {
  const plain = text.trim().normalize('NFKD').replaceAll(/\p{M}/gu, '');
  const name = plain
    .replaceAll(forbidden, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63)
    .replace(/[-._/]+$/, '');
  return name === '' ? undefined : name;
}

/** The service refuses longer tokens without reading them. */
export const MAX_TOKEN_CHARACTERS = 200;
