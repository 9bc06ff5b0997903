import { Problem } from '../errors.ts';

/** A line of the table; `line` is where it begins in the text, from 1. */
export type CsvRecord = { line: number; fields: string[] };

/**
 * Records of RFC 4180: CRLF or LF, fields in double quotes where they hold a separator, a quote (doubled) or a line break. The separator is the
 * comma, or the semicolon or tab that stands in the first line instead: spreadsheets write that of their language, some with a line `sep=;` before
 * all others. A byte order mark and empty lines are skipped. A record is given as soon as its end was seen, so that the text need never be in memory as a whole.
 *
 * @throws Problem `malformed_csv` (400) where quotes leave open what is a field; what follows such a place cannot be told apart
 */
export async function* csvRecords(chunks: AsyncIterable<string>): AsyncGenerator<CsvRecord> {
  let reader: ReturnType<typeof createReader> | undefined;
  let head = '';
  for await (const chunk of chunks) {
    if (reader !== undefined) {
      yield* reader.read(chunk);
      continue;
    }
    head += chunk;
    if (head.length < MAX_HEAD_CHARACTERS && !hasLine(head)) continue;
    reader = createReader(separatorOf(head));
    yield* reader.read(withoutNotice(head));
  }
  reader ??= createReader(separatorOf(head));
  if (head !== '' && !hasLine(head) && head.length < MAX_HEAD_CHARACTERS) yield* reader.read(head);
  yield* reader.end();
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

type State =
  /** Nothing of the field was seen yet. */
  | 'start'
  | 'plain'
  | 'quoted'
  /** After a quote within a quoted field: it ends the field, unless another quote follows. */
  | 'quote';

function createReader(separator: Separator) {
  let state: State = 'start';
  let [field, fields, line, startLine, first]: [string, string[], number, number, boolean] = ['', [], 1, 1, true];

  const endField = (): void => {
    fields.push(field);
    field = '';
    state = 'start';
  };
  /** @returns the record, or null for an empty line. */
  const endRecord = (): CsvRecord | null => {
    const empty = fields.length === 0 && field === '' && state === 'start';
    endField();
    const record = { line: startLine, fields };
    fields = [];
    return empty ? null : record;
  };
  const take = (char: string): void => {
    if (state === 'quoted' && char === '"') state = 'quote';
    else if (state === 'quoted') field += char;
    else if (char === separator) endField();
    else if (char === '"' && state === 'start') state = 'quoted';
    else if (char === '"' && state === 'quote') {
      field += '"';
      state = 'quoted';
    } else if (char === '"') throw malformed(line, 'a quote stands within a field that does not begin with one');
    else if (state === 'quote') throw malformed(line, `"${char}" follows the quote that ends a field, must be a separator or a line break`);
    else {
      field += char;
      state = 'plain';
    }
  };
  /** A carriage return belongs to the line break that follows it, also when that is the next chunk's first character. */
  let heldReturn = false;

  function* read(chunk: string): Generator<CsvRecord> {
    for (const char of chunk) {
      if (first && char === '\uFEFF') {
        first = false;
        continue;
      }
      first = false;
      if (heldReturn && char !== '\n') take('\r');
      heldReturn = char === '\r' && state !== 'quoted';
      if (heldReturn) continue;
      if (char === '\n') line += 1;
      if (char !== '\n' || state === 'quoted') {
        take(char);
        continue;
      }
      const record = endRecord();
      startLine = line;
      if (record !== null) yield record;
    }
  }
  function* end(): Generator<CsvRecord> {
    if (state === 'quoted') throw malformed(startLine, 'a quoted field of this record does not end');
    const record = endRecord();
    if (record !== null) yield record;
  }
  return { read, end };
}

function malformed(line: number, why: string): Problem {
  return new Problem('malformed_csv', `Cannot read the CSV at line ${line}: ${why}`);
}
