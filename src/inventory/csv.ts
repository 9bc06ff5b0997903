import { pipeline } from 'node:stream/promises';
import { CsvError, parse } from 'csv-parse';
import { Problem } from '../errors.ts';

/** A line of the table; `line` is where it begins in the text, from 1. */
export type CsvRecord = { line: number; fields: string[] };

/** Far above the longest row that can be registered: a quote that is not closed must not gather the rest of the text in memory. */
const MAX_RECORD_CHARACTERS = 1024 * 1024;

/**
 * Records of RFC 4180: CRLF or LF, fields in double quotes where they hold a separator, a quote (doubled) or a line break. The separator is the
 * comma, or the semicolon or tab that stands in the first line instead: spreadsheets write that of their language, some with a line `sep=;` before
 * all others. A byte order mark and empty lines are skipped. A record is given as soon as its end was seen, so that the text need never be in memory as a whole.
 *
 * @throws Problem `malformed_csv` (400) where quotes leave open what is a field, since nothing after such a place can be read; the message names
 *   the line at which the record begins
 */
export async function* csvRecords(chunks: AsyncIterable<string>): AsyncGenerator<CsvRecord> {
  const { head, rest } = await cutHead(chunks);
  // The library counts a CRLF within quotes as two lines, so lines are counted here.
  let ended = 0;
  const lines: number[] = [];
  const parser = parse({
    bom: true,
    delimiter: separatorOf(head),
    // Named, since the library would also take a carriage return alone.
    record_delimiter: ['\r\n', '\n'],
    skip_empty_lines: true,
    // Rows of the wrong length are refused one by one, not with the whole text.
    relax_column_count: true,
    max_record_size: MAX_RECORD_CHARACTERS,
    on_record: (fields, { empty_lines }) => {
      lines.push(1 + ended + empty_lines);
      ended += 1;
      for (const field of fields) ended += lineBreaksIn(field);
      return fields;
    },
  });
  // The parser is destroyed with an error of the source, and throws it below.
  pipeline(rest, parser).catch(() => undefined);
  const records: AsyncIterable<string[]> = parser;
  try {
    for await (const fields of records) yield { line: lines.shift() ?? 0, fields };
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw malformed(1 + ended + Number(error.empty_lines), whyOf(error));
  }
}

function lineBreaksIn(field: string): number {
  let count = 0;
  for (let at = field.indexOf('\n'); at >= 0; at = field.indexOf('\n', at + 1)) count += 1;
  return count;
}

function whyOf(error: CsvError): string {
  switch (error.code) {
    case 'INVALID_OPENING_QUOTE':
      return 'a quote stands within a field that does not begin with one';
    case 'CSV_INVALID_CLOSING_QUOTE': {
      const found = /got "([ -~])"/.exec(error.message)?.[1];
      return `${found === undefined ? 'text' : `"${found}"`} follows the quote that ends a field, must be a separator or a line break`;
    }
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'a quoted field of this record does not end';
    case 'CSV_MAX_RECORD_SIZE':
      return `the record has more than ${MAX_RECORD_CHARACTERS} characters; is a quote missing?`;
    default:
      return error.message;
  }
}

/** The text up to the end of its first line, which names the separator, and all of the text. */
async function cutHead(chunks: AsyncIterable<string>): Promise<{ head: string; rest: AsyncIterable<string> }> {
  const reader = chunks[Symbol.asyncIterator]();
  let head = '';
  let isWhole = false;
  while (!isWhole && head.length < MAX_HEAD_CHARACTERS && !hasLine(head)) {
    const next = await reader.next();
    if (next.done === true) isWhole = true;
    else head += next.value;
  }
  async function* all(): AsyncGenerator<string> {
    yield withoutNotice(head);
    if (!isWhole) yield* { [Symbol.asyncIterator]: () => reader };
  }
  return { head, rest: withoutLastReturn(all()) };
}

/** A carriage return at the very end is the half of a line break: the text was cut there, and the record before is whole. */
async function* withoutLastReturn(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let held = '';
  for await (const chunk of chunks) {
    const text = held + chunk;
    held = text.endsWith('\r') ? '\r' : '';
    yield held === '' ? text : text.slice(0, -1);
  }
}

/** The first line with anything in it is looked for in this much. */
const MAX_HEAD_CHARACTERS = 64 * 1024;
const SEPARATORS = [',', ';', '\t'] as const;
type Separator = (typeof SEPARATORS)[number];
const NOTICE = /^\uFEFF?"?sep=([,;\t])"?\r?\n/i;

function hasLine(head: string): boolean {
  // No pattern: on a long line without an end it would take quadratic time. trimStart() takes a byte order mark along.
  return head.replace(NOTICE, '').trimStart().includes('\n');
}

/** Without the line that names the separator, whose line break stays, so that lines are counted. */
function withoutNotice(head: string): string {
  return head.replace(NOTICE, '\n');
}

function separatorOf(head: string): Separator {
  const named = SEPARATORS.find((separator) => separator === NOTICE.exec(head)?.[1]);
  if (named !== undefined) return named;
  const [line = ''] = head
    .replaceAll(/"(?:[^"]|"")*"/g, '')
    .replace(/^\s+/, '')
    .split('\n');
  const count = (separator: string) => line.split(separator).length;
  return SEPARATORS.reduce((best, other) => (count(other) > count(best) ? other : best));
}

function malformed(line: number, why: string): Problem {
  return new Problem('malformed_csv', `Cannot read the CSV at line ${line}: ${why}`);
}
