import { isSecretName, isSecretValue, REDACTED } from './secret.ts';
import { withoutUrlSecrets } from './shapes.ts';
import { holdsSecret } from './text.ts';

/** A table of values between commas, semicolons or tabs: columns whose head is a secret name are replaced, and cells that show what they are. */
export function redactTable(text: string): string {
  const [head = ''] = text.split('\n', 1);
  const delimiter = ['\t', ';', '|', ','].find((sign) => head.includes(sign)) ?? ',';
  const rows = rowsOf(text, delimiter);
  const secret = new Set((rows[0] ?? []).flatMap(({ value }, column) => (isSecretName(value.trim()) ? [column] : [])));
  const nameColumn = (rows[0] ?? []).findIndex(({ value }) => /^(?:name|key|setting|option|variable|parameter|field)$/i.test(value.trim()));
  const pieces: string[] = [];
  let end = 0;
  for (const [index, row] of rows.entries()) {
    // Without a head, or beside the name of a setting, a row says itself what follows.
    const isNamed = index > 0 && nameColumn >= 0 && isSecretName(row[nameColumn]?.value ?? '');
    // Two columns without a head are names and values.
    const isPair = row.length === 2;
    for (const [column, { start, end: cellEnd, value }] of row.entries()) {
      const follows = column > 0 && isSecretName(row[column - 1]?.value.trim() ?? '') && (index > 0 || isPair);
      const isBelow =
        secret.has(column) || (isNamed && column !== nameColumn) || isSecretValue([rows[0]?.[column]?.value.trim() ?? ''], value);
      const hides = (index > 0 && isBelow) || follows || holdsSecret(value);
      if (!hides || value.trim() === '') continue;
      const isInside = !(index > 0 && isBelow) && !follows;
      pieces.push(text.slice(end, start), isInside ? withoutSecretPart(text.slice(start, cellEnd)) : REDACTED);
      end = cellEnd;
    }
  }
  return pieces.join('') + text.slice(end);
}

/** A cell keeps the rest of its URL, where the password in it is its only secret. */
function withoutSecretPart(cell: string): string {
  const shown = withoutUrlSecrets(cell, REDACTED, isSecretName);
  return shown === cell || holdsSecret(shown.replaceAll(REDACTED, ' ')) ? REDACTED : shown;
}

type Cell = { start: number; end: number; value: string };

function rowsOf(text: string, delimiter: string): Cell[][] {
  const rows: Cell[][] = [[]];
  let at = 0;
  while (at <= text.length) {
    const start = at;
    let value = '';
    if (text[at] === '"') {
      const close = closingQuote(text, at + 1);
      value = text.slice(at + 1, close).replaceAll('""', '"');
      at = close + 1;
    }
    const rest = at;
    while (at < text.length && text[at] !== delimiter && text[at] !== '\n' && text[at] !== '\r') at += 1;
    rows.at(-1)?.push({ start, end: at, value: value + text.slice(rest, at) });
    if (text[at] === '\r') at += 1;
    if (text[at] === '\n') rows.push([]);
    at += 1;
  }
  return rows;
}

function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at === -1 ? text.length : at;
}
