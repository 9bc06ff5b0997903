/** A replacement of a part of a text. Edits at the same position apply in their order. */
export type Edit = { start: number; end: number; text: string };

/** Returns `text` from `start` to `end` with the edits inside that range applied. */
export function editedSlice(text: string, edits: readonly Edit[], start = 0, end = text.length): string {
  const inside = edits.filter((edit) => edit.start >= start && edit.end <= end);
  if (inside.length === 0) return text.slice(start, end);
  const ordered = inside.map((edit, index) => ({ edit, index })).sort((a, b) => a.edit.start - b.edit.start || order(a, b));
  const pieces: string[] = [];
  let at = start;
  for (const { edit } of ordered) {
    pieces.push(text.slice(at, Math.max(at, edit.start)), edit.text);
    at = Math.max(at, edit.end);
  }
  return [...pieces, text.slice(at, end)].join('');
}

function order(a: { edit: Edit; index: number }, b: { edit: Edit; index: number }): number {
  // An insertion before a part precedes the replacement of that part.
  return Number(a.edit.end > a.edit.start) - Number(b.edit.end > b.edit.start) || a.index - b.index;
}

export function lineStart(text: string, at: number): number {
  return at === 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1;
}

/** Returns the offset after the line break; on the last line the end of the text. */
export function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end === -1 ? text.length : end + 1;
}

export function columnOf(text: string, at: number): number {
  return at - lineStart(text, at);
}

export function indentOfLine(text: string, at: number): number {
  const start = lineStart(text, at);
  let end = start;
  while (text[end] === ' ') end += 1;
  return end - start;
}

/** Returns whether only white space precedes the offset on its line. */
export function beginsLine(text: string, at: number): boolean {
  return text.slice(lineStart(text, at), at).trim() === '';
}

/** Moves every line but the first by `by` columns, limited by its indentation; leaves empty lines unchanged. */
export function shiftLines(text: string, by: number): string {
  if (by === 0 || !text.includes('\n')) return text;
  const [first = '', ...rest] = text.split('\n');
  return [first, ...rest.map((line) => (line === '' || line === '\r' ? line : shiftLine(line, by)))].join('\n');
}

function shiftLine(line: string, by: number): string {
  if (by > 0) return ' '.repeat(by) + line;
  return line.slice(Math.min(-by, /^ */.exec(line)?.[0].length ?? 0));
}

/** Works like `shiftLines`, but gives each of those lines an indentation of at least `least` columns. */
export function shiftLinesTo(text: string, by: number, least: number): string {
  const indents = text
    .split('\n')
    .slice(1)
    .filter((line) => line.trim() !== '')
    .map((line) => line.length - line.trimStart().length);
  const smallest = Math.min(...indents);
  return shiftLines(text, indents.length > 0 && smallest + by < least ? least + 1 - smallest : by);
}
