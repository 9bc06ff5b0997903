import { expect, test } from 'vitest';
import { parseJson } from '../../src/document/json.ts';

const LIMITS = { maxDocumentDepth: 3, maxYamlExpandedChars: 1_000_000 };

test.each([
  ['{"a":1,"a":2}', 'appears twice', ['a']],
  ['{"__proto__":1}', 'must not have a member named "__proto__"', ['__proto__']],
  ['{"a":[1,]}', 'must not have a comma before the closing bracket', ['a', '1']],
  ['{"a":1 // why\n}', 'must not have comments', []],
  ['{"a" 1}', 'must have ":" here', ['a']],
  ['[1', 'must have "]" before its end', []],
  ['[01]', 'must have "," or "]" here', []],
  ['1 2', 'must end here', []],
  ['[[[[1]]]]', 'nests deeper than allowed, must be <= 3 levels', []],
] as const)('%s is refused by its reason and place', (text, detail, path) => {
  expect(parseJson(text, LIMITS)).toMatchObject({ ok: false, fault: { detail, path } });
});

test('each value has the place at which it stands', () => {
  const text = '{ "a" :\n [1, "ü"] }';
  const parsed = parseJson(text, LIMITS);
  const places = parsed.ok ? parsed.document.spans().map(({ path, start, end }) => [path.join('/'), text.slice(start, end)]) : [];
  expect(places).toEqual([
    ['', text],
    ['a', '[1, "ü"]'],
    ['a/0', '1'],
    ['a/1', '"ü"'],
  ]);
});
