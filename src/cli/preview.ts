import { stripVTControlCharacters } from 'node:util';
import { asItem, type Call, rowsOf, showTable } from './call.ts';
import type { Item } from './client.ts';
import { type Column, field, plain, renderItem } from './table.ts';

/** Prints a verdict, its errors, and the diff of each file. */
export function showPreview(call: Call, answer: unknown): void {
  const { io } = call;
  const preview = asItem(answer) ?? {};
  if (call.json) {
    io.out(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  const { files, diff, errors, provenance, ...rest } = preview;
  io.out(renderItem(rest, { width: io.columns, now: io.now?.() ?? new Date() }));
  for (const error of rowsOf(errors)) io.out(`error: ${plain(String(error.message ?? JSON.stringify(error)))}\n`);
  if (typeof diff === 'string') io.out(diff === '' ? 'no difference\n' : printable(diff));
  for (const change of rowsOf(diff)) {
    io.out(`${plain(String(change.change ?? change.status ?? change.kind ?? 'changed'))}  ${plain(String(change.path ?? ''))}\n`);
    const patch = change.patch ?? change.diff;
    if (typeof patch === 'string') io.out(printable(patch));
  }
  if (diff === undefined) for (const file of rowsOf(files)) io.out(`${plain(String(file.path ?? ''))}\n`);
  const origins = asItem(provenance);
  if (origins !== undefined) showProvenance(call, origins);
}

const PROVENANCE_COLUMNS: Column[] = [
  { title: 'FILE', value: field('path') },
  { title: 'WHAT', value: field('what') },
  { title: 'FROM', value: field('from') },
  { title: 'LAYER', value: field('layer') },
];

/** Prints each file with its origins, the values of merged files, and the variables that templates read. */
function showProvenance(call: Call, { files, removed, truncated }: Item): void {
  const row = (path: unknown, what: string, { file, line, layer }: Item): Item => ({
    path,
    what,
    from: line === undefined ? file : `${file}:${line}`,
    layer,
  });
  const rows = rowsOf(files).flatMap((file) => [
    ...rowsOf(file.from).map((part) => row(file.path, part.template === true ? 'template' : 'file', part)),
    ...rowsOf(file.values).map((value) => row(file.path, String(value.pointer), value)),
    ...rowsOf(file.variables).map((variable) => row(file.path, `variable ${variable.name}`, variable)),
  ]);
  const gone = rowsOf(removed).map((part) => row(part.path, 'removed', part));
  showTable(call, PROVENANCE_COLUMNS, [...rows, ...gone]);
  if (truncated === true) call.io.out('not all values and variables are shown\n');
}

/** Several lines of a file, without control sequences. */
function printable(text: string): string {
  const safe = stripVTControlCharacters(text).replace(/[^\P{Cc}\n\t]|\p{Bidi_Control}/gu, '');
  return safe.endsWith('\n') ? safe : `${safe}\n`;
}
