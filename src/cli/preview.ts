import { stripVTControlCharacters } from 'node:util';
import { asItem, type Call, rowsOf } from './call.ts';
import { plain, renderItem } from './table.ts';

/** A verdict, its errors, and the diff, file by file. */
export function showPreview(call: Call, answer: unknown): void {
  const { io } = call;
  const preview = asItem(answer) ?? {};
  if (call.json) {
    io.out(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  const { files, diff, errors, ...rest } = preview;
  io.out(renderItem(rest, { width: io.columns, now: io.now?.() ?? new Date() }));
  for (const error of rowsOf(errors)) io.out(`error: ${plain(String(error.message ?? JSON.stringify(error)))}\n`);
  if (typeof diff === 'string') io.out(diff === '' ? 'no difference\n' : printable(diff));
  for (const change of rowsOf(diff)) {
    io.out(`${plain(String(change.change ?? change.status ?? change.kind ?? 'changed'))}  ${plain(String(change.path ?? ''))}\n`);
    const patch = change.patch ?? change.diff;
    if (typeof patch === 'string') io.out(printable(patch));
  }
  if (diff === undefined) for (const file of rowsOf(files)) io.out(`${plain(String(file.path ?? ''))}\n`);
}

/** Several lines of a file, without anything that a terminal would obey. */
function printable(text: string): string {
  const safe = stripVTControlCharacters(text).replace(/[^\P{Cc}\n\t]|\p{Bidi_Control}/gu, '');
  return safe.endsWith('\n') ? safe : `${safe}\n`;
}
