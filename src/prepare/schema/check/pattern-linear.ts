import { RE2JS } from 're2js';
import { type Token, tokensOf } from './pattern-tokens.ts';

/** The larger of two machines: what the pattern may become when its counted parts are written out. */
const MAX_SIZE = 50_000;

/**
 * The same test in linear time where the pattern might backtrack and the linear engine reads it the same; else the pattern itself, which is quicker.
 * @param pattern with the flag `u` alone
 */
export function linearly(pattern: RegExp): { test(text: string): boolean } {
  if (!mayBacktrack(pattern.source)) return pattern;
  let linear: RE2JS | null | undefined;
  return {
    test: (text) => {
      // Making the machine takes time that only a schema in use is worth.
      linear ??= linear === undefined ? compileLinear(pattern.source) : null;
      // The two engines treat half of a surrogate pair differently.
      return linear === null || !text.isWellFormed() ? pattern.test(text) : linear.test(text);
    },
  };
}

/** Two choices may multiply, or one that is repeated; a text is searched from each of its places, so that one alone takes at most its square. */
function mayBacktrack(source: string): boolean {
  let choices = 0;
  let last: Token | undefined;
  for (const token of tokensOf(source)) {
    const { kind, text, inClass } = token;
    if (kind === 'char' && !inClass) {
      if (/^[*+?{]$/.test(text) && last?.text === ')' && last.kind === 'char') return true;
      if (/^[*+?{|]$/.test(text) && last?.text !== '(') choices += 1;
    }
    last = token;
  }
  return choices > 1;
}

function compileLinear(source: string): RE2JS | null {
  const translated = translate(source);
  if (translated === null) return null;
  try {
    return RE2JS.compile(translated);
  } catch {
    // It has bounds of its own, such as 1,000 repetitions.
    return null;
  }
}

/** The pattern in the other engine's syntax, with each character by its number and each class by its ranges; null where they differ. */
export function translate(source: string): string | null {
  if (sizeOf(source) > MAX_SIZE) return null;
  const tokens = withPairs([...tokensOf(source)]);
  let written = '';
  let end = 0;
  for (const [index, token] of tokens.entries()) {
    if (token.at < end) continue;
    const part = partAt(source, tokens, index);
    if (part === null) return null;
    written += part.written;
    end = part.end;
  }
  return written;
}

type Part = { written: string; end: number };

/** The class, the beginning of a group, the count or the single token that stands there. */
function partAt(source: string, tokens: readonly Token[], index: number): Part | null {
  const { kind, text, at } = tokens[index] ?? { kind: 'char', text: '', at: source.length };
  if (kind === 'open') {
    const close = tokens.findIndex((token, place) => place > index && token.kind === 'close');
    const written = classOf(tokens.slice(index + 1, close));
    return written === null ? null : { written, end: (tokens[close]?.at ?? source.length) + 1 };
  }
  if (kind === 'char' && text === '(') {
    const [open = ''] = /^\((?:\?(?::|<[^=!>][^>]*>))?/.exec(source.slice(at, at + MAX_GROUP_NAME)) ?? [];
    const isPlain = open !== '(' || source[at + 1] !== '?';
    return isPlain ? { written: '(?:', end: at + open.length } : null;
  }
  if (kind === 'char' && text === '{') {
    const [count] = /^\{\d+(?:,\d*)?\}/.exec(source.slice(at, at + MAX_COUNT)) ?? [];
    return count === undefined ? null : { written: count, end: at + count.length };
  }
  const written = pieceOf({ kind, text });
  return written === null ? null : { written, end: at + 1 };
}

const MAX_GROUP_NAME = 1_000;
const MAX_COUNT = 40;

/** Counts multiply where groups are counted; within these the largest one counts. */
function sizeOf(source: string): number {
  let groups = 1;
  let largest = 1;
  for (const { 0: text, index } of source.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    const count = Math.max(1, ...[...text.matchAll(/\d+/g)].map(([digits]) => Number(digits)));
    if (source[index - 1] === ')') groups *= count;
    else largest = Math.max(largest, count);
  }
  return source.length * groups * largest;
}

type Ranges = readonly (readonly [number, number])[];

const DIGITS: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
/** White space and the ends of lines of ECMA-262. */
const SPACE: Ranges = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const LAST = 0x10ffff;

const CLASSES: Readonly<Record<string, Ranges>> = {
  '\\d': DIGITS,
  '\\D': complement(DIGITS),
  '\\w': WORD,
  '\\W': complement(WORD),
  '\\s': SPACE,
  '\\S': complement(SPACE),
};

const CONTROLS: Readonly<Record<string, number>> = { '\\0': 0, '\\t': 9, '\\n': 10, '\\v': 11, '\\f': 12, '\\r': 13 };

/** Outside of classes. */
function pieceOf({ kind, text }: Pick<Token, 'kind' | 'text'>): string | null {
  if (kind === 'char') {
    if (text === '.') return written(complement(LINE_ENDS));
    if (text === '^') return '\\A';
    if (text === '$') return '\\z';
    if (/^[|)*+?]$/.test(text)) return text;
  }
  if (text === '\\b' || text === '\\B') return text;
  const named = kind === 'escape' ? CLASSES[text] : undefined;
  if (named !== undefined) return written(named);
  const code = codeOf({ kind, text });
  return code === null ? null : written([[code, code]]);
}

/** @param tokens between the brackets */
function classOf(tokens: readonly Token[]): string | null {
  const isNegated = tokens[0]?.text === '^' && tokens[0].kind === 'char';
  const items = isNegated ? tokens.slice(1) : tokens;
  const ranges: [number, number][] = [];
  for (let at = 0; at < items.length; at++) {
    const item = items[at];
    if (item === undefined) break;
    const named = item.kind === 'escape' ? CLASSES[item.text] : undefined;
    if (named !== undefined) {
      ranges.push(...named.map(([from, to]): [number, number] => [from, to]));
      continue;
    }
    const from = item.text === '\\b' ? 8 : codeOf(item);
    const end = items[at + 1]?.text === '-' && items[at + 1]?.kind === 'char' ? items[at + 2] : undefined;
    const to = end === undefined ? from : end.text === '\\b' ? 8 : codeOf(end);
    if (from === null || to === null) return null;
    ranges.push([from, to]);
    if (end !== undefined) at += 2;
  }
  const whole = isNegated ? complement(joined(ranges)) : joined(ranges);
  // Nothing, which the other engine has no word for.
  return whole.length === 0 ? null : written(whole);
}

/** The character that a token stands for; null for whatever is none, or is read differently. */
function codeOf({ kind, text }: Pick<Token, 'kind' | 'text'>): number | null {
  const code = kind === 'escape' ? codeOfEscape(text) : text.codePointAt(0);
  return code === undefined || (code >= 0xd800 && code <= 0xdfff) ? null : code;
}

function codeOfEscape(text: string): number | undefined {
  if (Object.hasOwn(CONTROLS, text)) return CONTROLS[text];
  const [, hex] = /^\\(?:x|u\{?)([0-9a-fA-F]+)\}?$/.exec(text) ?? [];
  if (hex !== undefined) return Number.parseInt(hex, 16);
  const [, control] = /^\\c([A-Za-z])$/.exec(text) ?? [];
  if (control !== undefined) return control.charCodeAt(0) % 32;
  const [, character] = /^\\([^0-9A-Za-z])$/u.exec(text) ?? [];
  return character?.codePointAt(0);
}

/** `\ud83d\ude00` is one character. */
function withPairs(tokens: readonly Token[]): Token[] {
  const HALF = /^\\u([dD][89a-fA-F][0-9a-fA-F]{2})$/;
  const joinedTokens: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === undefined) break;
    const [, high] = HALF.exec(token.text) ?? [];
    const [, low] = HALF.exec(tokens[at + 1]?.text ?? '') ?? [];
    const pair = high === undefined || low === undefined ? '' : String.fromCharCode(Number.parseInt(high, 16), Number.parseInt(low, 16));
    if (pair !== '' && pair.isWellFormed()) {
      joinedTokens.push({ ...token, text: `\\u{${pair.codePointAt(0)?.toString(16)}}` });
      at += 1;
    } else joinedTokens.push(token);
  }
  return joinedTokens;
}

function joined(ranges: readonly (readonly [number, number])[]): Ranges {
  const whole: [number, number][] = [];
  for (const [from, to] of ranges.toSorted(([a], [b]) => a - b)) {
    const last = whole.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else whole.push([from, to]);
  }
  return whole;
}

/** @param ranges in their order, apart from each other */
function complement(ranges: Ranges): Ranges {
  const gaps: [number, number][] = [];
  let from = 0;
  for (const [start, end] of ranges) {
    if (start > from) gaps.push([from, start - 1]);
    from = end + 1;
  }
  if (from <= LAST) gaps.push([from, LAST]);
  return gaps;
}

function written(ranges: Ranges): string {
  const hex = (code: number) => `\\x{${code.toString(16)}}`;
  const [first] = ranges;
  if (ranges.length === 1 && first !== undefined && first[0] === first[1]) return hex(first[0]);
  return `[${ranges.map(([from, to]) => (from === to ? hex(from) : `${hex(from)}-${hex(to)}`)).join('')}]`;
}
