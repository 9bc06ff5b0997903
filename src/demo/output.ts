import { type styleText as Style, styleText } from 'node:util';
import type { Item } from '../cli/client.ts';
import { type Column, renderTable } from '../cli/table.ts';

type Format = Parameters<typeof Style>[0];

/** Prints the demonstration for people. */
export type Output = {
  line(text?: string): void;
  heading(text: string): void;
  /** A promised effect that was observed. */
  good(text: string): void;
  bad(text: string): void;
  table(columns: readonly Column[], rows: readonly Item[]): void;
  warn(text: string): void;
};

/** Uses colours if the terminal supports them and the environment allows them. */
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
