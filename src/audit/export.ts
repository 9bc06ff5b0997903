import type { AuditEntry } from './store.ts';

/** Formats of the audit log's export. */
export const EXPORT_FORMATS = { jsonl: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' } as const;
export type ExportFormat = keyof typeof EXPORT_FORMATS;

/** An entry as it appears in lists and, as a line of JSON, in exports. */
export function viewEntry({ id, at, actor, action, subject, outcome, commitOid, detail }: AuditEntry) {
  return { id, at: at.toISOString(), actor, action, subject, outcome, commit: commitOid, detail };
}

const COLUMNS = ['id', 'at', 'actor', 'action', 'subject', 'outcome', 'commit', 'detail'] as const;

/**
 * Streams an export batch by batch. It reads the next batch when the reader has consumed the last one, so that memory does not grow with the log's
 * length or with a slow reader.
 * @param nextBatch returns entries after an id, ordered by id; none at the end
 */
export async function exportText(
  format: ExportFormat,
  nextBatch: (afterId: number) => Promise<readonly AuditEntry[]>,
): Promise<ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder();
  const textOf = format === 'csv' ? csvLine : jsonLine;
  let head = format === 'csv' ? `${COLUMNS.join(',')}\r\n` : '';
  // The first batch precedes the response, which can then still report a fault of the request or the database.
  let batch = await nextBatch(0);
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const text = head + batch.map(textOf).join('');
        head = '';
        if (text !== '') controller.enqueue(encoder.encode(text));
        const last = batch.at(-1);
        if (last === undefined) return controller.close();
        batch = await nextBatch(last.id);
      },
    },
    { highWaterMark: 1 },
  );
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

/** Spreadsheets run text that begins like a formula, and users choose names. Such a field gets an apostrophe in front. */
function csvField(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
