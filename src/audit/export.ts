import { streamLines } from '../async/lines.ts';
import { csvField } from '../wire/text/csv.ts';
import type { AuditEntry } from './store.ts';

/** Formats of the audit log's export. */
export const EXPORT_FORMATS = { jsonl: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' } as const;
export type ExportFormat = keyof typeof EXPORT_FORMATS;

/** An entry as it appears in lists and, as a line of JSON, in exports. */
export function viewEntry({ id, at, actor, action, subject, outcome, commitOid, detail }: AuditEntry) {
  return { id, at: at.toISOString(), actor, action, subject, outcome, commit: commitOid, detail };
}

const COLUMNS = ['id', 'at', 'actor', 'action', 'subject', 'outcome', 'commit', 'detail'] as const;

/** Streams an export. @param nextBatch returns entries after an id, ordered by id; none at the end */
export async function exportText(
  format: ExportFormat,
  nextBatch: (afterId: number) => Promise<readonly AuditEntry[]>,
): Promise<ReadableStream<Uint8Array>> {
  const head = format === 'csv' ? `${COLUMNS.join(',')}\r\n` : '';
  return streamLines<AuditEntry>(head, (last) => nextBatch(last?.id ?? 0), format === 'csv' ? csvLine : jsonLine);
}

function jsonLine(entry: AuditEntry): string {
  return `${JSON.stringify(viewEntry(entry))}\n`;
}

/** RFC 4180. */
function csvLine(entry: AuditEntry): string {
  const { detail, ...view } = viewEntry(entry);
  const row: Record<(typeof COLUMNS)[number], unknown> = { ...view, detail: JSON.stringify(detail) };
  return `${COLUMNS.map((name) => csvField(String(row[name] ?? ''))).join(',')}\r\n`;
}
