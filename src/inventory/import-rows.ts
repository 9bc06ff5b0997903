import type { z } from '@hono/zod-openapi';
import { invalid, Problem } from '../errors.ts';
import { issueText } from '../wire/names.ts';
import type { FieldError } from '../wire/problem.ts';
import { withoutGuard } from '../wire/text/csv.ts';
import { isTooDeep, MAX_JSON_DEPTH } from '../wire/text/json.ts';
import { csvRecords } from './csv.ts';
import { NewDevice } from './new-device.ts';

export const MAX_IMPORT_ROWS = 10_000;
export const IMPORT_FORMATS = { 'text/csv': 'csv', 'application/x-ndjson': 'lines', 'application/jsonl': 'lines' } as const;
type Format = (typeof IMPORT_FORMATS)[keyof typeof IMPORT_FORMATS];

export type WantedDevice = z.output<typeof NewDevice> & { name: string };
/** `row` counts devices from 1, without a CSV's header and empty lines. */
export type Row = { row: number; device: WantedDevice } | { row: number; errors: FieldError[] };

/** Reads rows and checks them one by one without the database. @throws Problem for errors of the whole text: format, header, too many rows */
export async function readRows(text: AsyncIterable<string>, format: Format): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const read of format === 'csv' ? fromCsv(text) : fromLines(text)) {
    const row = rows.length + 1;
    if (row > MAX_IMPORT_ROWS)
      throw new Problem('too_many_rows', `Cannot import more than ${MAX_IMPORT_ROWS} devices at once: send the rest in another request`);
    rows.push('errors' in read ? { row, errors: read.errors } : checked(row, read.value));
  }
  return rows;
}

/** @throws Problem `unsupported_format` (415) */
export function formatOf(contentType: string | undefined): Format {
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
  const format = Object.entries(IMPORT_FORMATS).find(([known]) => known === type)?.[1];
  if (format === undefined)
    throw new Problem(
      'unsupported_format',
      `Cannot import "${type}": the Content-Type must be one of ${Object.keys(IMPORT_FORMATS).join(', ')}`,
    );
  return format;
}

function checked(row: number, value: unknown): Row {
  const parsed = NewDevice.safeParse(value);
  if (!parsed.success) {
    const errors = parsed.error.issues.map((issue) => ({
      pointer: issue.path.map((part) => `/${escapePointer(part)}`).join(''),
      detail: issueText(issue),
    }));
    return { row, errors };
  }
  const { id, name = id, type, path, labels } = parsed.data;
  const texts = [name, type, path ?? '', ...Object.values(labels)];
  if (texts.some((text) => text.includes('\0') || !text.isWellFormed()))
    return { row, errors: [{ pointer: '', detail: 'has a character that cannot be stored' }] };
  return { row, device: { ...parsed.data, name } };
}

function escapePointer(part: PropertyKey): string {
  return String(part).replaceAll('~', '~0').replaceAll('/', '~1');
}

type Read = { value: unknown } | { errors: FieldError[] };

async function* fromLines(text: AsyncIterable<string>): AsyncGenerator<Read> {
  for await (const line of lines(text)) {
    if (line.trim() === '') continue;
    if (/^\s*\[/.test(line)) {
      yield { errors: [{ pointer: '', detail: 'begins a list, must be one JSON object per line, without brackets around all of them' }] };
      continue;
    }
    if (isTooDeep(line)) {
      yield { errors: [{ pointer: '', detail: `is nested more than ${MAX_JSON_DEPTH} levels deep` }] };
      continue;
    }
    try {
      yield { value: JSON.parse(line) };
    } catch {
      yield { errors: [{ pointer: '', detail: 'is not JSON, must be one JSON object per line' }] };
    }
  }
}

async function* lines(text: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  let isFirst = true;
  for await (const whole of text) {
    const chunk = isFirst ? whole.replace(/^\uFEFF/, '') : whole;
    isFirst &&= whole === '';
    const [head = '', ...others] = chunk.split('\n');
    rest += head;
    for (const other of others) {
      yield rest;
      rest = other;
    }
  }
  yield rest;
}

const LABEL_PREFIX = 'label.';
const COLUMNS = Object.keys(NewDevice.shape).filter((name) => name !== 'labels');
const FLAGS = new Set(['simulated', 'start']);

async function* fromCsv(text: AsyncIterable<string>): AsyncGenerator<Read> {
  let header: string[] | undefined;
  for await (const { line, fields } of csvRecords(text)) {
    // Spreadsheets write emptied rows as separators alone.
    if (fields.every((field) => field.trim() === '')) continue;
    if (header === undefined) header = checkHeader(fields.map(columnOf));
    else yield readRow(header, fields, line);
  }
  if (header === undefined) throw invalid('Cannot import an empty CSV: its first line must name the columns, for example id,name,type');
}

/** Reads a column name. It ignores case and surrounding spaces. */
function columnOf(text: string): string {
  const name = text.trim();
  if (name.toLowerCase().startsWith(LABEL_PREFIX)) return LABEL_PREFIX + name.slice(LABEL_PREFIX.length).trim();
  return COLUMNS.find((column) => column.toLowerCase() === name.toLowerCase()) ?? name;
}

/** @throws Problem `invalid_request` */
function checkHeader(names: string[]): string[] {
  if (names.some((name) => name.includes('\r')))
    throw invalid(
      'Cannot import lines that end in a carriage return alone: they must end in a line feed, with or without a carriage return before it',
    );
  const unknown = names.find((name) => name !== '' && !COLUMNS.includes(name) && !(name.startsWith(LABEL_PREFIX) && name !== LABEL_PREFIX));
  if (unknown !== undefined)
    throw invalid(
      `Cannot import the column "${unknown}": must be one of ${COLUMNS.join(', ')} or ${LABEL_PREFIX}<key>, separated by commas, semicolons or tabs`,
    );
  const twice = names.find((name, at) => name !== '' && names.indexOf(name) !== at);
  if (twice !== undefined) throw invalid(`Cannot import the column "${twice}": the header has it twice, must have it once`);
  if (!names.includes('id')) throw invalid('Cannot import without the column "id"');
  return names;
}

function readRow(header: readonly string[], fields: readonly string[], line: number): Read {
  const refuse = (pointer: string, detail: string): Read => ({ errors: [{ pointer, detail }] });
  if (fields.length !== header.length)
    return refuse('', `line ${line} has ${fields.length} fields, must have ${header.length} like the header`);
  const nameless = header.findIndex((name, at) => name === '' && fields[at]?.trim() !== '');
  if (nameless >= 0) return refuse('', `line ${line} has a value in column ${nameless + 1}, which has no name`);
  const flag = header.findIndex((name, at) => FLAGS.has(name) && typeof flagOf(fields[at] ?? '') === 'string' && fields[at] !== '');
  if (flag >= 0) return refuse(`/${header[flag]}`, `is ${JSON.stringify(fields[flag])}, must be true or false`);
  if (fields[header.indexOf('id')]?.trim() === '') return refuse('/id', 'is missing');
  return { value: deviceOf(header, fields) };
}

/** Omits empty fields, and the apostrophe of an export before text like a formula. Spaces around a value are significant only in labels. */
function deviceOf(header: readonly string[], fields: readonly string[]): unknown {
  const given = header
    .map((name, at) => [name, withoutGuard(fields[at] ?? '')] as const)
    .filter(([name, text]) => name !== '' && text !== '');
  const labels = given.filter(([name]) => name.startsWith(LABEL_PREFIX)).map(([name, text]) => [name.slice(LABEL_PREFIX.length), text]);
  const rest = given
    .filter(([name, text]) => !name.startsWith(LABEL_PREFIX) && text.trim() !== '')
    .map(([name, text]) => [name, FLAGS.has(name) ? flagOf(text) : text.trim()]);
  return { ...Object.fromEntries(rest), labels: Object.fromEntries(labels) };
}

/** Returns the text unchanged when it is neither true nor false. */
function flagOf(given: string): boolean | string {
  const text = given.trim();
  if (/^(true|1|yes)$/i.test(text)) return true;
  return /^(false|0|no)$/i.test(text) ? false : text;
}
