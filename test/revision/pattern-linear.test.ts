import { RE2JS } from 're2js';
import { expect, test } from 'vitest';
import { compilePattern } from '../../src/prepare/schema/check/pattern.ts';
import { translate } from '../../src/prepare/schema/check/pattern-linear.ts';

/** Characters on which dialects differ: white space, ends of lines, letters that only case or Unicode makes words, two halves in one. */
const CHARACTERS = [
  ...'aAzZ059_-. +/|^$(){}[]\\,:ſKéßıω',
  ...'\t\n\v\f\r\0\b\x1c\x7f\x85\xa0\u1680\u180e\u2000\u200a\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff\ufffd\uffff',
  '😀',
  '😎',
  '\u{10ffff}',
];
const ATOMS = [
  ...String.raw`a b z 0 . \d \D \w \W \s \S \. \/ \- \t \n \v \f \r \0 \x41 \u0041 \u{1F600} \ud83d\ude00 \cJ \\ \] \{`.split(' '),
  ...String.raw`[a-z] [^a-z] [\w-] [^\s] [\s\S] [.$^] [\b] [-a] [a-] [\]] [😀-😎] [^\u{1F600}] [\d_\s] [^\W] [\x00-\x1f] [&&a] [[:a]`.split(
    ' ',
  ),
  ...'é 😀 ſ K _'.split(' '),
];
const SEQUENCES = ['^', '$', '\\b', '\\B', '(?:', '(', '(?<n>'];
const QUANTIFIERS = ['', '', '', '*', '+', '?', '{2}', '{0,2}', '{1,}', '*?', '+?'];

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function pickFrom<T>(random: () => number, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error('Cannot pick from nothing');
  return value;
}

function randomPattern(random: () => number, depth: number, names = { used: 0 }): string {
  let pattern = '';
  for (let parts = 1 + random() * 3; parts > 0; parts--) {
    const choice = random();
    if (choice < 0.15) pattern += pickFrom(random, SEQUENCES.slice(0, 4));
    else if (choice < 0.35 && depth > 0) {
      names.used += 1;
      const open = pickFrom(random, SEQUENCES.slice(4)).replace('n', `n${names.used}`);
      pattern += `${open}${randomPattern(random, depth - 1, names)})${pickFrom(random, QUANTIFIERS)}`;
    } else pattern += pickFrom(random, ATOMS) + pickFrom(random, QUANTIFIERS);
    if (random() < 0.1) pattern += '|';
  }
  return pattern;
}

function randomText(random: () => number): string {
  let text = '';
  for (let length = random() * 7; length > 1; length--) text += pickFrom(random, CHARACTERS);
  return text;
}

test('each atom reads every character as ECMA-262 does', () => {
  const all = Array.from({ length: 0x110000 }, (_, code) => code).filter((code) => code < 0xd800 || code > 0xdfff);
  for (const atom of ['.', '\\d', '\\D', '\\w', '\\W', '\\s', '\\S', '[^\\s\\d]', '[😀-😎]', '[^a]']) {
    const linear = RE2JS.compile(translate(`^${atom}$`) ?? '');
    const standard = new RegExp(`^${atom}$`, 'u');
    // Every code point below the first surrogates of the tables, and every 61st above.
    const differs = all.filter((code) => {
      if (code > 0x3100 && code % 61 !== 0) return false;
      const character = String.fromCodePoint(code);
      return linear.test(character) !== standard.test(character);
    });
    expect(differs, atom).toEqual([]);
  }
});

test('random patterns of the shared syntax match what ECMA-262 says', () => {
  const random = randomFrom(20_261_130);
  let compared = 0;
  let matched = 0;
  for (let n = 0; n < 1_500; n++) {
    const pattern = randomPattern(random, 2);
    const valid = isValid(pattern);
    if (!valid) continue;
    const source = translate(pattern);
    if (source === null) throw new Error(`Cannot translate ${pattern}`);
    const linear = RE2JS.compile(source);
    const standard = new RegExp(pattern, 'u');
    for (let texts = 0; texts < 12; texts++) {
      const text = randomText(random);
      const isMatch = standard.test(text);
      compared += 1;
      if (isMatch) matched += 1;
      expect(linear.test(text), JSON.stringify({ pattern, source, text })).toBe(isMatch);
    }
  }
  expect(compared).toBeGreaterThan(8_000);
  expect(matched).toBeGreaterThan(800);
});

function isValid(pattern: string): boolean {
  try {
    return new RegExp(pattern, 'u').source.length > 0;
  } catch {
    return false;
  }
}

test.each([
  ['a look-ahead', '^(?=a)(a+)+$'],
  ['a look-behind', '(?<=a)(b+)+$'],
  ['a reference back', '(a+)\\1+$'],
  ['a reference by name', '(?<x>a+)\\k<x>+$'],
  ['a property of Unicode', '(\\p{L}+)+$'],
  ['flags for a part', '(?i:a+)+$'],
  ['an empty class', '(a+)+[]'],
  ['half a surrogate pair', '(\\ud83d+)+$'],
  ['a machine too large', '^([a-z]{1,900}){1,900}$'],
])('a pattern with %s stays with ECMA-262', (_, pattern) => {
  expect(translate(pattern)).toBeNull();
  expect(compilePattern(pattern).ok).toBe(true);
});

test.each([
  ['nested repetition', '^(a+)+$', 'a'],
  ['overlapping alternatives', '^(a|a|aa)*$', 'a'],
  ['two repetitions in one', '(x+x+)+y', 'x'],
  ['a repeated optional', '^(?:a?){40}a{40}b$', 'a'],
  ['many repetitions in a row', '^(\\s*)(\\s*)(\\s*)(\\s*)(\\s*)(\\s*)x$', ' '],
])('%s takes linear time', (_, pattern, unit) => {
  const result = compilePattern(pattern);
  if (!result.ok) throw new Error(result.detail);
  // A backtracking engine would not come back.
  expect(result.pattern.test(`${unit.repeat(5_000)}!`)).toBe(false);
});

test('a text that is no Unicode is left to ECMA-262', () => {
  const result = compilePattern('^([^a]+)+$');
  if (!result.ok) throw new Error(result.detail);
  expect(result.pattern.test('\ud83d')).toBe(true);
});
