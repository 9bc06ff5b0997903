import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { Problem } from '../../src/errors.ts';
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
  ['empty lines are skipped', '\n\na\n\r\n\nb\n\n', [['a'], ['b']]],
  ['a byte order mark is not part of the first name', '\uFEFFid,name\n', [['id', 'name']]],
  ['spaces belong to fields', ' a , b\n', [[' a ', ' b']]],
  ['a carriage return alone is text', 'a\rb,c\n', [['a\rb', 'c']]],
  ['nothing', '', []],
] as const)('%s', async (_what, text, expected) => {
  for (const size of [1, 2, 1000]) expect(await fieldsOf(text, size)).toEqual(expected);
});

test('any text after RFC 4180 is read back, regardless of its chunks', async () => {
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'ü', '😀') });
  const table = fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(table, fc.integer({ min: 1, max: 9 }), fc.constantFrom('\n', '\r\n'), async (records, size, lineBreak) => {
      const text = records.map((fields) => fields.map((f) => `"${f.replaceAll('"', '""')}"`).join(',') + lineBreak).join('');
      expect(await fieldsOf(text, size)).toEqual(records);
    }),
  );
});

test('a record has the line at which it begins', async () => {
  const lines: number[] = [];
  for await (const { line } of csvRecords(chunksOf('a\n\n"b\nc",d\ne\n', 3))) lines.push(line);
  expect(lines).toEqual([1, 3, 5]);
});

test.each([
  ['a quote within a plain field', 'a,b\n1,2"3\n', /line 2: a field contains a quote/],
  ['text behind a closing quote', 'a\n"1"2\n', /line 2: "2" follows the quote/],
  ['a quote that never closes', 'a\nb\n"1,2\n3\n', /line 3: a quoted field of this record does not end/],
])('%s is refused by its line', async (_what, text, message) => {
  await expect(fieldsOf(text)).rejects.toThrow(expect.objectContaining({ code: 'malformed_csv', status: 400 }));
  await expect(fieldsOf(text)).rejects.toThrow(message);
});

test.each([
  ['a quoted CRLF is one line', '"a\r\nb",c\r\nd,e\r\n', [1, 3]],
  ['a line that names the separator counts', 'sep=;\r\na;b\r\n', [2]],
  ['empty lines at the beginning count', '\r\n\r\na\r\n', [3]],
] as const)('lines are counted: %s', async (_what, text, expected) => {
  for (const size of [1, 3, 1000]) {
    const lines: number[] = [];
    for await (const { line } of csvRecords(chunksOf(text, size))) lines.push(line);
    expect(lines).toEqual(expected);
  }
});

test.each([
  [
    'a quote that never closes, after quoted line breaks',
    '"a\r\nb"\r\n\r\nc\r\n"d\r\n',
    /line 5: a quoted field of this record does not end/,
  ],
  ['text that is no ASCII behind a closing quote', 'a\n"1"ü\n', /line 2: text follows the quote/],
  ['a carriage return alone behind a closing quote', 'a\n"1"\r2\n', /line 2: text follows the quote/],
  [
    'a record without end',
    `a\n${'x'.repeat(1024 * 1024 + 100)}`,
    /line 2: the record has more than 1048576 characters; is a quote missing\?/,
  ],
])('%s is refused by the line at which its record begins', async (_what, text, message) => {
  await expect(fieldsOf(text, 64 * 1024)).rejects.toThrow(expect.objectContaining({ code: 'malformed_csv', status: 400 }));
  await expect(fieldsOf(text, 64 * 1024)).rejects.toThrow(message);
});

test('a carriage return at the end of a cut text belongs to no field', async () => {
  for (const size of [1, 2, 1000])
    expect(await fieldsOf('a,b\r\n1,"2"\r', size)).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ]);
});

test('an error of the text reaches the caller unchanged', async () => {
  async function* broken(): AsyncGenerator<string> {
    yield 'a\n1\n';
    throw new Problem('malformed_text', 'no UTF-8');
  }
  const read = async () => {
    for await (const _ of csvRecords(broken()));
  };
  await expect(read()).rejects.toMatchObject({ code: 'malformed_text', message: 'no UTF-8' });
});

test('a reader that stops early also ends the text', async () => {
  let ended = false;
  let given = 0;
  async function* endless(): AsyncGenerator<string> {
    try {
      for (;;) {
        given += 1;
        yield 'a,b\n'.repeat(1000);
      }
    } finally {
      ended = true;
    }
  }
  for await (const { line } of csvRecords(endless())) if (line === 10) break;
  await vi.waitFor(() => expect(ended).toBe(true));
  expect(given).toBeLessThan(100);
});
