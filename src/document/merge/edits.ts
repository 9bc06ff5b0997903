/** A part of a text that gets other words. Those of one place stand in their order. */
export type Edit = { start: number; end: number; text: string };

/** `text` from `start` to `end` with the edits that stand in there. */
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
  // What is put in before a part comes before what becomes of the part.
  return Number(a.edit.end > a.edit.start) - Number(b.edit.end > b.edit.start) || a.index - b.index;
}

export function lineStart(text: string, at: number): number {
  return at === 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1;
}

/** After the line break; the end of the text on the last line. */
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

/** Whether only spaces stand before it on its line. */
export function beginsLine(text: string, at: number): boolean {
  return text.slice(lineStart(text, at), at).trim() === '';
}

/** Every line but the first, moved by `by` columns as far as its indentation allows; empty lines stay. */
export function shiftLines(text: string, by: number): string {
  if (by === 0 || !text.includes('\n')) return text;
  const [first = '', ...rest] = text.split('\n');
  return [first, ...rest.map((line) => (line === '' || line === '\r' ? line : shiftLine(line, by)))].join('\n');
}

function shiftLine(line: string, by: number): string {
  if (by > 0) return ' '.repeat(by) + line;
  return line.slice(Math.min(-by, /^ */.exec(line)?.[0].length ?? 0));
}

/** As `shiftLines`, so that each of those lines has at least `least` columns before it. */
export function shiftLinesTo(text: string, by: number, least: number): string {
  const indents = text
    .split('\n')
    .slice(1)
    .filter((line) => line.trim() !== '')
    .map((line) => line.length - line.trimStart().length);
  const smallest = Math.min(...indents);
  return shiftLines(text, indents.length > 0 && smallest + by < least ? least + 1 - smallest : by);
}
