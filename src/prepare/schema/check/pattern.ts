import { linearly } from './pattern-linear.ts';
import { type Token, tokensOf } from './pattern-tokens.ts';

export type Pattern = { test(text: string): boolean };

export type PatternResult = { ok: true; pattern: Pattern } | { ok: false; detail: string };

/**
 * The one place where patterns of schemas are compiled. The dialect is ECMA-262 with the `u` flag, as JSON Schema asks. Escapes and brackets
 * that are idle but mean one thing in every dialect are accepted; what other dialects mean otherwise is refused rather than misread. A pattern that may
 * backtrack is run by an engine of linear time where that one reads it the same.
 */
export function compilePattern(source: string): PatternResult {
  const foreign = foreignPart(source);
  if (foreign !== null) return { ok: false, detail: foreign };
  try {
    return { ok: true, pattern: linearly(new RegExp(source, 'u')) };
  } catch (error) {
    const plain = withoutIdleParts(source);
    if (plain === null) return { ok: false, detail: AMBIGUOUS_CLASS };
    const pattern = plain === source ? null : tryCompile(plain);
    return pattern === null ? { ok: false, detail: reasonOf(error) } : { ok: true, pattern: linearly(pattern) };
  }
}

function tryCompile(source: string): RegExp | null {
  try {
    return new RegExp(source, 'u');
  } catch {
    return null;
  }
}

/** The engine's message without the pattern that it repeats. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `is not a regular expression of ECMA-262: ${message.replace(/^Invalid regular expression: .*\/[a-z]*: /s, '').toLowerCase()}`;
}

/** Letters that Perl, PCRE, Python or Oniguruma give a meaning after a backslash, and ECMA-262 does not. */
const FOREIGN_ESCAPES: Readonly<Record<string, string>> = {
  A: 'write ^ for the start of the text',
  Z: 'write $ for the end of the text',
  z: 'write $ for the end of the text',
  a: 'write \\x07 for the bell',
  e: 'write \\x1b for escape',
  h: 'write [ \\t] or [0-9a-fA-F]',
  H: 'write [^ \\t] or [^0-9a-fA-F]',
  R: 'write (?:\\r\\n|\\n)',
  Q: 'escape each character',
  E: 'escape each character',
};
const OWN_ESCAPES = /^\\(?:[dDwWsSbBfnrtvkcxupP0-9]|[^A-Za-z])/u;
const BARE_POSIX_CLASS = /^\[:\^?(alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]/;

/** Syntax of another dialect, in words; null without any. */
function foreignPart(source: string): string | null {
  for (const { text, kind, inClass, at } of tokensOf(source)) {
    const rest = source.slice(at, at + 40);
    if (kind === 'escape' && !OWN_ESCAPES.test(text)) {
      const advice = FOREIGN_ESCAPES[text.charAt(1)];
      return `has ${text}, which is not part of ECMA-262${advice === undefined ? '' : `: ${advice}`}`;
    }
    if ((kind === 'open' && BARE_POSIX_CLASS.test(rest)) || (inClass && text === '[' && BARE_POSIX_CLASS.test(rest))) {
      const [posix = ''] = BARE_POSIX_CLASS.exec(rest) ?? [];
      return `has ${posix}, a POSIX class, which is not part of ECMA-262: write the characters, such as [A-Za-z], or \\p{…}`;
    }
    if (inClass || kind !== 'char') continue;
    const group = foreignGroup(rest);
    if (group !== null) return group;
  }
  return null;
}

function foreignGroup(rest: string): string | null {
  const [flags] = /^\(\?[a-zA-Z]*(?:-[a-zA-Z]+)?\)/.exec(rest) ?? [];
  if (flags !== undefined) return `has ${flags}, an inline flag, which is not part of ECMA-262: write both cases, such as [Aa]`;
  const [group] = /^\(\?(?:P[<=>]|>|#|\||R\)|\d+\)|'|\()/.exec(rest) ?? [];
  if (group !== undefined) return `has ${group}…), which is not part of ECMA-262`;
  const [possessive] = /^[*+?}][+]/.exec(rest) ?? [];
  if (possessive !== undefined) return `has the possessive ${possessive}, which is not part of ECMA-262`;
  const [open] = /^\{,\d*\}/.exec(rest) ?? [];
  return open === undefined ? null : `has ${open}, which is not part of ECMA-262: write {0${open.slice(1)}`;
}

/** A class escape, which cannot be the end of a range. */
const CLASS_ESCAPE = /^\\[dDwWsSpP]/;
/** Characters that may follow a backslash with the flag `u`. */
const SYNTAX = new Set('^$\\.*+?()[]{}|/');

const AMBIGUOUS_CLASS = 'has a character class that dialects read differently: write \\[ and \\] for brackets in it';

/**
 * The same pattern with backslashes only where `u` allows them, and escaped where `u` wants that and other dialects do not; null where a
 * bracket is left over because other dialects end a class elsewhere: `[]a]`, `[a-z&&[^b]]`.
 */
function withoutIdleParts(source: string): string | null {
  const tokens = [...tokensOf(source)];
  const isLoose = tokens.some(({ text, kind, inClass }) => text === ']' && kind === 'char' && !inClass);
  if (isLoose && tokens.some((token, index) => isAmbiguous(token, tokens[index - 1], tokens[index - 2]))) return null;
  const quantifiers = [...source.matchAll(/\{\d+(?:,\d*)?\}/g)];
  const braces = new Set(quantifiers.flatMap(({ 0: text, index }) => [index, index + text.length - 1]));
  return tokens.map((token, index) => plain(token, tokens[index - 1], tokens[index + 1], braces.has(token.at))).join('');
}

/** An empty class, or a bracket within one. */
function isAmbiguous({ text, kind, inClass }: Token, before: Token | undefined, beforeThat: Token | undefined): boolean {
  if (kind === 'close') return before?.kind === 'open' || (before?.text === '^' && beforeThat?.kind === 'open');
  return inClass && text === '[';
}

function plain({ text, kind, inClass }: Token, before: Token | undefined, after: Token | undefined, isQuantifier: boolean): string {
  if (kind === 'escape') {
    const character = text.slice(1);
    if (/^[A-Za-z0-9]/.test(character) || SYNTAX.has(character)) return text;
    return character === '-' && inClass ? text : character;
  }
  if (kind !== 'char') return text;
  if (inClass) {
    const isRange = text === '-' && before?.kind !== 'open' && after?.kind !== 'close';
    const besideClass = CLASS_ESCAPE.test(before?.text ?? '') || CLASS_ESCAPE.test(after?.text ?? '');
    return isRange && besideClass ? '\\-' : text;
  }
  return /^[\]{}]$/.test(text) && !isQuantifier ? `\\${text}` : text;
}
