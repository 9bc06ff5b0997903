import { pipeline } from 'node:stream/promises';
import { CsvError, parse } from 'csv-parse';
import { Problem } from '../errors.ts';

/** A record of the table. `line`: the line of the text at which it begins, from 1. */
export type CsvRecord = { line: number; fields: string[] };

/** Far above the longest row that can be registered. It prevents an unclosed quote from reading the rest of the text into memory. */
const MAX_RECORD_CHARACTERS = 1024 * 1024;

/**
 * Reads records of RFC 4180: CRLF or LF, and fields in double quotes where they contain a separator, a doubled quote or a line break. The separator is
 * the comma, semicolon or tab of the first line, since spreadsheets write the separator of their language. Some first write a line `sep=;`. It skips a
 * byte order mark and empty lines. It yields a record as soon as the record ends, so the whole text is never in memory.
 *
 * @throws Problem `malformed_csv` (400) where quotes make the fields ambiguous, since the text after such a place cannot be read; the message names
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
    // Given explicitly, since the library would also accept a carriage return alone.
    record_delimiter: ['\r\n', '\n'],
    skip_empty_lines: true,
    // Each row of the wrong length is refused by itself, without the rest of the text.
    relax_column_count: true,
    max_record_size: MAX_RECORD_CHARACTERS,
    on_record: (fields, { empty_lines }) => {
      lines.push(1 + ended + empty_lines);
      ended += 1;
      for (const field of fields) ended += lineBreaksIn(field);
      return fields;
    },
  });
  // An error of the source destroys the parser, which throws it below.
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
      return 'a field contains a quote but does not begin with one';
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

/** Reads the text up to the end of its first line, which shows the separator. `rest` yields the whole text. */
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

/** Drops a carriage return at the very end. It is half of a line break of a text that was cut there, and the record before it is complete. */
async function* withoutLastReturn(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let held = '';
  for await (const chunk of chunks) {
    const text = held + chunk;
    held = text.endsWith('\r') ? '\r' : '';
    yield held === '' ? text : text.slice(0, -1);
  }
}

/** The first line that is not empty must end within this many characters. */
const MAX_HEAD_CHARACTERS = 64 * 1024;
const SEPARATORS = [',', ';', '\t'] as const;
type Separator = (typeof SEPARATORS)[number];
const NOTICE = /^\uFEFF?"?sep=([,;\t])"?\r?\n/i;

function hasLine(head: string): boolean {
  // A regular expression would take quadratic time on a long line without an end. trimStart() also removes a byte order mark.
  return head.replace(NOTICE, '').trimStart().includes('\n');
}

/** Removes the `sep=` line but keeps its line break, so that line numbers stay right. */
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
