import type { AuditEntry } from './store.ts';

/** The forms in which the audit log leaves the service. */
export const EXPORT_FORMATS = { jsonl: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' } as const;
export type ExportFormat = keyof typeof EXPORT_FORMATS;

/** An entry as it is shown: in lists and, as a line of JSON, in exports. */
export function viewEntry({ id, at, actor, action, subject, outcome, commitOid, detail }: AuditEntry) {
  return { id, at: at.toISOString(), actor, action, subject, outcome, commit: commitOid, detail };
}

const COLUMNS = ['id', 'at', 'actor', 'action', 'subject', 'outcome', 'commit', 'detail'] as const;

/**
 * The text of an export, a batch at a time: the next one is asked for when the reader has taken the last, so that neither the log's length nor a
 * slow reader costs memory.
 * @param nextBatch entries after that id, in the order of their ids; none at the end
 */
export async function exportText(
  format: ExportFormat,
  nextBatch: (afterId: number) => Promise<readonly AuditEntry[]>,
): Promise<ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder();
  const textOf = format === 'csv' ? csvLine : jsonLine;
  let head = format === 'csv' ? `${COLUMNS.join(',')}\r\n` : '';
  // Before the answer begins: what is wrong with the request or the database can still be said.
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

/** A spreadsheet would run what begins like a formula, and people choose names: such a field gets an apostrophe in front. */
function csvField(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
