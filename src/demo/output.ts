import { type styleText as Style, styleText } from 'node:util';
import type { Item } from '../cli/client.ts';
import { type Column, renderTable } from '../cli/table.ts';

type Format = Parameters<typeof Style>[0];

/** What the demonstration says to people. */
export type Output = {
  line(text?: string): void;
  heading(text: string): void;
  /** Something that was promised and was seen to hold. */
  good(text: string): void;
  bad(text: string): void;
  table(columns: readonly Column[], rows: readonly Item[]): void;
  warn(text: string): void;
};

/** Colours where a terminal shows them, and nobody asked for none. */
export function createOutput(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Output {
  const paint = (format: Format, text: string) => styleText(format, text, { stream: stdout, validateStream: true });
  const line = (text = ''): void => void stdout.write(`${text}\n`);
  return {
    line,
    heading: (text) => line(`\n${paint('bold', text)}`),
    good: (text) => line(`  ${paint('green', '✓')} ${text}`),
    bad: (text) => line(`  ${paint('red', '✗')} ${text}`),
    table: (columns, rows) => line(indent(renderTable(columns, rows, { width: undefined, now: new Date() }))),
    warn: (text) => void stderr.write(`${text}\n`),
  };
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((row) => `    ${row}`)
    .join('\n');
}
