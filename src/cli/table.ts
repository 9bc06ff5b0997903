import { stripVTControlCharacters } from 'node:util';
import type { Item } from './client.ts';

/** Renders rows and documents for a terminal. */

export type Column = {
  title: string;
  value(item: Item, now: Date): string;
};

export type RenderOptions = {
  /** Characters in a line; undefined for a pipe, where nothing is cut. */
  width: number | undefined;
  now: Date;
};

const GAP = 2;
const MIN_COLUMN = 5;

/** A title line and one line per row, each with a line feed. If the terminal is too narrow, the widest columns are cut with `…`. */
export function renderTable(columns: readonly Column[], items: readonly Item[], options: RenderOptions): string {
  if (items.length === 0) return 'none\n';
  const rows = [
    columns.map((column) => column.title),
    ...items.map((item) => columns.map((column) => plain(column.value(item, options.now)))),
  ];
  const natural = columns.map((_, i) => Math.max(...rows.map((row) => lengthOf(row[i] ?? ''))));
  const widths = widthsWithin(natural, options.width);
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => pad(cell, widths[i] ?? 0))
          .join(' '.repeat(GAP))
          .trimEnd()}\n`,
    )
    .join('');
}

/** `name  value` lines. The name of a nested value is its path. */
export function renderItem(item: Item, options: RenderOptions): string {
  const lines = flatten(item, '', options.now);
  const width = Math.max(0, ...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${plain(value)}\n`).join('');
}

/** The field at a path like `lastError.code`, as text; '-' without one. */
export function field(path: string): Column['value'] {
  return (item) => textOf(valueAt(item, path));
}

/** The first `length` characters of a digest or commit. */
export function short(path: string, length = 12): Column['value'] {
  return (item) => textOf(valueAt(item, path)).slice(0, length);
}

export function ago(path: string): Column['value'] {
  return (item, now) => {
    const value = valueAt(item, path);
    return typeof value === 'string' ? relativeTime(value, now) : '-';
  };
}

const UNITS = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'min', ms: 60_000 },
  { name: 's', ms: 1_000 },
] as const;

/** `3 min ago`, `in 2 h`, `now`. A text that is not a time stays unchanged. */
export function relativeTime(time: string, now: Date): string {
  const atMs = Date.parse(time);
  if (Number.isNaN(atMs)) return time;
  const distanceMs = Math.abs(now.getTime() - atMs);
  const unit = UNITS.find(({ ms }) => distanceMs >= ms);
  if (unit === undefined) return 'now';
  const text = `${Math.floor(distanceMs / unit.ms)} ${unit.name}`;
  return atMs > now.getTime() ? `in ${text}` : `${text} ago`;
}

/** One line without control sequences, because names and messages come from devices and repositories. */
export function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, '')
    .trim();
}

function widthsWithin(natural: readonly number[], width: number | undefined): number[] {
  const widths = [...natural];
  if (width === undefined) return widths;
  const room = Math.max(width - GAP * (widths.length - 1), 0);
  for (let excess = widths.reduce((sum, one) => sum + one, 0) - room; excess > 0; excess -= 1) {
    const widest = widths.indexOf(Math.max(...widths));
    if ((widths[widest] ?? 0) <= MIN_COLUMN) return widths;
    widths[widest]! -= 1;
  }
  return widths;
}

function pad(cell: string, width: number): string {
  const characters = [...cell];
  return characters.length > width ? `${characters.slice(0, width - 1).join('')}…` : cell + ' '.repeat(width - characters.length);
}

function lengthOf(text: string): number {
  return [...text].length;
}

function flatten(value: unknown, path: string, now: Date): [string, string][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([name, inner]) => flatten(inner, path === '' ? name : `${path}.${name}`, now));
  }
  return [[path, typeof value === 'string' && isTime(value) ? `${value} (${relativeTime(value, now)})` : textOf(value)]];
}

function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) && !Number.isNaN(Date.parse(text));
}

function valueAt(item: Item, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
  }, item);
}

function textOf(value: unknown): string {
  if (value === undefined || value === null || value === '') return '-';
  if (Array.isArray(value))
    return value.length === 0 ? '-' : value.map((one) => (isScalar(one) ? String(one) : JSON.stringify(one))).join(', ');
  return isScalar(value) ? String(value) : labels(value);
}

/** `{a: 1, b: 2}` as `a=1 b=2`. */
function labels(value: unknown): string {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return entries.length === 0
    ? '-'
    : entries.map(([name, one]) => `${name}=${isScalar(one) ? String(one) : JSON.stringify(one)}`).join(' ');
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null;
}
