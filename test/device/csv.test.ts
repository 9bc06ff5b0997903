import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvRecords } from '../../src/inventory/csv.ts';

async function* chunksOf(text: string, size: number): AsyncGenerator<string> {
  const chars = [...text];
  for (let at = 0; at < chars.length; at += size) yield chars.slice(at, at + size).join('');
}

async function fieldsOf(text: string, size = 7): Promise<string[][]> {
  const all: string[][] = [];
  for await (const { fields } of csvRecords(chunksOf(text, size))) all.push(fields);
  return all;
}

test.each([
  [
    'LF, CRLF and a last line without a break',
    'a,b\n1,2\r\n3,4',
    [
      ['a', 'b'],
      ['1', '2'],
      ['3', '4'],
    ],
  ],
  ['empty fields at either end', ',x,\n', [['', 'x', '']]],
  ['quotes, commas and line breaks in quotes', '"a ""b""","c,d","e\r\nf"\n', [['a "b"', 'c,d', 'e\r\nf']]],
  ['an empty quoted field is a field', '""\n', [['']]],
  ['empty lines are none', '\n\na\n\r\n\nb\n\n', [['a'], ['b']]],
  ['a byte order mark is no part of the first name', '\uFEFFid,name\n', [['id', 'name']]],
  ['spaces belong to fields', ' a , b\n', [[' a ', ' b']]],
  ['a carriage return alone is text', 'a\rb,c\n', [['a\rb', 'c']]],
  ['nothing', '', []],
] as const)('%s', async (_what, text, expected) => {
  for (const size of [1, 2, 1000]) expect(await fieldsOf(text, size)).toEqual(expected);
});

test('whatever is written as RFC 4180 demands comes back, however it is cut into chunks', async () => {
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'ü', '😀') });
  const table = fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(table, fc.integer({ min: 1, max: 9 }), fc.constantFrom('\n', '\r\n'), async (records, size, lineBreak) => {
      const text = records.map((fields) => fields.map((f) => `"${f.replaceAll('"', '""')}"`).join(',') + lineBreak).join('');
      expect(await fieldsOf(text, size)).toEqual(records);
    }),
  );
});

test('a record says the line at which it begins', async () => {
  const lines: number[] = [];
  for await (const { line } of csvRecords(chunksOf('a\n\n"b\nc",d\ne\n', 3))) lines.push(line);
  expect(lines).toEqual([1, 3, 5]);
});

test.each([
  ['a quote within a plain field', 'a,b\n1,2"3\n', /line 2: a quote stands within/],
  ['text behind a closing quote', 'a\n"1"2\n', /line 2: "2" follows the quote/],
  ['a quote that never closes', 'a\nb\n"1,2\n3\n', /line 3: a quoted field of this record does not end/],
])('%s is refused by its line', async (_what, text, message) => {
  await expect(fieldsOf(text)).rejects.toThrow(expect.objectContaining({ code: 'malformed_csv', status: 400 }));
  await expect(fieldsOf(text)).rejects.toThrow(message);
});
